/*
 * BITFIELD: integers of 1 to 64 bits that lie anywhere in a value.
 *
 * The arguments are read twice, first to see whether all of them are right and how far the value must
 * reach, then one by one as they are done: a call with a million of them keeps nothing of them. What a
 * field holds is a bigint of 64 bits in between, as it is a 64-bit integer in Redis, whose arithmetic
 * (what overflows, and which way) is followed to the letter.
 *
 * All operations of a call are one atomic step, up to `OPERATIONS_WHOLE_MAX` of them; of more, each
 * step is, and others have their turn in between.
 */
import type { Args } from '../../protocol/args.ts'
import {
  ERR_BIT_OFFSET,
  ERR_BITFIELD_RO,
  ERR_BITFIELD_TYPE,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_OVERFLOW_TYPE,
  ERR_SYNTAX,
} from '../../protocol/errors.ts'
import { readInteger } from '../../protocol/number.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import { STORED, type Store } from '../store/store.ts'
import { growOpen } from './growing.ts'
import { notify } from '../notifications.ts'
import { countLookup, openKey } from './lookup.ts'

/** More would hold up others for milliseconds. */
const OPERATIONS_WHOLE_MAX = 2048
/** Of a value in pages, where finding a byte takes longer. */
const OPERATIONS_WHOLE_MAX_IN_PAGES = 64
/** A field of 64 bits may begin in the middle of a byte. */
const FIELD_BYTES_MAX = 9

const HASH = 0x23
const LETTER_I = 0x69
const LETTER_U = 0x75
/** u64 is none: its values have no place in a reply. */
const UNSIGNED_BITS_MAX = 63
const SIGNED_BITS_MAX = 64

const ZERO_BYTE = new Uint8Array(1)

type Overflow = 'wrap' | 'sat' | 'fail'

/** Reads the arguments of a call, operation by operation. */
class Operations {
  kind: 'get' | 'set' | 'incrby' = 'get'
  isSigned = false
  bits = 0
  /** In bits. */
  offset = 0
  value = 0n
  overflow: Overflow = 'wrap'
  /** The argument that comes next. */
  #next = 2

  /** Goes on to the next operation. True: it is there. False: that was all. A string is an error's line. */
  read({ args, server }: Client): boolean | string {
    for (;;) {
      const i = this.#next
      const more = args.count - 1 - i
      if (more < 0) return false
      if (args.is(i, 'overflow') && more >= 1) {
        const overflow = overflowNamed(args, i + 1)
        if (overflow === null) return ERR_OVERFLOW_TYPE
        this.overflow = overflow
        this.#next += 2
        continue
      }
      if (args.is(i, 'get') && more >= 2) this.kind = 'get'
      else if (args.is(i, 'set') && more >= 3) this.kind = 'set'
      else if (args.is(i, 'incrby') && more >= 3) this.kind = 'incrby'
      else return ERR_SYNTAX
      if (!this.#readType(args, i + 1)) return ERR_BITFIELD_TYPE
      this.offset = fieldOffset(args, i + 2, this.bits, server.config['proto-max-bulk-len'])
      if (Number.isNaN(this.offset)) return ERR_BIT_OFFSET
      this.#next += 3
      if (this.kind === 'get') return true
      this.#next++
      const value = args.bigint(i + 3)
      if (value === null) return ERR_NOT_INTEGER
      this.value = value
      return true
    }
  }

  /** Is argument i a field's type: i1 to i64, u1 to u63? */
  #readType(args: Args, i: number): boolean {
    const { bytes } = args
    const pos = args.pos(i)
    const length = args.length(i)
    // Redis sees a C string.
    let shown = 0
    while (shown < length && bytes[pos + shown] !== 0) shown++
    const letter = shown === 0 ? 0 : bytes[pos]
    if (letter !== LETTER_I && letter !== LETTER_U) return false
    this.isSigned = letter === LETTER_I
    this.bits = readInteger(bytes, pos + 1, shown - 1)
    return this.bits >= 1 && this.bits <= (this.isSigned ? SIGNED_BITS_MAX : UNSIGNED_BITS_MAX)
  }
}

