import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Writable } from 'node:stream'

/** Answers one request, or fails to. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void

interface Asked {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
}

/**
 * An HTTP origin that counts what it is asked and misbehaves on demand. Unless told otherwise it
 * answers every path with 200 and `value of <path>`.
 */
export class OriginServer {
  /** Requests by path and query. */
  readonly counts = new Map<string, number>()
  /** The heads of the requests, oldest first. */
  readonly requests: Asked[] = []
  requestsTotal = 0
  /** Requests that have neither been answered nor lost their connection, and the most there were. */
  active = 0
  activeMax = 0
  connectionsTotal = 0
  readonly #sockets = new Set<Socket>()
  readonly #behaviours = new Map<string, Behaviour>()
  #otherwise: Behaviour = ok(({ url }) => `value of ${url}`)
  readonly #server: Server | TlsServer

  private constructor(tls: boolean) {
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      this.#answer(request, response)
    this.#server = tls
      ? createTlsServer({ key: KEY, cert: CERTIFICATE }, answer)
      : createServer(answer)
    this.#server.on('connection', (socket: Socket) => {
      this.connectionsTotal++
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  /** On a free port of 127.0.0.1, or the given one. With `tls`: a certificate nobody vouches for. */
  static async start({ port = 0, tls = false } = {}): Promise<OriginServer> {
    const origin = new OriginServer(tls)
    await new Promise<void>((resolve, reject) => {
      origin.#server.once('error', reject)
      origin.#server.listen(port, '127.0.0.1', resolve)
    })
    return origin
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** `http://127.0.0.1:port` */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Open connections. */
  get connections(): number {
    return this.#sockets.size
  }

  /** How often this path and query was asked. */
  count(path: string): number {
    return this.counts.get(path) ?? 0
  }

  /** Of the request with this index, by name in lower case. */
  headers(index: number): Record<string, string> {
    const { rawHeaders = [] } = this.requests[index] ?? {}
    const headers: Record<string, string> = {}
    for (let i = 0; i < rawHeaders.length; i += 2) {
      headers[rawHeaders[i]!.toLowerCase()] = rawHeaders[i + 1]!
    }
    return headers
  }

  /** How requests of one path, with its query, are answered from now on. */
  on(path: string, behaviour: Behaviour): void {
    this.#behaviours.set(path, behaviour)
  }

  /** How requests of all other paths are answered from now on. */
  otherwise(behaviour: Behaviour): void {
    this.#otherwise = behaviour
  }

  /** Closes the listener and every connection. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', rawHeaders } = request
    this.requestsTotal++
    this.requests.push({ method, url, rawHeaders })
    this.counts.set(url, this.count(url) + 1)
    this.activeMax = Math.max(this.activeMax, ++this.active)
    response.once('close', () => this.active--)
    const behave = this.#behaviours.get(url) ?? this.#otherwise
    behave(request, response)
  }
}

type Text = string | Buffer

/** 200 with this body. */
export function ok(body: Text | ((request: IncomingMessage) => Text)): Behaviour {
  return (request, response) => {
    response.end(typeof body === 'function' ? body(request) : body)
  }
}

/** This status, with a small body. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (_request, response) => {
    response.writeHead(code, headers)
    response.end(code === 204 || code === 304 ? undefined : `status ${code}`)
  }
}

/** A redirect to this location. */
export function redirect(location: string, code = 302): Behaviour {
  return status(code, { location })
}

/** Takes the request and never answers. */
export const hang: Behaviour = () => {}

/** The head, then nothing. */
export const headOnly: Behaviour = (_request, response) => {
  response.writeHead(200, { 'content-length': '100' })
  response.flushHeaders()
}

/** Half of the announced body, then the end of the connection. */
export const halfBody: Behaviour = (_request, response) => {
  response.writeHead(200, { 'content-length': '100' })
  response.write('x'.repeat(50), () => response.socket?.end())
}

/** Part of a chunked body, then the end of the connection. */
export const halfChunked: Behaviour = (_request, response) => {
  response.writeHead(200)
  response.write('x'.repeat(50), () => response.socket?.end())
}

/** The same from a server that announces the end of the connection. */
export const halfChunkedClose: Behaviour = (_request, response) => {
  response.writeHead(200, { connection: 'close' })
  response.write('x'.repeat(50), () => response.socket?.end())
}

/** A reset in the middle of the body. */
export const resetInBody: Behaviour = (_request, response) => {
  response.writeHead(200, { 'content-length': '100' })
  response.write('x'.repeat(50), () => response.socket?.resetAndDestroy())
}

/** A reset instead of an answer. */
export const reset: Behaviour = (request) => {
  request.socket.resetAndDestroy()
}

/** The end of the connection instead of an answer. */
export const hangUp: Behaviour = (request) => {
  request.socket.end()
}

/** Bytes that are no HTTP. */
export const garbage: Behaviour = (request) => {
  request.socket.end('220 mail.example ESMTP ready\r\n')
}

/** Header after header, without end. */
export const endlessHeaders: Behaviour = (request) => {
  request.socket.write('HTTP/1.1 200 OK\r\n')
  pour(request.socket, Buffer.from(`x-more: ${'x'.repeat(1000)}\r\n`), Infinity)
}

/** A chunked body without end, as fast as it is taken. */
export const endlessBody: Behaviour = (_request, response) => {
  pour(response, Buffer.alloc(65_536, 'x'), Infinity)
}

/** A body of so many bytes whose length is announced. */
export function largeBody(bytes: number): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': String(bytes) })
    pour(response, Buffer.alloc(65_536, 'x'), bytes)
  }
}

/** One byte of the announced body at a time, never all of it. */
export function slowDrip(periodMs: number): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': '1000000' })
    const drip = setInterval(() => response.write('x'), periodMs)
    response.once('close', () => clearInterval(drip))
  }
}

/** Writes the piece again and again until so many bytes went or nobody reads, then ends. */
function pour(stream: Writable, piece: Buffer, bytes: number): void {
  let left = bytes
  const write = () => {
    while (left > 0 && !stream.destroyed) {
      const part = left < piece.length ? piece.subarray(0, left) : piece
      left -= part.length
      if (!stream.write(part)) {
        stream.once('drain', write)
        return
      }
    }
    stream.end()
  }
  write()
}

/** Self-signed for localhost, made for this file: it opens nothing. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghNcPP2a3iWYQ7l3a
J+FL8g5hLzOLL+jwqomKB4uk04ChRANCAAR2lFDiC8cGFFvq568vTFkhYItdErJ0
xx+eiNrdkw+QCERcFZBIH0PVazGeKywm2SWHYmXJ1OGmnaz78ja+lyPv
-----END PRIVATE KEY-----`
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIURW55XZSyEw8ydo/a74fESKnAyrowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE4MTgyM1oYDzIxMjYxMDI5
MTgxODIzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR2lFDiC8cGFFvq568vTFkhYItdErJ0xx+eiNrdkw+QCERcFZBIH0PV
azGeKywm2SWHYmXJ1OGmnaz78ja+lyPvo1MwUTAdBgNVHQ4EFgQUrcXOPmKFoz+F
hl5VPNT1EqtFKMkwHwYDVR0jBBgwFoAUrcXOPmKFoz+Fhl5VPNT1EqtFKMkwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAjcolVBRyAldegRF5eafh
be52vUtihIX5X9U14V6NFRQCIAIcjTJKFipszRDJs9Ry8s1kJUYXlxeMkgVTnCMX
PlQ4
-----END CERTIFICATE-----`
