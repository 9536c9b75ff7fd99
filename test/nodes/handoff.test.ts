import { setTimeout } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Redis } from 'ioredis'
import { threadsTest } from '../server/threads/many.ts'
import { startOrigin } from './counting-origin.ts'
import { connectOnce, type Nodes, startNodes, tookForDead } from './nodes.ts'

const keyCount = 300
/** A node of a machine that has no time for it may be taken for dead: that is another story. */
const ATTEMPTS = 12

/** Between two commands of a client: the nodes are to have time for each other. */
const PAUSE_MS = 10

/** Sets and counts keys of its own through one node until it is told to end. Rejects on any error. */
class Load {
  readonly #client: Redis
  readonly #name: string
  readonly #state: Map<string, number>
  #ends = false
  readonly ended: Promise<void>
  commands = 0
  /** Keys that were not there any more, which a cache may do. */
  misses = 0
  /** Values that were older than what was acknowledged. */
  readonly wrongs: string[] = []

  constructor(port: number, name: string, state: Map<string, number>) {
    this.#client = connectOnce(port)
    this.#name = name
    this.#state = state
    this.ended = this.#run()
    this.ended.catch(() => {})
  }

  async end(): Promise<void> {
    this.#ends = true
    await this.ended.finally(() => this.#client.disconnect())
  }

  async #run(): Promise<void> {
    for (let i = 0; !this.#ends; i++) {
      await Promise.all([this.#set(i), this.#count(i)])
      this.commands += 3
      await setTimeout(PAUSE_MS)
    }
  }

  async #set(i: number): Promise<void> {
    const key = `set:${this.#name}:${i % keyCount}`
    const before = this.#state.get(key)
    const found = await this.#client.get(key)
    if (before !== undefined) {
      if (found === null) this.misses++
      else if (Number(found) !== before) this.wrongs.push(`${key} is ${found}, not ${before}`)
    }
    await this.#client.set(key, String(i))
    this.#state.set(key, i)
  }

  async #count(i: number): Promise<void> {
    const key = `count:${this.#name}:${i % keyCount}`
    const before = this.#state.get(key) ?? 0
    const count = await this.#client.incr(key)
    if (count === 1 && before > 0) this.misses++
    else if (count !== before + 1) this.wrongs.push(`${key} is ${count} after ${before}`)
    this.#state.set(key, count)
  }
}

/**
 * Tries until no node was taken for dead by mistake: what is promised then is less. Where that happens every
 * time nothing can be judged, and the test fails.
 */
async function onAGoodDay(
  t: ExecutionContext,
  attempt: (nodes: Nodes) => Promise<() => void>,
  args: readonly string[],
): Promise<void> {
  for (let i = 0; i < ATTEMPTS; i++) {
    const nodes = await startNodes(3, args)
    const outputs: string[] = []
    const restart = async (node: number): Promise<void> => {
      const { output } = nodes.servers[node]!
      await nodes.restart(node)
      outputs.push(output())
    }
    try {
      const judge = await attempt({ ...nodes, restart }).catch((error: unknown) => () => {
        throw error
      })
      outputs.push(...nodes.servers.map((server) => server.output()))
      if (!outputs.some((output) => tookForDead(output))) return judge()
      t.log('a node was taken for dead')
    } finally {
      await nodes.stop()
    }
  }
  t.fail(`in each of ${ATTEMPTS} attempts a node was taken for dead: the machine is too busy`)
}

/** Restarts all nodes while clients of the others set and count. */
async function restartAll(t: ExecutionContext, args: readonly string[]): Promise<void> {
  const attempt = async (nodes: Nodes): Promise<() => void> => {
    const state = new Map<string, number>()
    const all: Load[] = []
    for (let i = 0; i < 3; i++) {
      const others = nodes.ports.filter((_, node) => node !== i)
      const loads = others.map((port, n) => new Load(port, `client ${n}`, state))
      all.push(...loads)
      await nodes.restart(i)
      await Promise.all(loads.map((load) => load.end()))
    }
    return () => {
      for (const { commands, misses, wrongs } of all) {
        t.log(`${commands} commands, ${misses} misses`)
        t.true(commands > 0)
        t.deepEqual(wrongs, [])
        // Each is a key that a busy machine was too slow to hand over.
        t.true(misses <= commands / 20, `${misses} misses`)
      }
    }
  }
  await onAGoodDay(t, attempt, args)
}

test.serial('all nodes are restarted in turn: no error, no old value, no counter lost', (t) =>
  restartAll(t, []),
)

threadsTest('the same with two threads each', (t) => restartAll(t, ['--threads', '2']))

test.serial('a node that is drained and comes back costs hardly a load', async (t) => {
  const origin = await startOrigin()
  t.teardown(() => origin.stop())
  const group = `item match item:{id} origin ${origin.url}/items/{id} ttl 1h wait 30s timeout 30s`
  await onAGoodDay(
    t,
    async (nodes) => {
      const keys = Array.from({ length: keyCount }, (_, i) => `item:${i}`)
      const before = origin.requests
      const client = connectOnce(nodes.ports[0]!)
      const readAll = (): Promise<(string | null)[]> =>
        Promise.all(keys.map((key) => client.get(key)))
      const expected = keys.map((_, i) => origin.valueOf(`/items/${i}`))
      const values: (string | null)[][] = []
      let loads = 0
      try {
        values.push(await readAll())
        loads = origin.requests - before
        for (let round = 0; round < 2; round++) {
          await nodes.restart(2)
          values.push(await readAll())
        }
      } finally {
        client.disconnect()
      }
      const extra = origin.requests - before - loads
      return () => {
        t.log(`${loads} loads, and ${extra} after two restarts`)
        for (const read of values) t.deepEqual(read, expected)
        t.is(loads, keyCount)
        t.true(extra <= keyCount / 20, `${extra} more loads`)
      }
    },
    ['--group', group],
  )
})
