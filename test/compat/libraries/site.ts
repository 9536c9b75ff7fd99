import test, { type ExecutionContext } from 'ava'
import type { RunningServer, StartOptions } from '../../process.ts'
import { available, startRedis, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'

/** What a check is given: a server whose databases are empty, and a client that is no library. */
export interface Site {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly raw: RawClient
}

/** Servers that libraries are tried on. redis-server shows that a check asks for what Redis gives. */
const servers: Readonly<Record<string, (options?: StartOptions) => Promise<RunningServer>>> =
  available('redis-server')
    ? { ringtier: startRingtier, 'redis-server': startRedis }
    : { ringtier: startRingtier }

const running = new Map<string, Promise<RunningServer>>()
test.after.always(async () => {
  for (const started of await Promise.allSettled(running.values())) {
    if (started.status === 'fulfilled') await started.value.stop()
  }
})

export interface SiteOptions {
  /** Of the servers' command lines. */
  readonly args?: readonly string[]
}

/**
 * Declares a test for each of the servers. A server is started by the first test of the file that
 * needs it, and all of them run one after the other.
 */
export function onEachServer(
  title: string,
  check: (t: ExecutionContext, site: Site) => Promise<void>,
  { args = [] }: SiteOptions = {},
): void {
  for (const [name, start] of Object.entries(servers)) {
    test.serial(`${title}, on ${name}`, async (t) => {
      const line = [name, ...args].join(' ')
      if (!running.has(line)) running.set(line, start({ args }))
      const { host, port } = await running.get(line)!
      const raw = await RawClient.open(port)
      t.teardown(() => raw.close())
      await raw.command('FLUSHALL')
      await check(t, { host, port, raw })
    })
  }
}
