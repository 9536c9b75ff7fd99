import type { Group } from '../group.ts'

/** What a loader is asked. */
export interface LoadRequest {
  readonly group: Group
  /** The loader may keep it, nobody changes it. */
  readonly key: Uint8Array
  /** The group's URL, filled from the key. */
  readonly url: string
  /** Aborted when nobody needs the answer any more: the deadline is over, or the server ends. */
  readonly signal: AbortSignal
}

/** What the origin has for a key. */
export interface Loaded {
  /** The loader's until returned, then the caller's. Null: the origin has no such thing. */
  readonly value: Buffer | null
}

/**
 * Asks one kind of origin. The deadline is not the loader's: it stops when the signal is aborted.
 * The simulator replaces it.
 */
export interface Loader {
  /** Rejects with an OriginError; anything else it throws counts as 'failed'. */
  load(request: LoadRequest): Promise<Loaded>
  /** Closes connections; loads under way are rejected. */
  close(): Promise<void>
}

/**
 * Why a load gave no answer.
 * - `busy`: refused here, a limit is reached
 * - `closing`: this server is ending
 * - `encoding`: the answer is in a content-encoding that was not asked for
 * - `failed`: the loader threw something of its own
 * - `key`: the key has no URL
 * - `protocol`: the answer is not valid HTTP
 * - `redirect`: to another host, or too often
 * - `reset`: the connection ended before the answer began
 * - `short`: the connection ended inside the answer
 * - `status`: an HTTP status that is neither a value nor "not found"
 * - `timeout`: the deadline passed
 * - `tls`: no trusted TLS connection
 * - `too-large`: the answer is over max-body
 * - `unreachable`: the host has no address, or takes no connection
 */
export const ORIGIN_ERROR_KINDS = [
  'busy',
  'closing',
  'encoding',
  'failed',
  'key',
  'protocol',
  'redirect',
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

  constructor(kind: OriginErrorKind, line: string, cause?: unknown) {
    super(line, cause === undefined ? undefined : { cause })
    this.kind = kind
  }
}
