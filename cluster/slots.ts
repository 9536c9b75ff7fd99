/** Slots of a cluster: the number is part of the protocol (redis.io, cluster specification). */
export const SLOT_COUNT = 16384

const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** CRC16 XMODEM (polynomial 0x1021, start 0), one entry for each leading byte. */
const CRC16 = crc16Table()

function crc16Table(): Uint16Array {
  const table = new Uint16Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
    table[byte] = crc
  }
  return table
}

/**
 * The slot, 0..16383, of the key that stands at `pos` with `length` bytes: CRC16 of the key, or of
 * what stands between its first `{` and the first `}` after it if that is not empty (the hash
 * tag). Reads the bytes, allocates nothing. Equal to CLUSTER KEYSLOT for every sequence of bytes.
 */
export function keySlot(bytes: Uint8Array, pos: number, length: number): number {
  const end = pos + length
  let from = pos
  let to = end
  const open = indexOf(bytes, OPEN_BRACE, pos, end)
  if (open < end) {
    const close = indexOf(bytes, CLOSE_BRACE, open + 1, end)
    const tagged = close < end && close > open + 1
    if (tagged) {
      from = open + 1
      to = close
    }
  }
  let crc = 0
  for (let i = from; i < to; i++) {
    crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >> 8) ^ bytes[i]!]!
  }
  return crc & (SLOT_COUNT - 1)
}

/** Keys are short: a loop is cheaper than calling into the runtime. `end` when it is not there. */
function indexOf(bytes: Uint8Array, byte: number, from: number, end: number): number {
  let i = from
  while (i < end && bytes[i] !== byte) i++
  return i
}
