import {
  originFunction,
  originNoValue,
  originRefused,
  originTooLarge,
} from '../../protocol/errors.ts'
import { parseTime, RuleError } from '../groups/rule.ts'
import { withinDeadline } from './deadline.ts'
import {
  closingError,
  ETAG_BYTES_MAX,
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginGroup,
  type OriginRequest,
  type WriteRequest,
} from './loader.ts'
import { tagsFault } from './tags.ts'

/**
 * Loads values by functions of the operator's own: those of a module, or of the program that ringtier
 * is a part of.
 *
 *     export async function load(key, { params, signal, ttl, notFound }) {
 *       const user = await find(params.id)
 *       return user === null ? notFound : JSON.stringify(user)
 *     }
 *
 * The functions run in ringtier's process: while one computes without waiting nothing else runs. One
 * that hangs is left alone at the deadline.
 *
 * Keys are handed over as UTF-8 text, since that is what nearly all of them are. Bytes that are none
 * become U+FFFD, so keys that are no text look alike: who has such looks at `rawKey`.
 */
export class FunctionLoader implements Loader {
  readonly #functions: LoadFunctions
  #closed = false

  constructor(functions: LoadFunctions) {
    this.#functions = functions
  }

  async load(request: LoadRequest): Promise<Loaded> {
    const { load } = this.#functions
    const context: LoadContext = {
      ...contextOf(request),
      ttl: request.group.ttlMs / 1000,
      etag: request.etag,
      notFound,
      unchanged,
    }
    const returned = await this.#call(request, 'load', (key) => load(key, context))
    return readReturned(returned, request)
  }

  async write(request: WriteRequest): Promise<void> {
    const { value, ttlMs } = request
    const { store, remove } = this.#functions
    const context: WriteContext = { ...contextOf(request), ttl: ttlMs / 1000 }
    await this.#call(request, value === null ? 'remove' : 'store', (key) => {
      if (value === null) return required('remove', remove)(key, context)
      // A copy: what it does with it later is its own affair.
      return required('store', store)(key, Buffer.from(value), context)
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#functions.close?.()
  }

  async #call(
    request: OriginRequest,
    name: string,
    call: (key: string) => unknown,
  ): Promise<unknown> {
    const { group, key } = request
    if (this.#closed) throw closingError(group)
    // What it throws at once is a rejection like any other.
    const work = (async () => {
      const returned = await call(textOf(key))
      if (returned instanceof Refusal) throw returned
      return returned
    })()
    try {
      return await withinDeadline(request, work)
    } catch (error) {
      if (error instanceof OriginError) throw error
      if (error instanceof Refusal) {
        throw new OriginError('key', originRefused(group.name, error.message))
      }
      throw new OriginError('module', originFunction(group.name, name), error)
    }
  }
}

/** What a module exports, or an embedding program hands in. */
export interface LoadFunctions {
  /** Returns, or promises, a `LoadResult`; anything else is an error. */
  readonly load: (key: string, context: LoadContext) => unknown
  /** The next two are for groups with `write`. What they return is not looked at. */
  readonly store?: (key: string, value: Buffer, context: WriteContext) => unknown
  readonly remove?: (key: string, context: WriteContext) => unknown
  /** At the end of the server, once. */
  readonly close?: () => unknown
}

interface Context {
  /**
   * To be thrown or returned: it is this key that is wrong, and not the origin. The client hears the
   * reason (200 characters of ASCII), and the breaker does not count it.
   */
  readonly refused: (reason: string) => Error
  /** What the placeholders of the group's pattern stand for. */
  readonly params: Readonly<Record<string, string>>
  /** The key as it is: a copy. */
  readonly rawKey: Buffer
  /** Aborted at the deadline. */
  readonly signal: AbortSignal
}

export interface LoadContext extends Context {
  /** The group's, in seconds; 0: until it is evicted. */
  readonly ttl: number
  /** Of the value that is there, if it was returned with one. */
  readonly etag: string | null
  /** To be returned: there is no such thing. */
  readonly notFound: typeof notFound
  /** To be returned: what has that etag still stands. */
  readonly unchanged: typeof unchanged
}

export interface WriteContext extends Context {
  /** How long the client wants it to live, in seconds; 0: for ever. */
  readonly ttl: number
}

/** Of a `load`. Undefined, like null, is "there is no such thing". */
export type LoadResult =
  | Value
  | {
      readonly value: Value
      /** Seconds, or a text like '5m'. 0: it is not kept. Missing ones are the group's. */
      readonly ttl?: number | string
      readonly stale?: number | string
      readonly staleIfError?: number | string
      /** By which CACHE.INVALIDATE TAG removes it. */
      readonly tags?: readonly string[]
      /** Up to 255 characters of ASCII. */
      readonly etag?: string
    }

