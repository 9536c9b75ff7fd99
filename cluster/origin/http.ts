import { type Dispatcher, errors, Pool } from 'undici'
import {
  originClosing,
  originEncoding,
  originFailed,
  originProtocol,
  originRedirect,
  originRedirects,
  originReset,
  originShort,
  originStatus,
  originTls,
  originTooLarge,
  originUnreachable,
} from '../../protocol/errors.ts'
import type { Group } from '../group.ts'
import { type Loaded, type Loader, type LoadRequest, OriginError } from './loader.ts'

/**
 * Loads values from http:// and https:// origins, by undici.
 *
 * - 200 is a value, 204 an empty one, 404 and 410 are "there is no such thing"; any other status
 *   is an error, and its body is not looked at.
 * - A body over the group's max-body is given up at the first byte too many, or at once if its
 *   content-length says so, and its connection is destroyed.
 * - A body that ends before its announced length is an error, never a value.
 * - Redirects are followed within the origin's scheme, host and port, a few times.
 * - Each group has a pool of its own with as many connections as it may have loads at once, kept
 *   alive between loads: groups never wait for each other's.
 *
 * The signal ends a load at any point. undici's own timers are off, except the one for a connection
 * being made, which a signal does not stop.
 */
export class HttpLoader implements Loader {
  readonly #headers: Readonly<Record<string, string>>
  readonly #pools = new Map<Group, Pool>()
  #closed = false

  constructor(options: HttpLoaderOptions) {
    this.#headers = {
      'user-agent': `ringtier/${options.version}`,
      accept: '*/*',
      'accept-encoding': 'identity',
    }
  }

  async load(request: LoadRequest): Promise<Loaded> {
    const { group } = request
    let url = request.url
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const response = await this.#get(request, url)
      const { location } = response.headers
      if (!REDIRECTS.has(response.statusCode) || typeof location !== 'string') {
        return readResponse(request, response)
      }
      await discard(response)
      url = follow(group, url, location)
    }
    throw new OriginError('redirect', originRedirects(group.name, REDIRECTS_MAX))
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
    this.#pools.clear()
  }

  /**
   * One request, up to the head of its response. A connection that was kept alive may be closed by
   * the origin just when it is used again; that says nothing about the origin, so the request is
   * sent a second time (RFC 9112, 9.3.1).
   */
  async #get(request: LoadRequest, url: string): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#send(request, url).catch((error: unknown) => {
        if (!isStaleConnection(error) || request.signal.aborted) throw error
        return this.#send(request, url)
      })
    } catch (error) {
      throw originErrorOf(error, request.group, { answered: false })
    }
  }

  async #send({ group, signal }: LoadRequest, url: string): Promise<Dispatcher.ResponseData> {
    return this.#pool(group).request({
      method: 'GET',
      path: url.slice(group.origin.length),
      headers: this.#headers,
      signal,
    })
  }

  #pool(group: Group): Pool {
    if (this.#closed) throw new OriginError('closing', originClosing(group.name))
    let pool = this.#pools.get(group)
    if (pool === undefined) {
      pool = new Pool(group.origin, {
        connections: group.concurrency,
        connect: { timeout: group.timeoutMs },
        headersTimeout: 0,
        bodyTimeout: 0,
        maxHeaderSize: HEADER_BYTES_MAX,
      })
      this.#pools.set(group, pool)
    }
    return pool
  }
}

export interface HttpLoaderOptions {
  /** Ours, for the user-agent header. */
  readonly version: string
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Within one host, more than this is a loop or a puzzle. */
const REDIRECTS_MAX = 3
/** Node's own default. */
const HEADER_BYTES_MAX = 16_384
/** A body that is not wanted is read up to here, to keep its connection; a longer one costs it. */
const DISCARDED_BYTES_MAX = 65_536

/** The URL that a redirect leads to. It may not leave the origin. */
function follow(group: Group, from: string, location: string): string {
  const to = URL.canParse(location, from) ? new URL(location, from) : null
  if (to === null || to.origin !== group.origin) {
    throw new OriginError('redirect', originRedirect(group.name))
  }
  return to.origin + to.pathname + to.search
}

async function readResponse(
  request: LoadRequest,
  response: Dispatcher.ResponseData,
): Promise<Loaded> {
  const { group } = request
  const { statusCode } = response
  if (statusCode === 200) return { value: await readBody(group, response) }
  await discard(response)
  if (statusCode === 204) return { value: Buffer.alloc(0) }
  if (statusCode === 404 || statusCode === 410) return { value: null }
  throw new OriginError('status', originStatus(group.name, statusCode))
}

async function readBody(group: Group, response: Dispatcher.ResponseData): Promise<Buffer> {
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
    throw originErrorOf(error, group, { answered: true })
  }
  return Buffer.concat(chunks, length)
}

/** Reads what is left of a body that is not wanted. How it ends does not matter. */
async function discard({ body }: Dispatcher.ResponseData): Promise<void> {
  body.on('error', () => {})
  await body.dump({ limit: DISCARDED_BYTES_MAX })
}

/** Gives up a body and its connection. */
function abandon({ body }: Dispatcher.ResponseData): void {
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
/** Codes of OpenSSL's verdicts on certificates, of its handshake, and Node's around them. */
const TLS =
  /^(?:ERR_TLS|ERR_SSL|EPROTO$|CERT|CRL|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH|ERROR_IN_)/
const UNREACHABLE =
  /^(?:UND_ERR_CONNECT_TIMEOUT|ENOTFOUND|EAI_|ECONN|EHOST|ENET|EADDR|ETIMEDOUT|EACCES|EPERM)/

/** What an error of undici, of the socket or of TLS means. `answered`: the response had begun. */
function originErrorOf(
  error: unknown,
  group: Group,
  { answered }: { readonly answered: boolean },
): OriginError {
  if (error instanceof OriginError) return error
  const { name } = group
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (CONNECTION_LOST.has(code)) {
    return answered
      ? new OriginError('short', originShort(name), error)
      : new OriginError('reset', originReset(name), error)
  }
  if (code === SHORT_BODY || isCutChunks(error))
    return new OriginError('short', originShort(name), error)
  if (error instanceof errors.HTTPParserError || code === HEADERS_TOO_LONG) {
    return new OriginError('protocol', originProtocol(name), error)
  }
  if (TLS.test(code)) return new OriginError('tls', originTls(name, code), error)
  if (UNREACHABLE.test(code)) {
    return new OriginError('unreachable', originUnreachable(name, code), error)
  }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') {
    return new OriginError('closing', originClosing(name), error)
  }
  return new OriginError('failed', originFailed(name), error)
}
