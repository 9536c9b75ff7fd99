/*
 * The eviction policies by name. What each does is told in eviction.ts.
 *
 * Two things are chosen: the order in which entries go (a policy), and which of them may go at all
 * (a scope: Redis's allkeys-*, volatile-* and noeviction). Both stand in one word in shared memory,
 * so that all threads change over together.
 */

/** In the order of their numbers. */
export const POLICIES = ['s3a', 's3-fifo', 'fifo', 'lru', 'second-chance'] as const
export const SCOPES = ['all', 'volatile', 'none'] as const

/** In which order entries go. */
export type Policy = (typeof POLICIES)[number]

/** Which entries may go: all, those with an expiry, or none. */
export type Scope = (typeof SCOPES)[number]

export const DEFAULT_POLICY: Policy = 's3a'

export const S3A = 0
export const S3_FIFO = 1
export const FIFO = 2
export const LRU = 3
export const SECOND_CHANCE = 4

export const ALL = 0
export const VOLATILE = 1
export const NONE = 2

const SCOPE_SHIFT = 8
const POLICY = 0xff

/** Words that every entry carries at its end: links and time of `lru`, two times of `second-chance`. */
export const LRU_TRAILER_BYTES = 12
const SECOND_CHANCE_TRAILER_BYTES = 8

export function trailerBytesOf(policy: Policy): number {
  if (policy === 'lru') return LRU_TRAILER_BYTES
  return policy === 'second-chance' ? SECOND_CHANCE_TRAILER_BYTES : 0
}

/** Policy and scope as one word. */
export function policyWord(policy: Policy, scope: Scope): number {
  return POLICIES.indexOf(policy) | (SCOPES.indexOf(scope) << SCOPE_SHIFT)
}

/** The number of the policy in such a word. */
export function policyOf(word: number): number {
  return word & POLICY
}

/** The number of the scope in such a word. */
export function scopeOf(word: number): number {
  return word >>> SCOPE_SHIFT
}