type Value = string | Uint8Array | null | undefined | typeof notFound | typeof unchanged

/** See `Context.refused`. */
class Refusal extends Error {}

const refused = (reason: string): Error => new Refusal(reason)

const notFound = Symbol('notFound')
const unchanged = Symbol('unchanged')

/** RFC 9111's limit for a number of seconds, 68 years. */
const TIME_MS_MAX = 2 ** 31 * 1000

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}

function contextOf({ key, params, signal }: OriginRequest): Context {
  const texts = [...params].map(([name, bytes]) => [name, textOf(bytes)] as const)
  return { params: Object.fromEntries(texts), rawKey: Buffer.from(key), signal, refused }
}

function required<T>(name: string, given: T | undefined): T {
  if (given === undefined) throw new TypeError(`there is no function ${name}`)
  return given
}

function readReturned(returned: unknown, request: LoadRequest): Loaded {
  const { group } = request
  try {
    return readResult(returned, request)
  } catch (error) {
    if (error instanceof OriginError) throw error
    throw new OriginError('module', originNoValue(group.name), error)
  }
}

/** Throws an Error that says what is wrong, for the log. */
function readResult(returned: unknown, request: LoadRequest): Loaded {
  if (!isDetailed(returned)) return readValue(returned, request)
  const { ttl, stale, staleIfError, tags, etag } = returned
  const times = {
    ...(ttl === undefined ? {} : { freshMs: readTime('ttl', ttl) }),
    ...(stale === undefined ? {} : { staleMs: readTime('stale', stale) }),
    ...(staleIfError === undefined
      ? {}
      : { staleIfErrorMs: readTime('staleIfError', staleIfError) }),
  }
  return {
    ...(request.group.honoursCacheControl ? times : {}),
    ...readEtag(etag),
    ...readTags(tags),
    ...readValue(returned.value, request),
  }
}

function isDetailed(returned: unknown): returned is Readonly<Record<string, unknown>> {
  if (typeof returned !== 'object' || returned === null || returned instanceof Uint8Array) {
    return false
  }
  if (!('value' in returned)) {
    throw new TypeError('load() returned an object without a value: JSON.stringify it?')
  }
  return true
}

function readValue(value: unknown, request: LoadRequest): Loaded {
  if (value === null || value === undefined || value === notFound) return { value: null }
  if (value === unchanged) {
    if (request.etag === null) throw new TypeError('load() returned unchanged, but etag was null')
    return { value: null, unchanged: true }
  }
  if (typeof value === 'string') return { value: copyOf(Buffer.byteLength(value), value, request) }
  if (value instanceof Uint8Array) return { value: copyOf(value.length, value, request) }
  throw new TypeError(
    `load() returned a value of type ${typeof value} (a string, Buffer or Uint8Array is one)`,
  )
}

/** The function may go on to use its own bytes. */
function copyOf(length: number, value: string | Uint8Array, { group }: LoadRequest): Buffer {
  if (length > group.bodyBytesMax) throw tooLarge(group)
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value)
}

function tooLarge({ name, bodyBytesMax }: OriginGroup): OriginError {
  return new OriginError('too-large', originTooLarge(name, bodyBytesMax))
}

function readTime(name: string, time: unknown): number {
  if (typeof time === 'number' && time >= 0) return Math.min(time * 1000, TIME_MS_MAX)
  if (typeof time === 'string') {
    try {
      return parseTime(time, { min: 0, max: TIME_MS_MAX })
    } catch (error) {
      if (!(error instanceof RuleError)) throw error
    }
  }
  throw new TypeError(
    `load() returned a ${name} that is no number of seconds and no time like '5m'`,
  )
}

function readEtag(etag: unknown): Pick<Loaded, 'etag'> {
  if (etag === undefined || etag === null) return {}
  if (typeof etag !== 'string' || etag.length > ETAG_BYTES_MAX || !/^[!-~ ]*$/.test(etag)) {
    throw new TypeError(`load() returned an etag that is no ASCII text of up to ${ETAG_BYTES_MAX}`)
  }
  return { etag }
}

function readTags(tags: unknown): Pick<Loaded, 'tags'> {
  if (tags === undefined || tags === null) return {}
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string' && tag !== '')) {
    throw new TypeError('load() returned tags that are no array of texts')
  }
  const distinct = [...new Set(tags as readonly string[])]
  const fault = tagsFault(distinct)
  if (fault !== null) throw new TypeError(`load() returned ${fault}`)
  return { tags: distinct }
}
