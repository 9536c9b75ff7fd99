import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CountingOrigin {
  readonly url: string
  /** How often each path was asked for. */
  readonly counts: ReadonlyMap<string, number>
  readonly requests: number
  /** What it answers to a path. */
  valueOf(path: string): string
  stop(): Promise<void>
}

/** An HTTP origin that answers every path with a value made from it, and counts. */
export async function startOrigin(delayMs = 0): Promise<CountingOrigin> {
  const counts = new Map<string, number>()
  let requests = 0
  const valueOf = (path: string): string => `value of ${path}`
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests++
    counts.set(path, (counts.get(path) ?? 0) + 1)
    setTimeout(() => response.end(valueOf(path)), delayMs)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    get requests() {
      return requests
    },
    valueOf,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