function overflowNamed(args: Args, i: number): Overflow | null {
  if (args.is(i, 'wrap')) return 'wrap'
  if (args.is(i, 'sat')) return 'sat'
  return args.is(i, 'fail') ? 'fail' : null
}

/** Argument i as a place in bits; `#2` is the place of the third of such fields. NaN: it is none. */
function fieldOffset(args: Args, i: number, bits: number, bytesMax: number): number {
  const pos = args.pos(i)
  const length = args.length(i)
  const isCounted = length > 0 && args.bytes[pos] === HASH
  let offset = isCounted ? readInteger(args.bytes, pos + 1, length - 1) : args.integer(i)
  if (isCounted) {
    offset *= bits
    // In Redis the product is a 64-bit integer, and so what is left of it.
    if (!Number.isSafeInteger(offset) && !Number.isNaN(offset)) {
      const exact = BigInt(args.text(i).slice(1)) * BigInt(bits)
      offset = Number(BigInt.asIntN(64, exact))
    }
  }
  return offset >= 0 && Math.floor(offset / 8) < bytesMax ? offset : NaN
}

/** What a call is, as far as its first reading tells. */
interface Plan {
  readonly isReadOnly: boolean
  readonly operations: number
  /** How many bytes the value must have for its writes. */
  readonly bytes: number
}

export function bitfield(client: Client): void {
  plan(client, (found) => {
    inPlace(client, found, found.isReadOnly ? runReads : runWrites)
  })
}

export function bitfieldRo(client: Client): void {
  plan(client, (found) => {
    if (found.isReadOnly) inPlace(client, found, runReads)
    else client.reply.error(ERR_BITFIELD_RO)
  })
}

export function bitfieldRoLoaded(client: Client, value: Buffer | null): void {
  plan(client, (found) => {
    if (!found.isReadOnly) return client.reply.error(ERR_BITFIELD_RO)
    const { bytes, scratch } = client.store.io
    const read = (at: number, length: number): void => {
      const part = value?.subarray(at, at + length) ?? ZERO_BYTE.subarray(1)
      bytes.set(part, scratch)
      bytes.fill(0, scratch + part.length, scratch + length)
    }
    const operations = new Operations()
    client.reply.array(found.operations)
    client.inSteps(() => {
      for (let i = 0; i < OPERATIONS_WHOLE_MAX; i++) {
        if (operations.read(client) !== true) return true
        read(Math.floor(operations.offset / 8), FIELD_BYTES_MAX)
        replyInteger(client.reply, fieldIn(bytes, scratch, operations))
      }
      return false
    })
  })
}

/** How BITFIELD uses its key: it writes, unless there are reads alone. */
export function bitfieldKeyFlags(args: Args, from: number): readonly string[] {
  for (let i = from + 2; i < args.count; i++) {
    const more = args.count - 1 - i
    if (args.is(i, 'get') && more >= 2) i += 2
    else if (args.is(i, 'overflow') && more >= 1) i++
    else return ['RW', 'access', 'update']
  }
  return ['RO', 'access']
}

/** Reads all arguments; goes on if they are right, else answers the error. */
function plan(client: Client, goOn: (found: Plan) => void): void {
  const planning = new Planning()
  const step = (): boolean => {
    const found = planning.step(client)
    if (found === null) return false
    if (typeof found === 'string') client.reply.error(found)
    else goOn(found)
    return true
  }
  // Nearly always that was all.
  if (!step()) client.inSteps(step)
}

class Planning {
  readonly #reading = new Operations()
  #operations = 0
  #isReadOnly = true
  #bytes = 0

  /** Reads some operations: the plan, or an error's line. Null: there are more. */
  step(client: Client): Plan | string | null {
    const reading = this.#reading
    for (let i = 0; i < OPERATIONS_WHOLE_MAX; i++) {
      const got = reading.read(client)
      if (typeof got === 'string') return got
      if (!got) {
        return {
          isReadOnly: this.#isReadOnly,
          operations: this.#operations,
          bytes: this.#bytes,
        }
      }
      this.#operations++
      if (reading.kind === 'get') continue
      this.#isReadOnly = false
      this.#bytes = Math.max(this.#bytes, Math.ceil((reading.offset + reading.bits) / 8))
    }
    return null
  }
}

