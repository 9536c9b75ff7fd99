/**
 * The values that rules of a group are written with: times, sizes, counts, shares. What is read here
 * is written back by the `show` functions, and reading that gives the same value again.
 */

import { bytesOf, sizeText } from './size.ts'

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

/**
 * Milliseconds of `250ms`, `5s`, `5m`, `2h`, `1d`; a plain number is seconds. `other`: what the rule
 * takes as well, for the message.
 */
export function parseTime(word: string, limits: Limits, other = ''): number {
  const milliseconds = withUnit(word, TIME_UNITS)
  if (Number.isNaN(milliseconds)) {
    const examples = other === '' ? '2h or 1d' : `2h, 1d or ${other}`
    throw new RuleError(`'${word}' is no time (write 250ms, 5s, 5m, ${examples})`)
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

/** A number that may have a fraction: `1`, `0.5`. */
export function parseDecimal(word: string, limits: Limits): number {
  if (!DECIMAL.test(word)) throw new RuleError(`'${word}' is no number (write 1 or 0.5)`)
  return within(word, Number(word), limits, String)
}

/** A part of one: `10%` or `0.1`. */
export function parseShare(word: string, limits: Limits): number {
  const isPercent = word.endsWith('%')
  const digits = isPercent ? word.slice(0, -1) : word
  if (!DECIMAL.test(digits)) throw new RuleError(`'${word}' is no share (write 10% or 0.1)`)
  // 7 / 100 * 100 is not 7, but seven digits of it are.
  const share = isPercent ? Number((Number(digits) / 100).toFixed(8)) : Number(digits)
  return within(word, share, limits, showShare)
}

const DECIMAL = /^\d{1,9}(?:\.\d{1,6})?$/

/** One of a few words, in any case. */
export function parseChoice<const Word extends string>(word: string, words: readonly Word[]): Word {
  const lower = word.toLowerCase()
  const chosen = words.find((candidate) => candidate === lower)
  if (chosen === undefined) throw new RuleError(`'${word}' is none of ${words.join(', ')}`)
  return chosen
}

/** The shortest way to write so many milliseconds. */
export function formatTime(milliseconds: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = TIME_UNITS[unit] as number
    if (milliseconds > 0 && milliseconds % size === 0) return `${milliseconds / size}${unit}`
  }
  return `${milliseconds}ms`
}

/** As formatTime, but no time at all has no unit. */
export function showTime(milliseconds: number): string {
  return milliseconds === 0 ? '0' : formatTime(milliseconds)
}

/** '8mb' */
export function showSize(bytes: number): string {
  return sizeText(bytes)
}

/** '10%' of 0.1. */
export function showShare(share: number): string {
  return `${Number((100 * share).toFixed(6))}%`
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
