/*
 * The floats of INCRBYFLOAT.
 *
 * redis-server adds them as C's `long double` and prints the sum with "%.17Lf", so that 0.1 + 0.2 is
 * 0.3 and 3.0 + 5 is 8. On x86-64 a long double is the extended format of the x87: 64 bits of
 * mantissa, an exponent of 15. A JavaScript number has 53 bits and prints 0.30000000000000004, and a
 * counter that was 0.1 in one cache and 0.10000000000000001 in another is a bug somebody will meet.
 * So the format is done here exactly, on BigInt:
 *
 *     value = mantissa * 2^exponent      |mantissa| < 2^64, exponent >= -16445
 *
 * Text is a fraction of two integers, which is rounded to such a value once; a sum is formed
 * exactly and rounded once; printing multiplies by 10^17 and rounds once. Each rounding is to the
 * nearest, a tie to the even one, as the hardware and the C library do. Every digit is then that of
 * redis-server 7.0 on x86-64 (on ARM its long doubles have more bits, and its digits differ from
 * its own on x86). A number takes microseconds, which is plenty for a command that nobody calls in
 * a loop, and 4,932 digits in front of the point, the longest there is, about a millisecond.
 *
 * Rejected: adding JavaScript numbers and printing 15 digits (wrong from 2^53 on, and in the 16th
 * digit), and adding decimals exactly (never wrong, but then 1e20 + 0.1 keeps its 0.1 where Redis
 * drops it).
 */

/** A finite value in the x87's extended format: mantissa * 2^exponent; zero has the mantissa 0. */
export interface Extended {
  readonly mantissa: bigint
  readonly exponent: number
}

/** What `parseExtended` and `addExtended` give for a number too large, and for 'inf'. */
export const INFINITE = 'infinite'

const MANTISSA_BITS = 64
/** Of the last bit of the mantissa: of the smallest number, and of the largest. */
const EXPONENT_MIN = -16445
const EXPONENT_MAX = 16383 - 63

const ZERO: Extended = { mantissa: 0n, exponent: 0 }

/** Redis copies the text to a buffer of 5 KB first; what does not fit is no float. */
export const EXTENDED_TEXT_MAX = 5 * 1024 - 1
/** Decimal numbers of more digits before the point, or zeros after it, need not be calculated. */
const DECIMAL_MAGNITUDE_MAX = 4940
const DECIMAL_MAGNITUDE_MIN = -4960
/** The same in bits. */
const BINARY_MAGNITUDE_MAX = 16390
const BINARY_MAGNITUDE_MIN = -16450

const DECIMAL = /^([+-]?)(\d+\.?\d*|\.\d+)(?:e([+-]?\d+))?$/i
const HEXADECIMAL = /^([+-]?)0x([\da-f]+\.?[\da-f]*|\.[\da-f]+)(?:p([+-]?\d+))?$/i
const INFINITE_TEXT = /^[+-]?inf(?:inity)?$/i

/**
 * The value of text by the rules of redis-server's string2ld: all that C's strtold reads to the last
 * character, but no blank in front and no NaN. Null when it is no such number, and also when it is
 * too large, or not zero and too small, for the format; INFINITE only for the word itself.
 */
export function parseExtended(text: string): Extended | typeof INFINITE | null {
  if (text.length > EXTENDED_TEXT_MAX) return null
  if (INFINITE_TEXT.test(text)) return INFINITE
  const decimal = DECIMAL.exec(text)
  const parts = decimal ?? HEXADECIMAL.exec(text)
  if (parts === null) return null
  const [, sign, digits, exponent = '0'] = parts as unknown as [string, string, string, string?]
  const magnitude = decimal
    ? parseDecimal(digits, Number(exponent))
    : parseHexadecimal(digits, Number(exponent))
  if (magnitude === null || sign !== '-') return magnitude
  return { mantissa: -magnitude.mantissa, exponent: magnitude.exponent }
}

/** The digits as one integer, and how many of them stood behind the point. */
function withoutPoint(digits: string): { significant: string; behindPoint: number } {
  const point = digits.indexOf('.')
  return {
    significant: digits.replace('.', '').replace(/^0+/, ''),
    behindPoint: point < 0 ? 0 : digits.length - point - 1,
  }
}

