/*
 * Times of expiry, between the client's scale and the store's.
 *
 * The store counts on the clock's own scale, which never jumps; a client that says EXAT, PXAT or
 * EXPIREAT means the wall clock, and so does EXPIRETIME's reply. The two scales agree at the start of
 * the process, and differ by as much as the wall clock has been set since. Both are read with errors
 * below a millisecond and at two moments, so their difference trembles by one; EXPIRETIME has to give
 * back what EXPIREAT was told, so a difference that was taken stands until it is off by more than
 * that (`wallOffset`).
 */
import type { Clock } from '../../cluster/world.ts'
import { ERR_NOT_INTEGER, invalidExpire } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'

/* In what form a time is given. They are bits of SET's options. */
/** Seconds from now. */
export const EX = 1
/** Milliseconds from now. */
export const PX = 2
/** Unix time in seconds. */
export const EXAT = 4
/** Unix time in milliseconds. */
export const PXAT = 8
export type TimeForm = typeof EX | typeof PX | typeof EXAT | typeof PXAT

/* What `readExpiry` gives for what is no time. */
const NOT_INTEGER = -1
const OUT_OF_RANGE = -2

/** Numbers up to this are exact in all that is done to them below, as seconds too. */
const NEAR_MAX = 2 ** 42
const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)
/** The largest number below 2^63: the latest expiry there is, which stands for Redis's, 2^63 - 1. */
export const EXPIRE_AT_MAX = 2 ** 63 - 1024

/** Has this much passed between two readings of the clocks, the wall clock was set. */
const OFFSET_TOLERANCE_MS = 10

const offsets = new WeakMap<Clock, number>()

/** Milliseconds to add to the store's scale for unix time; a whole number. */
export function wallOffset(clock: Clock): number {
  const measured = Math.round(clock.wall() - clock.now())
  const known = offsets.get(clock) ?? 0
  if (Math.abs(measured - known) <= OFFSET_TOLERANCE_MS) return known
  offsets.set(clock, measured)
  return measured
}

/**
 * The moment that argument i means, in whole milliseconds on the store's scale. It may be over
 * already (not after `store.now`), and is at least 1, for 0 would be "never". Negative for what is no
 * integer or does not fit into 64 bits of milliseconds: answer `expiryError`.
 */
export function readExpiry(client: Client, i: number, form: TimeForm): number {
  const n = client.args.integer(i)
  if (Number.isNaN(n)) return NOT_INTEGER
  const isRelative = (form & (EX | PX)) !== 0
  const isSeconds = (form & (EX | EXAT)) !== 0
  const base = isRelative ? Math.floor(client.store.now) : -wallOffset(client.server.world.clock)
  if (n > NEAR_MAX || n < -NEAR_MAX) return readFarExpiry(client, i, form, base)
  return Math.max(1, base + (isSeconds ? n * 1000 : n))
}

/** The same for SET, GETEX, SETEX, PSETEX, which refuse 0 and less. */
export function readPositiveExpiry(client: Client, i: number, form: TimeForm): number {
  return client.args.integer(i) <= 0 ? OUT_OF_RANGE : readExpiry(client, i, form)
}

/** The error line of a negative expiry. */
export function expiryError(expiry: number, command: string): string {
  return expiry === NOT_INTEGER ? ERR_NOT_INTEGER : invalidExpire(command)
}

/** Redis's limits are those of its 64-bit arithmetic, so they are looked at in such. */
function readFarExpiry(client: Client, i: number, form: TimeForm, base: number): number {
  const n = client.args.bigint(i)!
  const unit = (form & (EX | EXAT)) !== 0 ? 1000n : 1n
  if (n > INT64_MAX / unit || n < INT64_MIN / unit) return OUT_OF_RANGE
  const isRelative = (form & (EX | PX)) !== 0
  const unixNow = isRelative ? base + wallOffset(client.server.world.clock) : 0
  if (n * unit > INT64_MAX - BigInt(unixNow)) return OUT_OF_RANGE
  return farExpiry(n * unit + BigInt(unixNow), base - unixNow)
}

/** The moment that is `unixMs`, which fits into 64 bits, on the store's scale; see `readExpiry`. */
export function farExpiry(unixMs: bigint, toStore: number): number {
  const nearest = Number(unixMs)
  return nearest > EXPIRE_AT_MAX ? EXPIRE_AT_MAX : Math.max(1, nearest + toStore)
}

/**
 * A moment on the store's scale in milliseconds of another one, where it is beyond what numbers tell
 * exactly: `offset` is to be added.
 */
export function farMoment(expireAt: number, offset: number, unixOffset: number): bigint {
  if (expireAt === EXPIRE_AT_MAX) return INT64_MAX + BigInt(offset - unixOffset)
  return BigInt(expireAt + offset)
}
