/**
 * Numbers as Redis reads and prints them. A key may hold "10", and INCR must accept exactly what
 * Redis accepts: its integers are stricter than any language's (`+1`, `01`, ` 1` and `-0` are none),
 * and its floats are what C's strtold takes (`0x1p3`, `.5`, `Infinity`), but with no blank before.
 * Everything here reads bytes in place; only what is rare makes a string.
 */
import { Buffer } from 'node:buffer'

const MINUS = 0x2d
const ZERO = 0x30

/** '-9223372036854775808' has 20 bytes; anything longer is no 64-bit integer. */
const INTEGER_BYTES_MAX = 20
/** So many digits are exact in a double, whatever they are. */
const EXACT_DIGITS = 15
/** Digits of 9223372036854775807, and its halves. */
const INT64_DIGITS = 19
const INT64_HIGH = 9223372036
const INT64_LOW = 854775807
const LOW_DIGITS = 9

/** Redis copies a float's text to a buffer of 5 KB first: longer text is no float. */
const FLOAT_BYTES_MAX = 5 * 1024 - 1

/**
 * A signed 64-bit integer by Redis's strict rules: an optional '-', then '0' alone or digits that do
 * not begin with '0'; in range. NaN when the bytes are none. Beyond 2^53 the nearest double.
 */
export function readInteger(bytes: Uint8Array, pos: number, length: number): number {
  if (length <= 0 || length > INTEGER_BYTES_MAX) return NaN
  const end = pos + length
  const negative = bytes[pos] === MINUS
  let i = negative ? pos + 1 : pos
  if (i === end) return NaN
  let value = bytes[i]! - ZERO
  if (value === 0) return length === 1 ? 0 : NaN
  if (value < 0 || value > 9) return NaN
  if (end - i > EXACT_DIGITS) return readLongInteger(bytes, pos, length)
  for (i++; i < end; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return NaN
    value = value * 10 + digit
  }
  return negative ? -value : value
}

/** The same, exact; null when the bytes are none. */
export function readBigint(bytes: Uint8Array, pos: number, length: number): bigint | null {
  return Number.isNaN(readInteger(bytes, pos, length)) ? null : BigInt(latin1(bytes, pos, length))
}

/** 16 digits and more: the range is checked on the two halves, where doubles are exact. */
function readLongInteger(bytes: Uint8Array, pos: number, length: number): number {
  const negative = bytes[pos] === MINUS
  const first = negative ? pos + 1 : pos
  const end = pos + length
  if (end - first > INT64_DIGITS) return NaN
  let high = 0
  let low = 0
  for (let i = first; i < end; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return NaN
    if (i < end - LOW_DIGITS) high = high * 10 + digit
    else low = low * 10 + digit
  }
  const lowMax = negative ? INT64_LOW + 1 : INT64_LOW
  if (high > INT64_HIGH || (high === INT64_HIGH && low > lowMax)) return NaN
  return Number(latin1(bytes, pos, length))
}

const DECIMAL = /^[+-]?(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d+))?$/i
const HEXADECIMAL = /^([+-]?)0x([\da-f]+(?:\.[\da-f]*)?|\.[\da-f]+)(?:p([+-]?\d+))?$/i
const INFINITE = /^[+-]?inf(?:inity)?$/i

/**
 * A float by the rules of Redis's INCRBYFLOAT: whatever C's strtold reads to the last byte, but no
 * blank in front, no NaN, and nothing that an x86 long double cannot hold (1e5000, 1e-5000). NaN
 * when the bytes are none. Between the ranges of a double and of a long double the result is
 * Infinity or 0, as the nearest double is.
 */
