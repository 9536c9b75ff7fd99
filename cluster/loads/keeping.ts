/*
 * What is kept of an answer of the origin, and for how long.
 *
 *     loaded        freshUntil        visibleUntil           expireAt
 *       |--- fresh ------|---- stale ------|--- error-only ------|  gone
 *            served         served, and         served only
 *                        reloaded meanwhile   if the load fails
 *
 * The origin's word on times counts before the group's rules, where the group honours it: that of
 * Cache-Control (RFC 9111, and RFC 5861 for stale-*), of a Redis key's TTL, of a module. Jitter makes
 * a value fresh for a bit less, so that what was loaded together is not reloaded together.
 */
import type { Group } from '../groups/group.ts'
import type { Loaded } from '../origin/loader.ts'
import type { Random } from '../world.ts'

/** Until when, in ms on the Clock's scale; 0: for ever. */
export interface Times {
  readonly freshUntil: number
  readonly visibleUntil: number
  readonly expireAt: number
}

/** `on-error stale`: as long as memory has room. */
const STALE_IF_ERROR_MAX_MS = 10 * 365 * 24 * 3_600_000

export const FOREVER: Times = { freshUntil: 0, visibleUntil: 0, expireAt: 0 }

const UINT32 = 2 ** 32

/** The times of a value; null: it may not be kept. */
export function timesOf(loaded: Loaded, group: Group, now: number, random: Random): Times | null {
  if (loaded.freshMs === 0) return null
  const freshMs = loaded.freshMs ?? group.ttlMs
  if (freshMs === 0) return FOREVER
  const staleMs = loaded.staleMs ?? group.staleMs
  const errorMs =
    group.onError === 'stale'
      ? STALE_IF_ERROR_MAX_MS
      : (loaded.staleIfErrorMs ?? group.staleIfErrorMs)
  const shortened = freshMs * group.jitter * (random.uint32() / UINT32)
  const freshUntil = Math.floor(now + Math.max(1, freshMs - shortened))
  return {
    freshUntil,
    visibleUntil: freshUntil + staleMs,
    expireAt: freshUntil + Math.max(staleMs, errorMs),
  }
}

/** The times of "the origin has no such thing"; null: that is not remembered. */
export function negativeTimesOf(loaded: Loaded, group: Group, now: number): Times | null {
  if (loaded.freshMs === 0 || group.negativeMs === 0) return null
  const until = Math.floor(now) + group.negativeMs
  return { freshUntil: until, visibleUntil: until, expireAt: until }
}

/**
 * Is it time to load a value anew before it is stale? XFetch: the nearer its end and the longer its
 * load took, the more probable, so that of many who ask about one goes, and long-loading values are
 * fetched sooner. (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
 * Prevention, VLDB 2015.)
 */
export function isEarly(
  { freshUntil, costMs }: { readonly freshUntil: number; readonly costMs: number },
  beta: number,
  now: number,
  random: Random,
): boolean {
  if (freshUntil === 0 || costMs === 0 || beta === 0) return false
  const left = freshUntil - now
  if (left > costMs * beta * LOG_MAX) return false
  return -Math.log((random.uint32() + 1) / UINT32) * costMs * beta >= left
}

/** The largest -ln of what is drawn: further from its end nobody need draw. */
const LOG_MAX = Math.log(UINT32)
