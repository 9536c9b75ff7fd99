/**
 * Bits of bytes, 32 at a time: how many are set, and where the first of one kind is. Bit 0 of a byte
 * is its highest, as in all bit commands.
 */

/** Set bits of each byte. */
const SET_BITS = Uint8Array.from({ length: 256 }, (_, byte) => popcount(byte))

/** Shorter stretches are not worth a view of words. */
const WORDS_WORTH_BYTES = 32

/** Set bits of a byte. */
export function bitsOf(byte: number): number {
  return SET_BITS[byte]!
}

/** Set bits of all bytes. */
export function countBits(bytes: Uint8Array): number {
  const { length } = bytes
  if (length < WORDS_WORTH_BYTES) return countBytes(bytes, 0, length)
  const head = -bytes.byteOffset & 3
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + head, (length - head) >> 2)
  let sum = countBytes(bytes, 0, head) + countBytes(bytes, head + 4 * words.length, length)
  for (let i = 0; i < words.length; i++) sum += popcount(words[i]!)
  return sum
}

function countBytes(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0
  for (let i = from; i < to; i++) sum += SET_BITS[bytes[i]!]!
  return sum
}

/** Hacker's Delight, figure 5-2. */
function popcount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** Which of these bytes' bits is the first that is `bit`; -1: none. */
export function firstBit(bytes: Uint8Array, bit: number): number {
  const none = bit === 1 ? 0 : 0xff
  let i = 0
  if (bytes.length >= WORDS_WORTH_BYTES) {
    const head = -bytes.byteOffset & 3
    while (i < head && bytes[i] === none) i++
    if (i === head) i += 4 * equalWords(bytes, head, bit === 1 ? 0 : -1)
  }
  while (i < bytes.length && bytes[i] === none) i++
  return i === bytes.length ? -1 : 8 * i + firstBitOf(bytes[i]!, bit)
}

/** How many words from `head` on are this one. */
function equalWords(bytes: Uint8Array, head: number, word: number): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + head, (bytes.length - head) >> 2)
  let i = 0
  while (i < words.length && words[i] === word) i++
  return i
}

/** The same of one byte. */
export function firstBitOf(byte: number, bit: number): number {
  const wanted = bit === 1 ? byte : ~byte & 0xff
  return wanted === 0 ? -1 : Math.clz32(wanted) - 24
}
