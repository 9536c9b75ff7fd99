/**
 * CRC-64/Jones, as Redis ends its dumps with: reflected, polynomial 0xad93d23594c935a9, begun with 0,
 * nothing inverted. JavaScript has no fast 64-bit integers, so high and low halves are kept apart, and
 * eight bytes are taken at a time ("slicing by 8", Kounavis and Berry 2005).
 */

/** The polynomial's bits in reverse order. */
const HIGH = 0x95ac9329
const LOW = 0xac4bc9b5

const SLICES = 8
const SLICE = 256

/** SLICES tables of SLICE words: entry n of table k is what byte n brings k bytes later. */
const highs = new Int32Array(SLICES * SLICE)
const lows = new Int32Array(SLICES * SLICE)
for (let n = 0; n < SLICE; n++) {
  let [high, low] = [0, n]
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = (low & 1) !== 0
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (!isOdd) continue
    low ^= LOW
    high ^= HIGH
  }
  highs[n] = high
  lows[n] = low
}
for (let at = SLICE; at < SLICES * SLICE; at++) {
  const [high, low] = [highs[at - SLICE]!, lows[at - SLICE]!]
  const by = low & 0xff
  lows[at] = ((low >>> 8) | (high << 24)) ^ lows[by]!
  highs[at] = (high >>> 8) ^ highs[by]!
}

/** The checksum of bytes that come piece by piece. */
export class Crc64 {
  #high = 0
  #low = 0

  /** Adds bytes[from, end). */
  update(bytes: Uint8Array, from = 0, end = bytes.length): void {
    let high = this.#high
    let low = this.#low
    let at = from
    for (; at + SLICES <= end; at += SLICES) {
      low ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      high ^=
        bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
      const a = 7 * SLICE + (low & 0xff)
      const b = 6 * SLICE + ((low >>> 8) & 0xff)
      const c = 5 * SLICE + ((low >>> 16) & 0xff)
      const d = 4 * SLICE + (low >>> 24)
      const e = 3 * SLICE + (high & 0xff)
      const f = 2 * SLICE + ((high >>> 8) & 0xff)
      const g = SLICE + ((high >>> 16) & 0xff)
      const h = high >>> 24
      low = lows[a]! ^ lows[b]! ^ lows[c]! ^ lows[d]! ^ lows[e]! ^ lows[f]! ^ lows[g]! ^ lows[h]!
      high =
        highs[a]! ^
        highs[b]! ^
        highs[c]! ^
        highs[d]! ^
        highs[e]! ^
        highs[f]! ^
        highs[g]! ^
        highs[h]!
    }
    for (; at < end; at++) {
      const by = (low ^ bytes[at]!) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ lows[by]!
      high = (high >>> 8) ^ highs[by]!
    }
    this.#high = high
    this.#low = low
  }

  /** The checksum so far, as dumps have it: 8 bytes, the lowest first. */
  digest(): Uint8Array {
    const bytes = new Uint8Array(8)
    const view = new DataView(bytes.buffer)
    view.setInt32(0, this.#low, true)
    view.setInt32(4, this.#high, true)
    return bytes
  }
}
