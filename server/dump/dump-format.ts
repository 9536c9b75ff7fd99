/**
 * What DUMP gives and RESTORE takes: Redis's own payload of a string, so that keys go from Redis to
 * ringtier and back. (docs/compatibility.md)
 *
 *   type 0 | length | value | version u16 | CRC-64 of all before, u64        numbers lowest byte first
 *
 *   length   00llllll   | 01llllll llllllll   | 0x80 l u32, highest byte first | 0x81 l u64, the same
 *   instead of length and value:
 *            0xc0 i8    | 0xc1 i16            | 0xc2 i32                       a number as text
 *            0xc3 length of the compressed | length | compressed (lzf.ts)
 *
 * What is written is what Redis 7.0 writes with `rdbcompression no`: numbers of up to 32 bits as such,
 * everything else as it is. What is read is any payload of a string, of newer versions as well.
 */
import { readInteger } from '../../protocol/number.ts'
import { Crc64 } from './crc64.ts'

/** RDB_VERSION of Redis 7.0. */
const VERSION = 10
/** The newest that is known to write strings in the same way: Valkey 9. */
const VERSION_MAX = 80

const TYPE_STRING = 0

const LENGTH_14 = 0x40
const LENGTH_32 = 0x80
const LENGTH_64 = 0x81
const INT8 = 0xc0
const INT16 = 0xc1
const INT32 = 0xc2
const LZF = 0xc3

const VERSION_BYTES = 2
const CHECKSUM_BYTES = 8
/** Version and checksum. */
export const FOOTER_BYTES = VERSION_BYTES + CHECKSUM_BYTES

/** Type and two lengths of nine bytes each are not longer; nor is a number with its type. */
export const HEAD_BYTES_MAX = 1 + 9 + 9 + 1

/** Texts of numbers are not longer: '-2147483648'. */
const NUMBER_BYTES_MAX = 11

/* ---- writing ---- */

/** What stands before a value that is written as it is. */
export function headOf(length: number): Uint8Array {
  if (length < 0x40) return Uint8Array.of(TYPE_STRING, length)
  if (length < 0x4000) return Uint8Array.of(TYPE_STRING, LENGTH_14 | (length >> 8), length & 0xff)
  const head = new Uint8Array(6)
  head[1] = LENGTH_32
  new DataView(head.buffer).setUint32(2, length)
  return head
}

/** The end of a payload of which the checksum so far is given. */
export function footerOf(checksum: Crc64): Uint8Array {
  const footer = new Uint8Array(FOOTER_BYTES)
  new DataView(footer.buffer).setUint16(0, VERSION, true)
  checksum.update(footer, 0, VERSION_BYTES)
  footer.set(checksum.digest(), VERSION_BYTES)
  return footer
}

/** The payload of a value. */
export function payloadOf(value: Uint8Array): Uint8Array {
  const parts = numberPayload(value) ?? [headOf(value.length), value]
  const checksum = new Crc64()
  for (const part of parts) checksum.update(part)
  return Buffer.concat([...parts, footerOf(checksum)])
}

/** Null: the value is no number that is written as one. */
function numberPayload(value: Uint8Array): Uint8Array[] | null {
  if (value.length > NUMBER_BYTES_MAX) return null
  const number = readInteger(value, 0, value.length)
  if (Number.isNaN(number) || number !== (number | 0)) return null
  const bytes = new Uint8Array(6)
  const view = new DataView(bytes.buffer)
  view.setInt32(2, number, true)
  const isShort = number >= -0x8000 && number < 0x8000
  const isByte = number >= -0x80 && number < 0x80
  bytes[1] = isByte ? INT8 : isShort ? INT16 : INT32
  return [bytes.subarray(0, isByte ? 3 : isShort ? 4 : 6)]
}

/* ---- reading ---- */

/** Where in a payload the value is. */
export interface Dumped {
  /** A number's text; null: it lies in the payload. */
  readonly text: string | null
  /** Position in the payload, and how many bytes there. */
  readonly at: number
  readonly bytes: number
  /** Of the value. */
  readonly length: number
  readonly isCompressed: boolean
}

/** Does a payload end as one of a known version, with this checksum of all that is before it? */
export function isGenuine(footer: Uint8Array, checksum: Crc64): boolean {
  const view = new DataView(footer.buffer, footer.byteOffset, FOOTER_BYTES)
  if (view.getUint16(0, true) > VERSION_MAX) return false
  const digest = checksum.digest()
  return digest.every((byte, i) => byte === footer[VERSION_BYTES + i])
}

/**
 * Reads the beginning of a payload, of which `head` has the first bytes (`HEAD_BYTES_MAX` of them, or
 * all), and which has so many before its footer. Null: it is no string.
 */
export function readHead(head: Uint8Array, bodyBytes: number): Dumped | null {
  if (bodyBytes < 2 || head[0] !== TYPE_STRING) return null
  const view = new DataView(head.buffer, head.byteOffset, Math.min(head.length, bodyBytes))
  const left = view.byteLength - 2
  const code = head[1]!
  if (code === INT8 && left >= 1) return numberOf(view.getInt8(2))
  if (code === INT16 && left >= 2) return numberOf(view.getInt16(2, true))
  if (code === INT32 && left >= 4) return numberOf(view.getInt32(2, true))
  const first = readLength(view, code === LZF ? 2 : 1)
  if (first === null) return null
  if (code !== LZF) {
    const { value: length, next: at } = first
    return dumpedOf({ at, bytes: length, length, isCompressed: false }, bodyBytes)
  }
  const second = readLength(view, first.next)
  if (second === null) return null
  const { value: length, next: at } = second
  return dumpedOf({ at, bytes: first.value, length, isCompressed: true }, bodyBytes)
}

/** As in Redis, what follows the value does not matter. */
function dumpedOf(found: Omit<Dumped, 'text'>, bodyBytes: number): Dumped | null {
  return found.at + found.bytes > bodyBytes ? null : { ...found, text: null }
}

function numberOf(number: number): Dumped {
  const text = String(number)
  return { text, at: 0, bytes: 0, length: text.length, isCompressed: false }
}

function readLength(view: DataView, at: number): { value: number; next: number } | null {
  const left = view.byteLength - at
  if (left < 1) return null
  const code = view.getUint8(at)
  if (code < LENGTH_14) return { value: code, next: at + 1 }
  if (code < LENGTH_32) {
    return left < 2 ? null : { value: view.getUint16(at) & 0x3fff, next: at + 2 }
  }
  if (code === LENGTH_32) {
    return left < 5 ? null : { value: view.getUint32(at + 1), next: at + 5 }
  }
  if (code !== LENGTH_64 || left < 9) return null
  return { value: Number(view.getBigUint64(at + 1)), next: at + 9 }
}
