/**
 * The values that rules of a group are written with: times, sizes, counts.
 */

import { bytesOf } from './size.ts'

/** A word that is no value of its kind; the message says what would be one. */
export class RuleError extends Error {
  override name = 'RuleError'
}

/** What a rule's number may be, both ends included. */
export interface Limits {
  readonly min: number
  readonly max: number
}

const TIME_UNITS: Readonly<Record<string, number>> = {
  '': 1000,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Milliseconds of `250ms`, `5s`, `5m`, `2h`, `1d`; a plain number is seconds. */
export function parseTime(word: string, limits: Limits): number {
  const milliseconds = withUnit(word, TIME_UNITS)
  if (Number.isNaN(milliseconds)) {
    throw new RuleError(`'${word}' is no time (write 250ms, 5s, 5m, 2h or 1d)`)
  }
  return within(word, milliseconds, limits, formatTime)
}

/** Bytes of `512`, `100kb`, `8mb`, `1gb` (powers of 1024) or `100k`, `8m`, `1g` (of 1000). */
export function parseSize(word: string, limits: Limits): number {
  const bytes = word === '' ? NaN : bytesOf(word)
  if (Number.isNaN(bytes)) {
    throw new RuleError(`'${word}' is no size (write 100kb, 8mb or a number of bytes)`)
  }
  return within(word, bytes, limits, (limit) => `${limit} bytes`)
}

/** A whole number. */
export function parseCount(word: string, limits: Limits): number {
  const count = withUnit(word, { '': 1 })
  if (Number.isNaN(count)) throw new RuleError(`'${word}' is no whole number`)
  return within(word, count, limits, String)
}

/** The shortest way to write so many milliseconds. */
export function formatTime(milliseconds: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = TIME_UNITS[unit] as number
    if (milliseconds > 0 && milliseconds % size === 0) return `${milliseconds / size}${unit}`
  }
  return `${milliseconds}ms`
}

function withUnit(word: string, units: Readonly<Record<string, number>>): number {
  const parts = /^(\d{1,15})([a-z]*)$/i.exec(word)
  const unit = units[parts?.[2]?.toLowerCase() ?? '?']
  return unit === undefined ? NaN : Number(parts?.[1]) * unit
}

function within(
  word: string,
  value: number,
  limits: Limits,
  format: (limit: number) => string,
): number {
  if (value < limits.min) throw new RuleError(`'${word}' is below ${format(limits.min)}`)
  if (value > limits.max) throw new RuleError(`'${word}' is above ${format(limits.max)}`)
  return value
}
