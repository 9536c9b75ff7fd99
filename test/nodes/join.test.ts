/*
 * Clients that go on all the time while a node joins and another one is drained: one that follows the
 * topology, and a plain one on a node that stays. They hear no error, and no wrong value.
 */
import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import { Cluster, Redis } from 'ioredis'
import { until } from '../until.ts'
import { type Nodes, startNodes, tookForDead } from './nodes.ts'

const keys = Array.from({ length: 100 }, (_, i) => `any:${(i * 7919) % 104729}`)
const ATTEMPTS = 12
/** Keys, of 300, that a busy machine may be too slow to hand over. */
const MISSED_MAX = 10
/** Rounds before, between and after the changes, at least. */
const ROUNDS = 10
/** Between two rounds of a client: the nodes are to have time for each other. */
const PAUSE_MS = 5

interface Commands {
  get(key: string): Promise<string | null>
  set(key: string, value: string): Promise<string>
  incr(key: string): Promise<number>
}

/** Does something again and again until it is told to end. Rejects on any error. */
class Rounds {
  rounds = 0
  #ends = false
  readonly #ended: Promise<void>

  constructor(round: (i: number) => Promise<void>) {
    this.#ended = this.#run(round)
    this.#ended.catch(() => {})
  }

  async #run(round: (i: number) => Promise<void>): Promise<void> {
    try {
      while (!this.#ends) {
        await round(this.rounds)
        this.rounds++
        await setTimeout(PAUSE_MS)
      }
    } finally {
      this.#ends = true
    }
  }

  /** So many more, or the error. */
  more(count: number): Promise<void> {
    const enough = this.rounds + count
    return Promise.race([this.#ended, until(() => this.rounds >= enough || this.#ends)])
  }

  async end(): Promise<void> {
    this.#ends = true
    await this.#ended
  }
}

/** What a cache may answer (nothing), and what it must not. */
class Judge {
  values = 0
  readonly missed = new Set<string>()
  readonly wrongs: string[] = []

  expect(key: string, value: string | null, expected: string): void {
    this.values++
    if (value === null) this.missed.add(key)
    else if (value !== expected) this.wrongs.push(`${key} is ${value}, not ${expected}`)
  }
}

/** Sets, reads and counts keys of its own. */
function ownKeys(client: Commands, judge: Judge): Rounds {
  const counts = new Map<string, number>()
  return new Rounds(async (i) => {
    const [key, counter] = [`own:${i % keys.length}`, `count:${i % keys.length}`]
    if (i >= keys.length) {
      judge.expect(key, await client.get(key), `value ${i - keys.length}`)
    }
    await client.set(key, `value ${i}`)
    const before = counts.get(counter) ?? 0
    const count = await client.incr(counter)
    judge.expect(counter, count === 1 && before > 0 ? null : `${count}`, `${before + 1}`)
    counts.set(counter, count)
  })
}

async function changeMembers(nodes: Nodes): Promise<Judge> {
  const follower = new Cluster(nodes.ports.map((port) => ({ host: '127.0.0.1', port })))
  const plain = new Redis(nodes.ports[0]!, '127.0.0.1')
  const judge = new Judge()
  try {
    for (const key of keys) await plain.set(key, `value of ${key}`)
    const all = [
      new Rounds(async () => {
        for (const [i, value] of (await plain.mget(keys)).entries())
          judge.expect(keys[i]!, value, `value of ${keys[i]!}`)
      }),
      ownKeys(follower, judge),
    ]
    const goOn = (): Promise<unknown> => Promise.all(all.map((rounds) => rounds.more(ROUNDS)))
    await goOn()
    await nodes.join()
    await goOn()
    await nodes.servers[1]!.stop()
    await goOn()
    for (const rounds of all) await rounds.end()
    await goesStraight(nodes, follower)
    return judge
  } finally {
    follower.disconnect()
    plain.disconnect()
  }
}

/** Sooner or later the client has the new topology, and nothing is forwarded for it. */
async function goesStraight(nodes: Nodes, follower: Cluster): Promise<void> {
  const ports = nodes.ports.filter((_, i) => i !== 1)
  const clients = ports.map((port) => new Redis(port, '127.0.0.1'))
  const forwards = async (): Promise<string> => {
    const infos = await Promise.all(clients.map((client) => client.info('cluster')))
    return infos.map((info) => /cluster_forwarded:(\d+)/.exec(info)![1]).join()
  }
  await until(async () => {
    const before = await forwards()
    for (const key of keys) await follower.get(key)
    return (await forwards()) === before
  })
  for (const client of clients) client.disconnect()
}

test('no error and no wrong value while a node joins and another one is drained', async (t) => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const nodes = await startNodes(3, [], '', 1)
    try {
      const judged = await changeMembers(nodes).catch((error: unknown) => error)
      const absent = nodes.ports.slice(3).map((port) => `127.0.0.1:${port}`)
      const isBad = nodes.servers.some((server) => tookForDead(server.output(), absent))
      if (!isBad) {
        if (!(judged instanceof Judge)) throw judged
        t.log(`${judged.values} values, ${judged.missed.size} of ${3 * keys.length} keys missed`)
        t.deepEqual(judged.wrongs, [])
        if (judged.missed.size <= MISSED_MAX) return
      }
      t.log('a node was taken for dead, or too slow to hand its keys over')
    } finally {
      await nodes.stop()
    }
  }
  t.fail(`so it was in each of ${ATTEMPTS} attempts`)
})
