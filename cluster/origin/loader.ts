import { originClosing } from '../../protocol/errors.ts'

/** Where a group's values come from, as far as loaders want to know. */
export type OriginTarget =
  | { readonly kind: 'http' }
  | ({ readonly kind: 'redis' } & RedisTarget)
  | { readonly kind: 'module'; readonly path: string }

/** A Redis, or a Redis Cluster. */
export interface RedisTarget {
  readonly tls: boolean
  /** Null: there is none. */
  readonly username: string | null
  readonly password: string | null
  /** One; of a cluster those that are asked for the others. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly db: number
  readonly cluster: boolean
}

/** What loaders need of a group. Its rules may change between two loads. */
export interface OriginGroup {
  readonly name: string
  readonly address: OriginTarget
  /** Scheme, host and port of an HTTP origin, which no key changes; '' of others. */
  readonly origin: string
  /** 0: until evicted. */
  readonly ttlMs: number
  /** Of a whole load, its time in the queue and its retries included. */
  readonly timeoutMs: number
  /** Loads at the origin at once. */
  readonly concurrency: number
  readonly bodyBytesMax: number
  /** Tries after the first one. */
  readonly retries: number
  /** Failures in a row that open the breaker; 0: there is none. */
  readonly breakerFailures: number
  readonly breakerOpenMs: number
  /** Does the origin's word on times stand above the group's? */
  readonly honoursCacheControl: boolean
  /** Sent with each request of an HTTP origin. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Are SET and DEL sent to the origin? */
  readonly writes: boolean
}

/** What every request of a loader has. */
export interface OriginRequest {
  readonly group: OriginGroup
  /** The loader may keep it, nobody changes it. */
  readonly key: Uint8Array
  /** What the wildcards of the group's pattern stand for in the key, by name, in order. */
  readonly params: ReadonlyMap<string, Uint8Array>
  /** The group's URL, filled from the key; '' for origins without one. */
  readonly url: string
  /** Aborted when nobody needs the answer any more: the deadline is over, or the server ends. */
  readonly signal: AbortSignal
}

/** What a loader is asked. */
export interface LoadRequest extends OriginRequest {
  /** Of the value that is there and may still be right: see Loaded.unchanged. */
  readonly etag: string | null
}

/** What a loader is told to write. */
export interface WriteRequest extends OriginRequest {
  /** Null removes. Nobody changes it until the write has ended. */
  readonly value: Uint8Array | null
  /** 0: for ever. */
  readonly ttlMs: number
}

/** What the origin has for a key. Times that it says nothing of are the group's. */
export interface Loaded {
  /** The loader's until returned, then the caller's. Null: the origin has no such thing. */
  readonly value: Buffer | null
  /** The value that has the request's etag still stands. Then `value` is null. */
  readonly unchanged?: boolean | undefined
  /** 0: it may not be kept. */
  readonly freshMs?: number | undefined
  /** After `freshMs`: how long it may be served while it is loaded anew ... */
  readonly staleMs?: number | undefined
  /** ... and how long when the origin fails. */
  readonly staleIfErrorMs?: number | undefined
  /** At most ETAG_BYTES_MAX bytes of ASCII. */
  readonly etag?: string | undefined
  /** At most TAGS_MAX, none twice. */
  readonly tags?: readonly string[] | undefined
  /** One sentence for the log why it is not kept: "its Vary names cookie". */
  readonly note?: string | undefined
}

export type BreakerState = 'closed' | 'open' | 'half-open'

/** Longer ones are not kept: an entry has one byte for their length. */
export const ETAG_BYTES_MAX = 255

/**
 * Asks one kind of origin. The deadline is not the loader's: it stops when the signal is aborted.
 * The simulator replaces it.
 */
export interface Loader {
  /** Rejects with an OriginError; anything else it throws counts as 'failed'. */
  load(request: LoadRequest): Promise<Loaded>
  /** Of groups with `write`. Resolves when the origin has it. Rejects as `load` does. */
  write?(request: WriteRequest): Promise<void>
  /** Of the breaker of the group with this name; without this there is none. */
  breakerState?(group: string): BreakerState
  /** Closes connections; loads under way are rejected. */
  close(): Promise<void>
}

/**
 * Why a load gave no answer.
 * - `breaker`: refused here, the origin failed too often
 * - `busy`: refused here, a limit is reached
 * - `closing`: this server is ending
 * - `encoding`: the answer is in a content-encoding that was not asked for
 * - `failed`: the loader threw something of its own
 * - `key`: the key has no URL
 * - `module`: the module threw, or returned what is no value
 * - `protocol`: the answer is not valid HTTP, or RESP
 * - `redirect`: to another host, or too often
 * - `redis`: the Redis origin answered an error
 * - `reset`: the connection ended before the answer began
 * - `short`: the connection ended inside the answer
 * - `status`: an HTTP status that is neither a value nor "not found"
 * - `timeout`: the deadline passed
 * - `tls`: no trusted TLS connection
 * - `too-large`: the answer is over max-body
 * - `unreachable`: the host has no address, or takes no connection
 */
export const ORIGIN_ERROR_KINDS = [
  'breaker',
  'busy',
  'closing',
  'encoding',
  'failed',
  'key',
  'module',
  'protocol',
  'redirect',
  'redis',
  'reset',
  'short',
  'status',
  'timeout',
  'tls',
  'too-large',
  'unreachable',
] as const

export type OriginErrorKind = (typeof ORIGIN_ERROR_KINDS)[number]

/** A load that failed. The message is the line for the client (protocol/errors.ts). */
export class OriginError extends Error {
  override name = 'OriginError'
  readonly code = 'ORIGIN'
  readonly kind: OriginErrorKind
  /** `503` of a status, `WRONGTYPE` of a Redis, `ECONNREFUSED` of the system; '' where there is none. */
  readonly detail: string

  constructor(kind: OriginErrorKind, line: string, cause?: unknown, detail = '') {
    super(line, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.detail = detail
  }
}

/** The loader was closed. */
export function closingError({ name }: OriginGroup, cause?: unknown): OriginError {
  return new OriginError('closing', originClosing(name), cause)
}