function parseDecimal(digits: string, exponent: number): Extended | null {
  const { significant, behindPoint } = withoutPoint(digits)
  if (significant === '') return ZERO
  const scale = exponent - behindPoint
  const magnitude = significant.length + scale
  if (magnitude > DECIMAL_MAGNITUDE_MAX || magnitude < DECIMAL_MAGNITUDE_MIN) return null
  const integer = BigInt(significant)
  const value =
    scale >= 0
      ? round(integer * 10n ** BigInt(scale), 0)
      : roundQuotient(integer, 10n ** BigInt(-scale))
  return value === INFINITE || value.mantissa === 0n ? null : value
}

function parseHexadecimal(digits: string, exponent: number): Extended | null {
  const { significant, behindPoint } = withoutPoint(digits)
  if (significant === '') return ZERO
  const scale = exponent - 4 * behindPoint
  const magnitude = 4 * significant.length + scale
  if (magnitude > BINARY_MAGNITUDE_MAX || magnitude < BINARY_MAGNITUDE_MIN) return null
  const value = round(BigInt(`0x${significant}`), scale)
  return value === INFINITE || value.mantissa === 0n ? null : value
}

/** The sum, rounded to the format. */
export function addExtended(a: Extended, b: Extended): Extended | typeof INFINITE {
  const exponent = Math.min(a.exponent, b.exponent)
  const exact =
    (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent))
  return round(exact, exponent)
}

/** Digits behind the point. */
const FRACTION_DIGITS = 17

/** As C's "%.17Lf", without the zeros (and the point) at the end; never '-0'. */
export function formatExtended(value: Extended): string {
  const negative = value.mantissa < 0n
  const magnitude = (negative ? -value.mantissa : value.mantissa) * 10n ** BigInt(FRACTION_DIGITS)
  const scaled =
    value.exponent >= 0
      ? magnitude << BigInt(value.exponent)
      : shiftRightToEven(magnitude, -value.exponent)
  const digits = scaled.toString().padStart(FRACTION_DIGITS + 1, '0')
  const integer = digits.slice(0, -FRACTION_DIGITS)
  const fraction = digits.slice(-FRACTION_DIGITS).replace(/0+$/, '')
  const text = fraction === '' ? integer : `${integer}.${fraction}`
  return negative && text !== '0' ? `-${text}` : text
}

/** The value nearest to integer * 2^exponent. */
function round(integer: bigint, exponent: number): Extended | typeof INFINITE {
  if (integer === 0n) return ZERO
  const surplus = Math.max(bitLength(integer) - MANTISSA_BITS, EXPONENT_MIN - exponent)
  if (surplus <= 0) return fitting(integer, exponent)
  const negative = integer < 0n
  const magnitude = shiftRightToEven(negative ? -integer : integer, surplus)
  return fitting(negative ? -magnitude : magnitude, exponent + surplus)
}

/** The value nearest to numerator / denominator, both above zero. */
function roundQuotient(numerator: bigint, denominator: bigint): Extended | typeof INFINITE {
  // Two bits more than a mantissa, and a last one that stands for all that is cut off.
  const shift = Math.max(0, MANTISSA_BITS + 2 - (bitLength(numerator) - bitLength(denominator)))
  const shifted = numerator << BigInt(shift)
  const quotient = shifted / denominator
  const sticky = quotient * denominator === shifted ? 0n : 1n
  return round((quotient << 1n) | sticky, -shift - 1)
}

/** A mantissa of at most 65 bits (rounding up can give 2^64), its exponent brought into range. */
function fitting(mantissa: bigint, exponent: number): Extended | typeof INFINITE {
  const length = bitLength(mantissa)
  const excess = exponent - EXPONENT_MAX
  return length + excess > MANTISSA_BITS ? INFINITE : { mantissa, exponent }
}

/** magnitude / 2^bits, rounded to the nearest; a tie to the even one. */
function shiftRightToEven(magnitude: bigint, bits: number): bigint {
  const shift = BigInt(bits)
  const quotient = magnitude >> shift
  const rest = magnitude - (quotient << shift)
  const half = 1n << (shift - 1n)
  const up = rest > half || (rest === half && (quotient & 1n) === 1n)
  return up ? quotient + 1n : quotient
}

function bitLength(integer: bigint): number {
  const hexadecimal = (integer < 0n ? -integer : integer).toString(16)
  return 4 * (hexadecimal.length - 1) + (32 - Math.clz32(parseInt(hexadecimal[0]!, 16)))
}
