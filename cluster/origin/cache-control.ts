import { parseHttpDate } from './http-date.ts'

/**
 * How long an HTTP response may be kept, by its headers: RFC 9111 for a shared cache, RFC 5861 for
 * what comes after.
 *
 * - `no-store`, `private` and `no-cache`: not at all. With field names in quotes they count as
 *   without (5.2.2.4 and 5.2.2.7 allow it).
 * - `s-maxage`, else `max-age`, else `Expires` less `Date`; of that `Age` has gone by already. What
 *   is no number counts as stale (4.2.1), a repeated directive as its first.
 * - `stale-while-revalidate` and `stale-if-error` are counted from there on. `must-revalidate` and
 *   `proxy-revalidate` forbid both, the group's as well. `s-maxage` alone does not: by the letter it
 *   does (5.2.2.10), but nobody who writes `s-maxage=60, stale-while-revalidate=600` means that.
 * - Without any of these the group's rules stand: they are what RFC 9111 calls a heuristic.
 *
 * Clocks are not compared: `Expires` without a `Date` says nothing, unless it is no date at all,
 * which has always meant "expired". What a request's own time adds to `Age` is left out.
 */
export function freshnessOf(headers: ResponseHeaders): Freshness {
  const directives = directivesOf(textOf(headers['cache-control']))
  const forbidden = FORBIDDING.find((name) => directives.has(name))
  if (forbidden !== undefined) return notKept(`its Cache-Control says ${forbidden}`)
  const lifetimeMs = lifetimeOf(directives, headers)
  const ageMs = lifetimeMs === undefined ? 0 : ageOf(headers)
  const leftMs = (lifetimeMs ?? 0) - ageMs
  const overdueMs = Math.max(0, -leftMs)
  return {
    ...(lifetimeMs === undefined ? {} : { freshMs: Math.max(0, leftMs) }),
    ...graceOf(directives, overdueMs),
    ...(lifetimeMs !== undefined && leftMs <= 0 ? { note: 'it was stale when it came' } : {}),
  }
}

export interface Freshness {
  readonly freshMs?: number
  readonly staleMs?: number
  readonly staleIfErrorMs?: number
  readonly note?: string
}

/** By name in lower case; an array where the header came more than once. */
export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Of a response that is served and not kept. */
export function notKept(note: string): Freshness {
  return { freshMs: 0, staleMs: 0, staleIfErrorMs: 0, note }
}

/** The header's values as one list, '' if it is not there. */
export function textOf(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '')
}

const FORBIDDING = ['no-store', 'private', 'no-cache'] as const
const NO_STALE = ['must-revalidate', 'proxy-revalidate'] as const

/** RFC 9111, 1.2.2: what a larger number of seconds is read as. */
const SECONDS_MAX = 2 ** 31

/** `name`, `name=token`, `name="quoted"`. */
const DIRECTIVE = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g

function directivesOf(text: string): ReadonlyMap<string, string> {
  const directives = new Map<string, string>()
  for (const [, name = '', quoted, token] of text.matchAll(DIRECTIVE)) {
    const key = name.toLowerCase()
    if (!directives.has(key)) directives.set(key, quoted ?? token ?? '')
  }
  return directives
}

/** How long it is fresh from its making on; undefined: the response does not say. */
function lifetimeOf(
  directives: ReadonlyMap<string, string>,
  headers: ResponseHeaders,
): number | undefined {
  const maxAge = directives.get('s-maxage') ?? directives.get('max-age')
  if (maxAge !== undefined) return millisecondsOf(maxAge) ?? 0
  if (headers.expires === undefined) return undefined
  const expires = parseHttpDate(textOf(headers.expires))
  if (Number.isNaN(expires)) return 0
  const date = parseHttpDate(textOf(headers.date))
  return Number.isNaN(date) ? undefined : Math.max(0, expires - date) * 1000
}

function ageOf({ age }: ResponseHeaders): number {
  // Of several the first, as of a list (5.1).
  const [first = ''] = textOf(age).split(',')
  return millisecondsOf(first.trim()) ?? 0
}

function graceOf(
  directives: ReadonlyMap<string, string>,
  overdueMs: number,
): Pick<Freshness, 'staleMs' | 'staleIfErrorMs'> {
  if (NO_STALE.some((name) => directives.has(name))) return { staleMs: 0, staleIfErrorMs: 0 }
  const left = (name: string): number | undefined => {
    const given = millisecondsOf(directives.get(name) ?? '')
    return given === undefined ? undefined : Math.max(0, given - overdueMs)
  }
  const staleMs = left('stale-while-revalidate')
  const staleIfErrorMs = left('stale-if-error')
  return {
    ...(staleMs === undefined ? {} : { staleMs }),
    ...(staleIfErrorMs === undefined ? {} : { staleIfErrorMs }),
  }
}

/** Of a number of seconds; undefined: it is none. */
function millisecondsOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), SECONDS_MAX) * 1000 : undefined
}
