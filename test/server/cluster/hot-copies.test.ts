/*
 * Copies of hot keys on three nodes in one process, on virtual time.
 *
 * HOT_COPIES_SEEDS: how many interleavings; a seed that fails is named, HOT_COPIES_FIRST is where to begin.
 */
import test from 'ava'
import type { RawClient } from '../../raw.ts'
import type { LocalStream } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { type InProcessCluster, startCluster } from '../in-process.ts'

const seeds = Number(process.env['HOT_COPIES_SEEDS'] ?? 100)
const first = Number(process.env['HOT_COPIES_FIRST'] ?? 1)
const STEPS = 60
const TTL_MS = 1000

const ARGS = ['--cluster-hot-rate', '10', '--group', 'g match g:{id} origin http://h/{id} ttl 1h']
const loader = {
  load: () => Promise.resolve({ value: Buffer.from('loaded'), tags: ['tag'] }),
  close: () => Promise.resolve(),
}

function hitsOf({ nodes }: InProcessCluster): number[] {
  return nodes.map(({ server }) => server.routing.copied!.copies.counters.hits)
}

function ownerOf({ nodes }: InProcessCluster, key: string): number {
  return nodes.findIndex(({ server }) => server.routing.isHere(Buffer.from(key)))
}

/** Reads the key through all nodes until all but its owner have copies. */
async function heat(
  cluster: InProcessCluster,
  clients: readonly RawClient[],
  key: string,
): Promise<void> {
  const before = hitsOf(cluster)
  const owner = ownerOf(cluster, key)
  for (let i = 0; i < 500; i++) {
    for (const client of clients) void client.get(key)
    await cluster.settle()
    await cluster.clock.advance(2)
    const hits = hitsOf(cluster)
    if (hits.every((count, node) => node === owner || count > before[node]!)) return
  }
  throw new Error(`${key} did not become hot`)
}

const ends: readonly (readonly [end: string, key: string, value: string | null])[] = [
  ['DEL k', 'k', null],
  ['UNLINK k other', 'k', null],
  ['SET k new', 'k', 'new'],
  ['MSET k new other 1', 'k', 'new'],
  ['INCR k', 'k', '2'],
  ['APPEND k 5', 'k', '15'],
  ['GETDEL k', 'k', null],
  ['GETSET k new', 'k', 'new'],
  ['SETRANGE k 1 x', 'k', '1x'],
  ['PEXPIRE k 3', 'k', null],
  ['RENAME k {k}2', 'k', null],
  ['FLUSHALL', 'k', null],
  ['SETBIT k 0 1', 'k', '\xb1'],
  ['CACHE.INVALIDATE TAG tag', 'g:1', 'loaded'],
  ['DEL g:1', 'g:1', 'loaded'],
]

test('whatever ends a value, through whichever node, ends its copies within some milliseconds', async (t) => {
  const cluster = await startCluster(3, ARGS, { loader })
  const clients = cluster.nodes.map((node) => node.connect())
  for (const [end, key, value] of ends) {
    for (const writer of clients) {
      if (key === 'k') await writer.command('SET', 'k', '1')
      await cluster.settle()
      await heat(cluster, clients, key)
      const counters = (): readonly number[] =>
        cluster.nodes.map(({ server }) => {
          const { changed, flushes } = server.routing.copied!.copies.counters
          return changed + flushes
        })
      const before = counters()
      const reply = writer.command(...end.split(' '))
      await cluster.settle()
      await cluster.clock.advance(20)
      t.false((await reply).startsWith('-'), end)
      for (const client of clients) {
        const read = client.get(key)
        await cluster.settle()
        t.is((await read)?.toString('latin1') ?? null, value, end)
      }
      if (end.startsWith('CACHE')) continue
      t.true(
        counters().some((count, node) => count > before[node]!),
        `${end} was told to nobody`,
      )
    }
  }
  cluster.shutdown()
})

test('copies of an owner that says nothing are not served', async (t) => {
  const cluster = await startCluster(3, ARGS, { loader })
  const clients = cluster.nodes.map((node) => node.connect())
  const owner = ownerOf(cluster, 'k')
  const other = (owner + 1) % 3
  await clients[owner]!.command('SET', 'k', 'old')
  await heat(cluster, clients, 'k')
  const { copies } = cluster.nodes[other]!.server.routing.copied!
  // Nothing reaches the owner any more; it answers what it was asked before, and then says nothing.
  const streams = cluster.network.dialled.filter((stream) => !stream.destroyed)
  for (const stream of streams) stream.stall()
  await cluster.clock.advance(110)
  const written = clients[owner]!.command('SET', 'k', 'new')
  await cluster.clock.advance(100)
  t.is(await written, '+OK\r\n')
  const { hits } = copies.counters
  const early = clients[other]!.get('k')
  await cluster.settle()
  t.is(copies.counters.hits, hits + 1)
  t.is(String(await early), 'old')
  await cluster.clock.advance(400)
  const late = clients[other]!.get('k')
  await cluster.clock.advance(3000)
  t.is(copies.counters.hits, hits + 1)
  t.not(String(await late.catch(String)), 'old')
  t.is(copies.counters.copies, 0)
  for (const stream of streams) stream.flow()
  cluster.shutdown()
})