/** What may write its reply in parts takes its place in the order of replies before the first of them. */
function inPlace(client: Client, found: Plan, run: (client: Client, found: Plan) => void): void {
  if (found.operations <= OPERATIONS_WHOLE_MAX_IN_PAGES) {
    run(client, found)
    return
  }
  client.inSteps(() => {
    run(client, found)
    return true
  })
}

function runReads(client: Client, { operations }: Plan): void {
  const run = new Run()
  const found = openKey(client, 1)
  run.some(client)
  client.store.close()
  countLookup(client, found)
  client.reply.array(operations)
  run.reply(client)
  goOnWith(client, run)
}

function runWrites(client: Client, { operations, bytes }: Plan): void {
  const run = new Run()
  growOpen(client, { at: bytes - 1, bytes: ZERO_BYTE }, (status, isGrown, isNew) => {
    if (status === STORED) run.some(client)
    client.store.close()
    if (isNew && status === STORED) notify(client, 'new', 1)
    run.hasChanged ||= isGrown && run.hasWritten
    run.tell(client)
    if (status !== STORED || run.hasFailed) {
      client.reply.error(ERR_OOM)
      return
    }
    client.reply.array(operations)
    run.reply(client)
    goOnWith(client, run)
  })
}

/** What was too much for one step. */
function goOnWith(client: Client, run: Run): void {
  if (run.isDone) return
  client.inSteps(() => {
    openKey(client, 1)
    run.some(client)
    client.store.close()
    run.tell(client)
    run.reply(client)
    return run.isDone
  })
}

/** A call that runs, some operations at a time. */
class Run {
  readonly #operations = new Operations()
  /** What they gave: null where something overflowed that must not. */
  #results: (bigint | null)[] = []
  isDone = false
  /** There was no memory for a write. */
  hasFailed = false
  /** Was a field set, to whatever? */
  hasWritten = false
  /** Is the value another one than before? */
  hasChanged = false
  #isTold = false

  /** Tells of the change, once. */
  tell(client: Client): void {
    if (this.#isTold || !this.hasChanged || this.hasFailed) return
    this.#isTold = true
    notify(client, 'setbit', 1)
  }

  /** Does operations on the open record. */
  some(client: Client): void {
    const { store } = client
    const max = store.inPages ? OPERATIONS_WHOLE_MAX_IN_PAGES : OPERATIONS_WHOLE_MAX
    this.#results = []
    for (let i = 0; i < max; i++) {
      if (this.#operations.read(client) !== true) {
        this.isDone = true
        return
      }
      this.#results.push(this.#operate(store))
    }
  }

  /** Replies with what the last ones gave. */
  reply({ reply }: Client): void {
    for (const result of this.#results) {
      if (this.hasFailed) reply.error(ERR_OOM)
      else if (result === null) reply.null()
      else replyInteger(reply, result)
    }
  }

  #operate(store: Store): bigint | null {
    const operation = this.#operations
    const { kind, value } = operation
    const before = readField(store, operation)
    if (kind === 'get') return before
    const [base, added] = kind === 'set' ? [value, 0n] : [before, value]
    const after = operation.isSigned
      ? addSigned(base, added, operation)
      : addUnsigned(BigInt.asUintN(64, base), added, operation)
    if (after === null) return null
    this.hasWritten = true
    if (after !== before) {
      if (writeField(store, operation, after)) this.hasChanged = true
      else this.hasFailed = true
    }
    return kind === 'set' ? before : after
  }
}

type Field = Pick<Operations, 'offset' | 'bits' | 'isSigned'>
type Sum = Pick<Operations, 'bits' | 'overflow'>

function bytesOfField({ offset, bits }: Field): number {
  return Math.ceil(((offset % 8) + bits) / 8)
}

