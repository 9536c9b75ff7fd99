/** What callers of the embedded cache pass, looked at: each mistake is told by its name. */
import { nearest } from '../../cluster/groups/nearest.ts'
import { bytesOf } from '../../cluster/groups/size.ts'
import { policyNames } from '../memory/policies.ts'
import { MEMORY_BYTES_MIN } from '../store/memory.ts'

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

/** Throws a RangeError if there is no policy of this name. */
export function checkEviction(name: unknown): void {
  if ((policyNames as readonly unknown[]).includes(name)) return
  const meant = typeof name === 'string' ? nearest(name, policyNames) : null
  const hint = meant === null ? `there are ${policyNames.join(', ')}` : `did you mean '${meant}'?`
  throw new RangeError(`there is no eviction '${String(name)}': ${hint}`)
}

/** Bytes of memory, as the option of this name has them. Throws a TypeError or RangeError. */
export function memoryOf(name: string, size: unknown): number {
  if (typeof size !== 'number' && typeof size !== 'string') {
    throw new TypeError(`${name} must be bytes or a size like '256mb', but is ${typeName(size)}`)
  }
  const bytes = sizeIn(size)
  if (!Number.isSafeInteger(bytes) || bytes < MEMORY_BYTES_MIN) {
    throw new RangeError(
      `${name} must be a whole number of bytes or a size like '256mb', and at least '2mb' (${MEMORY_BYTES_MIN}), but is ${typeof size === 'string' ? `'${size}'` : size}`,
    )
  }
  return bytes
}

/** Runs what throws RangeErrors about `maxmemory`: the store speaks of it as the server does. */
export function inOurWords<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof RangeError) {
      error.message = error.message
        .replace('the ceiling of maxmemory', 'maxMemoryCeiling')
        .replaceAll('maxmemory', 'maxMemory')
    }
    throw error
  }
}
