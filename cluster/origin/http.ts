import { type Dispatcher, errors, Pool } from 'undici'
import {
  originEncoding,
  originFailed,
  originProtocol,
  originRedirect,
  originRedirects,
  originReset,
  originShort,
  originStatus,
  originTooLarge,
} from '../../protocol/errors.ts'
import { timeoutError } from './deadline.ts'
import {
  closingError,
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginGroup,
  type OriginRequest,
  type WriteRequest,
} from './loader.ts'
import { keepingOf } from './response-headers.ts'
import { codeOf, connectionErrorOf } from './socket-error.ts'

/**
 * Loads values from http:// and https:// origins, by undici.
 *
 * - 200 is a value, 204 an empty one, 404 and 410 are "there is no such thing"; any other status
 *   is an error, and its body is not looked at.
 * - A body over the group's max-body is given up at the first byte too many, or at once if its
 *   content-length says so, and its connection is destroyed.
 * - A body that ends before its announced length is an error, never a value.
 * - Redirects are followed within the origin's scheme, host and port, a few times.
 * - What is known already is asked for by If-None-Match, and a 304 says that it still stands.
 * - Each group has a pool of its own with as many connections as it may have loads at once, kept
 *   alive between loads: groups never wait for each other's.
 * - A write is a PUT, a removal a DELETE, to the same URL. They are sent once: who never heard the
 *   answer cannot know whether a later write has come in between.
 *
 * The signal ends a load at any point. undici's own timers are off, except the one for a connection
 * being made, which a signal does not stop.
 */
export class HttpLoader implements Loader {
  readonly #headers: Headers
  /** By the group's name. */
  readonly #pools = new Map<string, GroupPool>()
  #closed = false

  constructor(options: HttpLoaderOptions) {
    this.#headers = { 'user-agent': `ringtier/${options.version}`, accept: '*/*' }
  }

  async load(request: LoadRequest): Promise<Loaded> {
    const { group, etag } = request
    const headers = {
      ...this.#headersOf(group),
      ...(etag === null ? {} : { 'if-none-match': etag }),
    }
    let url = request.url
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const response = await this.#get(request, url, headers)
      const { location } = response.headers
      if (!REDIRECTS.has(response.statusCode) || typeof location !== 'string') {
        return readResponse(request, response)
      }
      await discard(response)
      url = follow(group, url, location)
    }
    throw new OriginError('redirect', originRedirects(group.name, REDIRECTS_MAX))
  }

  async write(request: WriteRequest): Promise<void> {
    const { group, url, value, ttlMs } = request
    const asked: Asked =
      value === null
        ? { method: 'DELETE', headers: this.#headersOf(group) }
        : { method: 'PUT', headers: this.#headersOf(group, bodyHeaders(ttlMs)), body: value }
    let response
    try {
      response = await this.#send(request, url, asked)
    } catch (error) {
      throw originErrorOf(error, request, { answered: false })
    }
    await discard(response)
    const { statusCode } = response
    const isGone = value === null && MISSING.has(statusCode)
    if (statusCode < 200 || (statusCode > 299 && !isGone)) throw statusError(group, statusCode)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()))
    this.#pools.clear()
  }

  /** The group's own headers stand above ours, except the one that our reading of a body rests on. */
  #headersOf(group: OriginGroup, ofBody: Headers = {}): Headers {
    const own = group.headers.map(([name, value]) => [name.toLowerCase(), value] as const)
    const asked = { ...this.#headers, ...ofBody, ...Object.fromEntries(own) }
    return { ...asked, 'accept-encoding': 'identity' }
  }

  /**
   * One GET, up to the head of its response. A connection that was kept alive may be closed by
   * the origin just when it is used again; that says nothing about the origin, so the request is
   * sent a second time (RFC 9112, 9.3.1).
   */
  async #get(request: LoadRequest, url: string, headers: Headers): Promise<Response> {
    const asked: Asked = { method: 'GET', headers }
    try {
      return await this.#send(request, url, asked).catch((error: unknown) => {
        if (!isStaleConnection(error) || request.signal.aborted) throw error
        return this.#send(request, url, asked)
      })
    } catch (error) {
      throw originErrorOf(error, request, { answered: false })
    }
  }

  async #send({ group, signal }: OriginRequest, url: string, asked: Asked): Promise<Response> {
    const path = url.slice(group.origin.length)
    return this.#pool(group).request({ ...asked, path, signal })
  }

  #pool(group: OriginGroup): Pool {
    if (this.#closed) throw closingError(group)
    const { concurrency } = group
    const existing = this.#pools.get(group.name)
    if (existing?.concurrency === concurrency) return existing.pool
    // The rule has changed: what is under way ends in the old pool.
    void existing?.pool.close()
    const pool = new Pool(group.origin, {
      connections: concurrency,
      connect: { timeout: group.timeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: HEADER_BYTES_MAX,
    })
    this.#pools.set(group.name, { pool, concurrency })
    return pool
  }
}