export function readFloat(bytes: Uint8Array, pos: number, length: number): number {
  if (length === 0 || length > FLOAT_BYTES_MAX) return NaN
  const text = latin1(bytes, pos, length)
  const decimal = DECIMAL.exec(text)
  if (decimal) {
    const value = Number(text)
    if (value !== 0 && Number.isFinite(value)) return value
    return isInLongDoubleRange(decimal[1]!, Number(decimal[2] ?? 0)) ? value : NaN
  }
  const hexadecimal = HEXADECIMAL.exec(text)
  if (hexadecimal) {
    const magnitude = readHexadecimal(hexadecimal[2]!, Number(hexadecimal[3] ?? 0))
    return hexadecimal[1] === '-' ? -magnitude : magnitude
  }
  if (INFINITE.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  return NaN
}

/** Halfway between the largest x86 long double and 2^16384: from here on it rounds to infinity. */
const LONG_DOUBLE_OVERFLOW = ((1n << 65n) - 1n) << 16319n
/** 2^-16446, half the smallest x86 long double: from here down it rounds to zero. */
const LONG_DOUBLE_UNDERFLOW_BITS = 16446
/** Powers of ten well outside of both, where nothing needs to be calculated. */
const DECIMAL_EXPONENT_MAX = 4940
const DECIMAL_EXPONENT_MIN = -4960

function isInLongDoubleRange(mantissa: string, exponent: number): boolean {
  const point = mantissa.indexOf('.')
  const digits = mantissa.replace('.', '')
  const significant = digits.replace(/^0+/, '')
  if (significant === '') return true
  const scale = exponent - (point < 0 ? 0 : mantissa.length - point - 1)
  const magnitude = significant.length + scale
  if (magnitude > DECIMAL_EXPONENT_MAX || magnitude < DECIMAL_EXPONENT_MIN) return false
  const integer = BigInt(significant)
  if (scale >= 0) return integer * 10n ** BigInt(scale) < LONG_DOUBLE_OVERFLOW
  const divisor = 10n ** BigInt(-scale)
  if (integer >= LONG_DOUBLE_OVERFLOW * divisor) return false
  return integer << BigInt(LONG_DOUBLE_UNDERFLOW_BITS) > divisor
}

/** Bits kept of a long mantissa: more than a double has, the last one sticky. */
const MANTISSA_BITS = 64
const LONG_DOUBLE_EXPONENT_MAX = 16384

function readHexadecimal(mantissa: string, binaryExponent: number): number {
  const point = mantissa.indexOf('.')
  let integer = BigInt(`0x${mantissa.replace('.', '')}`)
  if (integer === 0n) return 0
  let exponent = binaryExponent - (point < 0 ? 0 : 4 * (mantissa.length - point - 1))
  const bits = integer.toString(2).length
  const magnitude = bits + exponent
  if (magnitude > LONG_DOUBLE_EXPONENT_MAX) return NaN
  if (magnitude === LONG_DOUBLE_EXPONENT_MAX) {
    const ones = (1n << 65n) - 1n
    const top = bits >= 65 ? integer >> BigInt(bits - 65) : integer << BigInt(65 - bits)
    if (top >= ones) return NaN
  }
  const isPowerOfTwo = (integer & (integer - 1n)) === 0n
  const lowest = 1 - LONG_DOUBLE_UNDERFLOW_BITS
  if (magnitude < lowest || (magnitude === lowest && isPowerOfTwo)) return NaN
  if (bits > MANTISSA_BITS) {
    const dropped = BigInt(bits - MANTISSA_BITS)
    const sticky = integer & ((1n << dropped) - 1n) ? 1n : 0n
    integer = (integer >> dropped) | sticky
    exponent += Number(dropped)
  }
  let value = Number(integer)
  for (; exponent > 1023; exponent -= 1023) value *= 2 ** 1023
  for (; exponent < -1022; exponent += 1022) value *= 2 ** -1022
  return value * 2 ** exponent
}

/** Significant digits that tell any two doubles apart; what Redis 7.0 prints. */
const DOUBLE_DIGITS = 17
/** Enough to see whether a tie at the 18th digit is one: no double has 22 zeros and then more. */
const TIE_DIGITS = 40
/** C's %g writes numbers below 10^-4 with an exponent. */
const EXPONENT_MIN = -4

/** A double as C's printf("%.17g") prints it, which is what Redis 7.0 sends. */
export function formatDouble(x: number): string {
  if (Number.isNaN(x)) return 'nan'
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf'
  const sign = x < 0 || Object.is(x, -0) ? '-' : ''
  const [digits, exponent] = significantDigits(Math.abs(x))
  return sign + layOut(digits, exponent)
}

/** 17 digits without the zeros at their end, and the power of ten of the first one. */
function significantDigits(x: number): [digits: string, exponent: number] {
  const [mantissa, exponent] = x.toExponential(DOUBLE_DIGITS - 1).split('e') as [string, string]
  let digits = mantissa.replace('.', '')
  // JavaScript rounds a tie away from zero, C to the even digit.
  const [exact] = x.toExponential(TIE_DIGITS - 1).split('e') as [string]
  const isTie = /^50*$/.test(exact.slice(DOUBLE_DIGITS + 1))
  const isOdd = Number(digits.at(-1)) % 2 === 1
  if (isTie && isOdd) digits = digits.slice(0, -1) + String(Number(digits.at(-1)) - 1)
  return [digits.replace(/(?<=.)0+$/, ''), Number(exponent)]
}

function layOut(digits: string, exponent: number): string {
  if (exponent < EXPONENT_MIN || exponent >= DOUBLE_DIGITS) {
    const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`
    const power = String(Math.abs(exponent)).padStart(2, '0')
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${power}`
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const rest = digits.slice(exponent + 1)
  return rest === '' ? whole : `${whole}.${rest}`
}

/** The bytes as a string, one char a byte. */
export function latin1(bytes: Uint8Array, pos: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + pos, length).toString('latin1')
}
