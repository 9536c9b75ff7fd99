/** Redis's glob patterns (KEYS, SCAN MATCH, CONFIG GET): `*` `?` `[a-z]` `[^a]` `\x`. */

const STAR = 0x2a
const QUESTION = 0x3f
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const CARET = 0x5e
const DASH = 0x2d
const BACKSLASH = 0x5c

/**
 * Does the pattern match text[pos, pos + length)? A star is tried again one byte further from the
 * last one only, so no pattern takes longer than their lengths' product.
 */
export function globMatches(
  pattern: Uint8Array,
  text: Uint8Array,
  pos = 0,
  length = text.length,
  ignoreCase = false,
): boolean {
  // Redis does not look at the pattern then, not even at a star.
  if (length === 0) return pattern.length === 0
  const end = pos + length
  let p = 0
  let t = pos
  let starPattern = -1
  let starText = 0
  while (t < end) {
    if (p < pattern.length && pattern[p] === STAR) {
      starPattern = ++p
      starText = t
      continue
    }
    const next = p < pattern.length ? matchOne(pattern, p, text[t]!, ignoreCase) : -1
    if (next >= 0) {
      p = next
      t++
    } else if (starPattern >= 0) {
      p = starPattern
      t = ++starText
    } else {
      return false
    }
  }
  while (p < pattern.length && pattern[p] === STAR) p++
  return p === pattern.length
}

/** The index after the pattern's element at p when it matches the byte, else -1. */
function matchOne(pattern: Uint8Array, p: number, byte: number, ignoreCase: boolean): number {
  const head = pattern[p]!
  if (head === QUESTION) return p + 1
  if (head === BRACKET) return matchClass(pattern, p + 1, byte, ignoreCase)
  const escaped = head === BACKSLASH && p + 1 < pattern.length
  const wanted = escaped ? pattern[p + 1]! : head
  if (fold(wanted, ignoreCase) !== fold(byte, ignoreCase)) return -1
  return p + (escaped ? 2 : 1)
}

/**
 * As Redis: a class without its bracket ends with the pattern; a range may stand backwards, and its
 * bytes are signed, as chars are on x86: from 0x01 to 0xff is from -1 to 1.
 */
function matchClass(pattern: Uint8Array, from: number, byte: number, ignoreCase: boolean): number {
  const wanted = fold(byte, ignoreCase)
  const negated = pattern[from] === CARET
  let p = negated ? from + 1 : from
  let matched = false
  for (; p < pattern.length && pattern[p] !== BRACKET_END; p++) {
    if (pattern[p] === BACKSLASH && p + 1 < pattern.length) {
      p++
      if (pattern[p] === byte) matched = true
    } else if (p + 2 < pattern.length && pattern[p + 1] === DASH) {
      const a = signed(fold(pattern[p]!, ignoreCase))
      const b = signed(fold(pattern[p + 2]!, ignoreCase))
      const char = signed(wanted)
      if (char >= Math.min(a, b) && char <= Math.max(a, b)) matched = true
      p += 2
    } else if (fold(pattern[p]!, ignoreCase) === wanted) {
      matched = true
    }
  }
  if (matched === negated) return -1
  return Math.min(p + 1, pattern.length)
}

function fold(byte: number, ignoreCase: boolean): number {
  return ignoreCase && byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte
}

function signed(byte: number): number {
  return (byte << 24) >> 24
}
