/** What callers of the embedded cache pass, looked at: each mistake is told by its name. */
import { nearest } from '../cluster/nearest.ts'
import { bytesOf } from '../cluster/size.ts'

/** Bytes, or '256mb', '1gb', '512kb' (times 1,024), '256m' (times 1,000). */
export type Size = number | string

/** 'string', 'null', 'Date'. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value
  return (value as { constructor?: { name?: string } }).constructor?.name ?? 'object'
}

/** Throws a TypeError if `options` has others than these. `who`: 'createCache'; '': it is said before. */
export function checkNames(who: string, options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    const meant = nearest(name, names)
    const hint = meant === null ? `there are ${names.join(', ')}` : `did you mean ${meant}?`
    throw new TypeError(`${who} has no option ${name}: ${hint}`.trimStart())
  }
}

/** Bytes; NaN: it is no size. */
export function sizeIn(size: Size): number {
  return typeof size === 'string' ? bytesOf(size.trim()) : size
}
