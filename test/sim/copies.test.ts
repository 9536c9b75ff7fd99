/*
 * A crash of one node loses no acknowledged write of a group with copies: whole nodes in one process, on virtual
 * time; clients that do not wait for their replies; a node that dies amid that, by a seed.
 */
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { RawClient } from '../raw.ts'
import { startCluster } from '../server/in-process.ts'
import { SeededRandom } from './random.ts'

const SEEDS = [1, 2, 3]
const NODES = 3
const KEYS = 150
const WRITES = 400
/** Before the node dies. */
const NOT_COPIED = 30

interface Write {
  /** What the key is after it; null: nothing. */
  readonly value: string | null
  /** Undefined: not answered yet. */
  reply?: string
}

for (const seed of SEEDS) {
  test(`a crash loses no acknowledged write: seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed)
    const below = (n: number): number => random.uint32() % n
    const cluster = await startCluster(NODES, [
      ...['--group', 'k match k:* origin http://127.0.0.1:1/x copies 1', '--maxmemory', '16mb'],
    ])
    t.teardown(() => cluster.shutdown())
    const { clock, nodes } = cluster
    const dead = below(NODES)
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) await cluster.settle()
    }
    const advance = async (ms: number): Promise<void> => {
      for (let gone = 0; gone < ms; gone += 20) {
        await clock.advance(20)
        await settle()
      }
    }
    await advance(500)
    const clients = nodes.map((node) => node.connect())
    const history = Array.from({ length: KEYS }, (): Write[] => [])
    const write = (key: number, words: readonly string[], value: string | null): void => {
      const one: Write = { value }
      history[key]!.push(one)
      // A key's writes come over one connection, to a node that lives.
      const client = clients[(dead + 1 + (key % (NODES - 1))) % NODES]!
      client.send(words).then(
        (reply) => (one.reply = reply),
        () => {},
      )
    }
    // Late enough that not every key is written anew.
    const killAt = Math.floor(WRITES / 2) + below(WRITES / 2)
    for (let i = 0; i < WRITES; i++) {
      // Copies of what is written from here on do not arrive, so that nobody is to be told of it.
      if (i === killAt - NOT_COPIED) cluster.stallLinks(dead)
      if (i === killAt) await cluster.crash(dead)
      const key = below(KEYS)
      const name = `k:${key}`
      const kind = below(4)
      if (kind === 0) write(key, ['DEL', name], null)
      else if (kind === 1) write(key, ['MSET', name, String(i)], String(i))
      else if (kind === 2) write(key, ['SET', name, String(i), 'EX', '1000'], String(i))
      else write(key, ['SET', name, String(i)], String(i))
      // Not until all has run dry: what is under way when the node dies is what this is about.
      for (let turns = below(4); turns > 0; turns--) await setImmediate()
      if (below(20) === 0) await clock.advance(below(40))
    }
    await advance(5000)
    const wrongs: string[] = []
    const reader = clients[(dead + 1) % NODES] as RawClient
    let acknowledged = 0
    for (const [key, writes] of history.entries()) {
      const isDone = ({ reply }: Write): boolean => reply !== undefined && !reply.startsWith('-')
      acknowledged += writes.filter(isDone).length
      const last = writes.findLastIndex(isDone)
      const allowed = writes.slice(Math.max(0, last)).map(({ value }) => value)
      if (last < 0) allowed.push(null)
      const reply = reader.send(['CACHE.GET', `k:${key}`, 'PEEK'])
      await settle()
      const found = /^\$\d+\r\n(.*)\r\n$/.exec(await reply)?.[1] ?? null
      if (!allowed.includes(found)) wrongs.push(`k:${key} is ${found}, not ${allowed.join()}`)
    }
    t.deepEqual(wrongs, [])
    t.true(acknowledged > WRITES / 4, `${acknowledged} acknowledged`)
  })
}