/** The bytes that a field lies in, into scratch, zeros where the open value has none. */
function readBytes(store: Store, field: Field): void {
  const { bytes, scratch } = store.io
  const at = Math.floor(field.offset / 8)
  const length = bytesOfField(field)
  const there = Math.max(0, Math.min(length, store.valueLength - at))
  if (there > 0) store.read(at, there, scratch)
  bytes.fill(0, scratch + there, scratch + length)
}

function readField(store: Store, field: Field): bigint {
  readBytes(store, field)
  const { bytes, scratch } = store.io
  return fieldIn(bytes, scratch, field)
}

/** The field in the bytes from `pos` on, the first of which is the one that it begins in. */
function fieldIn(bytes: Uint8Array, pos: number, field: Field): bigint {
  const { bits, isSigned } = field
  const all = numberIn(bytes, pos, bytesOfField(field)) >> BigInt(bitsBehind(field))
  return isSigned ? BigInt.asIntN(bits, all) : BigInt.asUintN(bits, all)
}

/** Bits of a field's last byte that are not its own. */
function bitsBehind(field: Field): number {
  return 8 * bytesOfField(field) - (field.offset % 8) - field.bits
}

function numberIn(bytes: Uint8Array, pos: number, length: number): bigint {
  let all = 0n
  for (let i = 0; i < length; i++) all = (all << 8n) | BigInt(bytes[pos + i]!)
  return all
}

/** Puts the field into the open value, whose bytes of it lie in scratch. False: there is no memory. */
function writeField(store: Store, field: Field, value: bigint): boolean {
  const { bytes, scratch } = store.io
  const length = bytesOfField(field)
  const behind = BigInt(bitsBehind(field))
  const mask = BigInt.asUintN(field.bits, -1n) << behind
  const before = numberIn(bytes, scratch, length) & ~mask
  let all = before | (BigInt.asUintN(field.bits, value) << behind)
  for (let i = length - 1; i >= 0; i--) {
    bytes[scratch + i] = Number(all & 0xffn)
    all >>= 8n
  }
  return store.setRange(Math.floor(field.offset / 8), bytes, scratch, length) === STORED
}

/** `base + added` in a field of so many bits; null: it overflows, and must not. */
function addSigned(base: bigint, added: bigint, { bits, overflow }: Sum): bigint | null {
  const max = 2n ** BigInt(bits - 1) - 1n
  const min = -max - 1n
  // 64-bit integers that may wrap around themselves where base is out of range.
  const addedMax = BigInt.asIntN(64, max - base)
  const addedMin = BigInt.asIntN(64, min - base)
  const isNarrow = bits < 64
  if (base > max || (added > addedMax && (isNarrow || (base >= 0n && added > 0n)))) {
    return overflowed(overflow, max, BigInt.asIntN(bits, base + added))
  }
  if (base < min || (added < addedMin && (isNarrow || (base < 0n && added < 0n)))) {
    return overflowed(overflow, min, BigInt.asIntN(bits, base + added))
  }
  return base + added
}

/** The same, where base is a 64-bit integer without a sign. */
function addUnsigned(base: bigint, added: bigint, { bits, overflow }: Sum): bigint | null {
  const max = 2n ** BigInt(bits) - 1n
  const addedMax = BigInt.asIntN(64, max - base)
  const addedMin = BigInt.asIntN(64, -base)
  if (base > max || (added > 0n && added > addedMax)) {
    return overflowed(overflow, max, BigInt.asUintN(bits, base + added))
  }
  if (added < 0n && added < addedMin) {
    return overflowed(overflow, 0n, BigInt.asUintN(bits, base + added))
  }
  return base + added
}

function overflowed(overflow: Overflow, limit: bigint, wrapped: bigint): bigint | null {
  if (overflow === 'fail') return null
  return overflow === 'sat' ? limit : wrapped
}

function replyInteger(reply: Reply, value: bigint): void {
  const n = Number(value)
  if (Number.isSafeInteger(n)) reply.integer(n)
  else reply.bigInteger(value)
}
