/** Sizes as redis.conf writes them: with a `b` powers of 1024, without it powers of 1000. */

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
}

/**
 * Bytes of '100', '100k' (100,000), '100kb' (102,400), 'm' 'mb' 'g' 'gb', in any case; 0 of an empty
 * text, as in Redis; NaN: it is no size. Not exact above 2^53, Infinity above 2^1024.
 */
export function bytesOf(text: string): number {
  const [, digits, unit] = /^(\d+)([kmg]?b?)$/i.exec(text) ?? []
  if (digits === undefined || unit === undefined) return text === '' ? 0 : NaN
  return Number(digits) * UNITS[unit.toLowerCase()]!
}

/** '512mb' for 536870912: the largest unit that leaves a whole number. */
export function sizeText(bytes: number): string {
  for (const unit of ['gb', 'mb', 'kb']) {
    const scale = UNITS[unit]!
    if (bytes >= scale && bytes % scale === 0) return `${bytes / scale}${unit}`
  }
  return String(bytes)
}
