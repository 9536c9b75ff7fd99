/*
 * A real server with several I/O threads, and clients of which it is known that they are served by
 * different ones. On a Node.js that cannot hand connections to threads these tests are skipped: there
 * one thread serves all, which the other tests are about.
 */
import test, { type ExecutionContext, type TestFn } from 'ava'
import { findSocketWay, type SocketWay } from '../../../server/threads/hub.ts'
import { type RunningServer, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'

/** How connections reach threads on the Node that runs the tests. */
export const way: SocketWay | null = await findSocketWay()

/** A test of several threads, skipped where there can be only one. */
export const threadsTest: TestFn = (way === null ? test.skip : test) as TestFn

/** Where the server spreads connections itself, evenly. */
export const transferTest: TestFn = (way === 'transfer' ? test : test.skip) as TestFn

export interface Many {
  readonly server: RunningServer
  readonly clients: readonly RawClient[]
  connect(): Promise<RawClient>
}

/** For `env`: one of two threads hears everything from the hub late. */
export const lateWorker = {
  NODE_OPTIONS: `--import=${new URL('delay.js', import.meta.url).href}`,
} as const

/** A server of two threads unless `args` says otherwise, and so many connected clients. */
export async function startMany(
  t: ExecutionContext,
  count: number,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Many> {
  const all = ['--threads', '2', '--maxmemory', '64mb', '--save', '', ...args]
  const server = await startRingtier({ args: all, env })
  t.teardown(() => server.stop())
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.open(server.port)
    t.teardown(() => client.close())
    return client
  }
  const clients: RawClient[] = []
  for (let i = 0; i < count; i++) {
    const client = await connect()
    // Connections are spread one by one: each is counted before the next one comes.
    await client.command('PING')
    clients.push(client)
  }
  return { server, clients, connect }
}

/** A field of INFO. */
export async function infoField(client: RawClient, field: string): Promise<string> {
  const text = await client.command('INFO', 'everything')
  return new RegExp(`\\r\\n${field}:([^\\r]*)\\r\\n`).exec(text)?.[1] ?? ''
}

/** The whole number in `:7` */
export function numberOf(reply: string): number {
  return Number(/^:(-?\d+)\r\n$/.exec(reply)?.[1] ?? NaN)
}