export interface HttpLoaderOptions {
  /** Ours, for the user-agent header. */
  readonly version: string
}

type Headers = Readonly<Record<string, string>>
type Response = Dispatcher.ResponseData

interface GroupPool {
  readonly pool: Pool
  readonly concurrency: number
}

interface Asked {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  readonly headers: Headers
  readonly body?: Uint8Array
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const MISSING: ReadonlySet<number> = new Set([404, 410])
/** Within one host, more than this is a loop or a puzzle. */
const REDIRECTS_MAX = 3
/** Node's own default. */
const HEADER_BYTES_MAX = 16_384
/** A body that is not wanted is read up to here, to keep its connection; a longer one costs it. */
const DISCARDED_BYTES_MAX = 65_536

/** The URL that a redirect leads to. It may not leave the origin. */
function follow(group: OriginGroup, from: string, location: string): string {
  const to = URL.canParse(location, from) ? new URL(location, from) : null
  if (to === null || to.origin !== group.origin) {
    throw new OriginError('redirect', originRedirect(group.name))
  }
  return to.origin + to.pathname + to.search
}

/**
 * Stores that keep a file's Cache-Control with it (S3, Google Cloud Storage) send it again with each
 * GET, so the time a client has set makes the round trip.
 */
function bodyHeaders(ttlMs: number): Headers {
  const type = { 'content-type': 'application/octet-stream' }
  return ttlMs === 0 ? type : { ...type, 'cache-control': `max-age=${Math.ceil(ttlMs / 1000)}` }
}

async function readResponse(request: LoadRequest, response: Response): Promise<Loaded> {
  const { group, etag } = request
  const { statusCode } = response
  const keeping = keepingOf(group, response.headers)
  if (statusCode === 200) return { ...keeping, value: await readBody(request, response) }
  await discard(response)
  if (statusCode === 204) return { ...keeping, value: Buffer.alloc(0) }
  if (MISSING.has(statusCode)) return { ...keeping, value: null }
  if (statusCode === 304 && etag !== null) {
    return { etag, ...keeping, value: null, unchanged: true }
  }
  throw statusError(group, statusCode)
}

function statusError({ name }: OriginGroup, status: number): OriginError {
  return new OriginError('status', originStatus(name, status), undefined, String(status))
}

async function readBody(request: LoadRequest, response: Response): Promise<Buffer> {
  const { group } = request
  const { headers, body } = response
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') {
    abandon(response)
    throw new OriginError('encoding', originEncoding(group.name))
  }
  const bytesMax = group.bodyBytesMax
  if (Number(headers['content-length'] ?? 0) > bytesMax) {
    abandon(response)
    throw new OriginError('too-large', originTooLarge(group.name, bytesMax))
  }
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length
      // Leaving the loop destroys the body, and with it the connection.
      if (length > bytesMax) {
        throw new OriginError('too-large', originTooLarge(group.name, bytesMax))
      }
      chunks.push(chunk)
    }
  } catch (error) {
    throw originErrorOf(error, request, { answered: true })
  }
  return Buffer.concat(chunks, length)
}

/** Reads what is left of a body that is not wanted. How it ends does not matter. */
async function discard({ body }: Response): Promise<void> {
  body.on('error', () => {})
  await body.dump({ limit: DISCARDED_BYTES_MAX })
}

/** Gives up a body and its connection. */
function abandon({ body }: Response): void {
  body.on('error', () => {}).destroy()
}

/** The connection was lost before the answer, but had brought an earlier one. */
function isStaleConnection(error: unknown): boolean {
  return error instanceof errors.SocketError && (error.socket?.bytesRead ?? 0) > 0
}

/** The parser's word for a chunked body that ends with its connection; it has no code of its own. */
function isCutChunks(error: unknown): boolean {
  return error instanceof errors.HTTPParserError && error.message.includes('Invalid EOF state')
}

const CONNECTION_LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
const SHORT_BODY = 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
const HEADERS_TOO_LONG = 'UND_ERR_HEADERS_OVERFLOW'

/** What an error of undici, of the socket or of TLS means. `answered`: the response had begun. */
function originErrorOf(
  error: unknown,
  { group, signal }: OriginRequest,
  { answered }: { readonly answered: boolean },
): OriginError {
  if (error instanceof OriginError) return error
  if (signal.aborted) return timeoutError(group)
  const { name } = group
  const code = codeOf(error)
  if (CONNECTION_LOST.has(code)) {
    return answered
      ? new OriginError('short', originShort(name), error)
      : new OriginError('reset', originReset(name), error)
  }
  if (code === SHORT_BODY || isCutChunks(error))
    return new OriginError('short', originShort(name), error)
  if (error instanceof errors.HTTPParserError || code === HEADERS_TOO_LONG) {
    return new OriginError('protocol', originProtocol(name, 'HTTP'), error)
  }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return closingError(group, error)
  return connectionErrorOf(error, name) ?? new OriginError('failed', originFailed(name), error)
}
