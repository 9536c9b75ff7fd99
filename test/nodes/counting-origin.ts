import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CountingOrigin {
  readonly url: string
  /** How often each path was asked for. */
  readonly counts: ReadonlyMap<string, number>
  readonly requests: number
  /** What it answers to a path now. */
  valueOf(path: string): string
  /** From now on it answers other values: those of the next version. */
  change(): void
  stop(): Promise<void>
}

/** A Unix socket, and where those reach it who ask. */
export interface Elsewhere {
  readonly path: string
  readonly url: string
}

/** An HTTP origin that answers every path with a value made from it, and counts. */
export async function startOrigin(
  delayMs = 0,
  elsewhere: Elsewhere | null = null,
): Promise<CountingOrigin> {
  const counts = new Map<string, number>()
  let requests = 0
  let version = 1
  const valueOf = (path: string): string =>
    version === 1 ? `value of ${path}` : `value ${version} of ${path}`
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests++
    counts.set(path, (counts.get(path) ?? 0) + 1)
    const value = valueOf(path)
    setTimeout(() => response.end(value), delayMs)
  })
  await new Promise<void>((resolve) => {
    if (elsewhere === null) server.listen(0, '127.0.0.1', resolve)
    else server.listen(elsewhere.path, resolve)
  })
  return {
    url: elsewhere?.url ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    get requests() {
      return requests
    },
    valueOf,
    change: () => void version++,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