test('another ring ends all copies, and grants; keys become hot anew', async (t) => {
  const cluster = await startCluster(3, ARGS, { loader })
  const { clock, network } = cluster
  const clients = cluster.nodes.map((node) => node.connect())
  const owner = ownerOf(cluster, 'k')
  const [gone, stays] = [0, 1, 2].filter((node) => node !== owner) as [number, number]
  await clients[owner]!.command('SET', 'k', 'value')
  await heat(cluster, clients, 'k')
  const { copies } = cluster.nodes[stays]!.server.routing.copied!
  t.is(copies.counters.copies, 1)
  const { server } = cluster.nodes[owner]!
  t.true(server.tracking.keys > 0)
  network.refuse(`127.0.0.1:${7001 + gone}`)
  cluster.nodes[gone]!.server.shutdown()
  const isOut = (node: number): boolean => {
    const { membership } = cluster.nodes[node]!.server.routing
    return membership!.live().names.length === 2
  }
  await clock.until(() => isOut(owner) && isOut(stays))
  t.is(copies.counters.copies, 0)
  t.is(server.tracking.keys, 0)
  const left = { ...cluster, nodes: [cluster.nodes[owner]!, cluster.nodes[stays]!] }
  await heat(left, [clients[owner]!, clients[stays]!], 'k')
  t.is(copies.counters.copies, 1)
  cluster.shutdown()
})

/** What was written, and seen, of one key in one order of events. */
class Interleaving {
  readonly wrongs: string[] = []
  readonly #random: SeededRandom
  readonly #cluster: InProcessCluster
  readonly #clients: readonly RawClient[]
  readonly #key: string
  readonly #held: LocalStream[] = []
  #open = 0
  #version = 0
  #isWriting = false
  /** By node: the newest version whose write was answered there. */
  readonly #floors = [0, 0, 0]
  readonly #answered: { readonly version: number; readonly at: number }[] = []

  constructor(seed: number, cluster: InProcessCluster, clients: readonly RawClient[]) {
    this.#random = new SeededRandom(seed)
    this.#cluster = cluster
    this.#clients = clients
    this.#key = `k:${seed % 7}`
  }

  async run(): Promise<void> {
    this.#write()
    await this.#cluster.settle()
    await heat(this.#cluster, this.#clients, this.#key)
    for (let step = 0; step < STEPS; step++) await this.#step()
    this.#release()
    await this.#cluster.settle()
    await this.#cluster.clock.advance(20)
    for (let at = 0; at < this.#clients.length; at++) this.#read(at, this.#version)
    await this.#cluster.settle()
    if (this.#open > 0) this.wrongs.push(`${this.#open} commands were not answered`)
  }

  async #step(): Promise<void> {
    const { clock } = this.#cluster
    const random = this.#random
    const act = random.below(20)
    if (act < 11) this.#read(random.below(this.#clients.length))
    else if (act < 14) this.#write()
    else if (act < 17) await clock.advance(1 + random.below(30))
    else if (act < 18) this.#hold()
    else this.#release()
    // Held for longer another node would be taken for dead.
    if (this.#held.length > 0 && random.below(4) === 0) this.#release()
    await (random.below(3) === 0 ? this.#cluster.settle() : clock.settle())
  }

  /** `floor`: what it must see at least, beside what follows from the promises. */
  #read(at: number, floor = 0): void {
    const now = this.#cluster.clock.now()
    const node = at % 3
    const long = this.#answered.findLast((write) => write.at <= now - TTL_MS)?.version ?? 0
    const least = Math.max(floor, this.#floors[node]!, long)
    this.#open++
    const commands = [
      ['GET', this.#key],
      ['MGET', this.#key, 'other'],
    ]
    void this.#clients[at]!.send(this.#random.pick(commands)).then((reply) => {
      this.#open--
      const seen = Number(/\$\d+\r\n(\d+)\r\n/.exec(reply)?.[1])
      if (seen >= least) return
      this.wrongs.push(`node ${node} read ${JSON.stringify(reply)} after ${least}`)
    })
  }

  #write(): void {
    if (this.#isWriting) return
    this.#isWriting = true
    const version = ++this.#version
    const at = this.#random.below(this.#clients.length)
    this.#open++
    void this.#clients[at]!.command('SET', this.#key, `${version}`).then((reply) => {
      this.#open--
      this.#isWriting = false
      if (reply !== '+OK\r\n') return this.wrongs.push(`a write failed: ${reply}`)
      this.#floors[at % 3] = version
      return this.#answered.push({ version, at: this.#cluster.clock.now() })
    })
    // In a pipeline: it must see what it wrote, answered or not.
    if (this.#random.below(3) === 0) this.#read(at, version)
  }

  /** One direction between two nodes stands still. */
  #hold(): void {
    const streams = this.#cluster.network.dialled.filter((stream) => !stream.destroyed)
    const stream = this.#random.pick(streams)
    stream.stall()
    this.#held.push(stream)
  }

  #release(): void {
    for (const stream of this.#held.splice(0)) stream.flow()
  }
}

test(`${seeds} interleavings: who writes through a node never reads what was before there, nobody reads what is too old`, async (t) => {
  const cluster = await startCluster(3, ARGS, { loader })
  const clients = [...cluster.nodes, ...cluster.nodes].map((node) => node.connect())
  for (let seed = first; seed < first + seeds; seed++) {
    const interleaving = new Interleaving(seed, cluster, clients)
    await interleaving.run()
    if (interleaving.wrongs.length === 0) continue
    t.fail(`seed ${seed}: ${interleaving.wrongs.join('\n')}`)
    break
  }
  for (const { server } of cluster.nodes) {
    const { hits, changed, bytes, copies } = server.routing.copied!.copies.counters
    t.true(hits > seeds && changed > 0, `${hits} hits, ${changed} changed`)
    t.is(bytes > 0, copies > 0)
  }
  cluster.shutdown()
})
