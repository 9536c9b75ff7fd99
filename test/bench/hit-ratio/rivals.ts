/*
 * The real redis-server and memcached at the number of bytes ringtier's store had.
 *
 * To be fair to them: Redis counts what it needs to run at all into maxmemory, so it is given the
 * used_memory of the empty server on top; memcached's -m leaves its hash table and everything else
 * but the items out, so it takes more than it is given.
 */
import type { Trace } from '../../replay/trace.ts'
import { available, startMemcached, startRedis } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { SeededRandom } from '../../sim/random.ts'
import type { Policy } from '../policies/policy.ts'
import { RedisLru } from '../policies/redis.ts'
import { memcachedCounter, memcachedText, replayOver, resp } from './rival.ts'

const MIB = 2 ** 20

/** memcached hands memory out in pages of 1 MB: below this it does not take part. */
export const RIVAL_BYTES = 16 * MIB

export interface RivalRun {
  /** Percent. */
  readonly hitRatio: number
  /** Held at the end. */
  readonly entries: number
}

/** One real cache server; `run` gives null where it cannot take part. */
export interface Rival {
  readonly name: string
  readonly program: string
  /** The same policy with a clock that ticks at each access, holding as many entries. */
  readonly exact?: { readonly name: string; make(capacity: number, keys: number): Policy }
  run(trace: Trace, maxMemory: number, valueBytes: number): Promise<RivalRun | null>
}

function redis(policy: string, exact?: Rival['exact']): Rival {
  const run = async (trace: Trace, maxMemory: number, valueBytes: number): Promise<RivalRun> => {
    const server = await startRedis({ args: ['--maxmemory-policy', policy] })
    const client = await RawClient.open(server.port)
    try {
      const memory = await client.command('INFO', 'memory')
      const baseline = Number(/used_memory:(\d+)/.exec(memory)?.[1])
      const set = await client.command('CONFIG', 'SET', 'maxmemory', String(baseline + maxMemory))
      if (set !== '+OK\r\n') throw new Error(`redis-server answered ${set}`)
      const hitRatio = await replayOver(server.port, resp, trace, valueBytes)
      const entries = Number((await client.command('DBSIZE')).slice(1))
      return { hitRatio, entries }
    } finally {
      client.close()
      await server.stop()
    }
  }
  const rival = { name: `redis ${policy}`, program: 'redis-server', run }
  return exact === undefined ? rival : { ...rival, exact }
}

const memcached: Rival = {
  name: 'memcached',
  program: 'memcached',
  run: async (trace, maxMemory, valueBytes) => {
    if (maxMemory < RIVAL_BYTES || maxMemory % MIB !== 0) return null
    const server = await startMemcached({ args: ['-m', String(maxMemory / MIB), '-t', '1'] })
    try {
      const hitRatio = await replayOver(server.port, memcachedText, trace, valueBytes)
      return { hitRatio, entries: await memcachedCounter(server.port, 'curr_items') }
    } finally {
      await server.stop()
    }
  },
}

/** Those of them that are installed. */
export function installedRivals(): Rival[] {
  const exact: Rival['exact'] = {
    name: 'with an exact clock',
    make: (capacity, keys) => new RedisLru(capacity, keys, new SeededRandom(1)),
  }
  return [redis('allkeys-lru', exact), redis('allkeys-lfu'), memcached].filter((rival) =>
    available(rival.program),
  )
}
