/*
 * The invariants C1 to C7 (docs/simulator.md lists them all) against so many real processes, each in a network
 * namespace: killed, stopped, cut off. What takes time is measured by test/bench/faults.ts; here it is
 * looked at what is answered, how much of it is right, how often the origin is asked, and that all ends.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import test, { type ExecutionContext } from 'ava'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import type { RawClient } from '../raw.ts'
import { infoField } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { FaultNodes, type FaultOptions } from './namespaces/fault-nodes.ts'
import { whyNoNamespaces } from './namespaces/namespaces.ts'

const KEYS = 60
const keys = Array.from({ length: KEYS }, (_, i) => `key:${i}`)

/** Of what the others answer while one node is stopped, and while one is dead. */
const RIGHT_MIN = 0.95
const ERRORS_MAX = 0.02

/** On a machine that has no time for the nodes. */
const ATTEMPTS = 20

/** What clients were answered. */
class Tally {
  answers = 0
  readonly errors: string[] = []
  readonly wrongs: string[] = []

  /** Reads so many items, from the one with this number on, all at once. */
  async readItems({ origin }: FaultNodes, client: RawClient, from = 0): Promise<void> {
    const ids = Array.from({ length: KEYS }, (_, i) => from + i)
    await this.#all(
      ids.map((id) => ['GET', `item:${id}`]),
      client,
      (reply, i) => {
        const expected = origin.valueOf(`/${ids[i]!}`)
        if (reply !== `$${expected.length}\r\n${expected}\r\n`) this.wrongs.push(reply)
      },
    )
  }

  /** Sets all keys to a value, all at once. */
  async setKeys(client: RawClient, value: string): Promise<void> {
    const commands = keys.map((key) => ['SET', key, value])
    await this.#all(commands, client, (reply) => {
      if (reply !== '+OK\r\n') this.wrongs.push(reply)
    })
  }

  async #all(
    commands: readonly (readonly string[])[],
    client: RawClient,
    judge: (reply: string, i: number) => void,
  ): Promise<void> {
    const replies = await Promise.all(commands.map((words) => client.send(words)))
    this.answers += replies.length
    for (const [i, reply] of replies.entries()) {
      if (reply.startsWith('-')) this.errors.push(reply.trimEnd())
      else judge(reply, i)
    }
  }

  get errorShare(): number {
    return this.errors.length / this.answers
  }

  get rightShare(): number {
    return 1 - (this.errors.length + this.wrongs.length) / this.answers
  }
}

/** Of this process, as long as which no node should stand still if its answers are to be counted on. */
const STALL_MS = 150

/** From now on: has this machine left a process without time? Then what nodes ask each other is late, too. */
function stalls(): () => boolean {
  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  return () => {
    delays.disable()
    return delays.max > STALL_MS * 1e6
  }
}

/** On a busy machine nobody is to be taken for dead by mistake. */
const patient = ['--cluster-node-timeout', '2000']

async function start(t: ExecutionContext, count: number, options: FaultOptions = {}) {
  const args = [...patient, ...(options.args ?? [])]
  const nodes = await FaultNodes.start(count, { ...options, args })
  t.teardown(() => nodes.stop())
  return nodes
}

/** So many nodes count for the one that is asked. */
async function sees(client: RawClient, count: number): Promise<void> {
  await until(async () => (await infoField(client, 'cluster_live_nodes')) === String(count))
}

function valuesBy(client: RawClient): Promise<(string | undefined)[]> {
  return Promise.all(keys.map((key) => valueBy(client, key)))
}

/** Asks again where there is an error. */
async function valueBy(client: RawClient, key: string): Promise<string | undefined> {
  for (let attempt = 0; ; attempt++) {
    try {
      return (await client.get(key))?.toString()
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
    }
  }
}

/** Until there is no error: a node that has no time does not answer. Nothing else may be wrong. */
async function withoutErrors(
  t: ExecutionContext,
  ask: (tally: Tally) => Promise<void>,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const tally = new Tally()
    await ask(tally)
    t.deepEqual(tally.wrongs, [])
    if (tally.errors.length === 0) return
    if (attempt === ATTEMPTS) return t.fail(tally.errors[0])
  }
}

function setAll(t: ExecutionContext, client: RawClient, value: string): Promise<void> {
  return withoutErrors(t, (tally) => tally.setKeys(client, value))
}

function readAll(t: ExecutionContext, nodes: FaultNodes, client: RawClient): Promise<void> {
  return withoutErrors(t, (tally) => tally.readItems(nodes, client))
}

/** What all answer, once they agree. */
async function agreed(clients: readonly RawClient[]): Promise<(string | undefined)[]> {
  for (;;) {
    const [first, ...others] = await Promise.all(clients.map((client) => valuesBy(client)))
    if (others.every((values) => values.join() === first!.join())) return first!
  }
}

/** All nodes have all others again, and serve what is written now. */
async function areWell(t: ExecutionContext, nodes: FaultNodes, clients: readonly RawClient[]) {
  await setAll(t, clients[0]!, 'newest')
  t.deepEqual(new Set(await agreed(clients)), new Set(['newest']))
  for (const client of clients) await readAll(t, nodes, client)
}

/** The place of each key's owner, as the first node has it. */
async function ownersOf(nodes: FaultNodes, client: RawClient): Promise<number[]> {
  const places = new Array<number>(SLOT_COUNT)
  const range = /:(\d+)\r\n:(\d+)\r\n\*\d+\r\n\$\d+\r\n([\d.]+)\r\n/g
  for (const [, first, last, host] of (await client.command('CLUSTER', 'SLOTS')).matchAll(range)) {
    places.fill(nodes.network.hosts.indexOf(host!), Number(first), Number(last) + 1)
  }
  return keys.map((key) => places[keySlot(Buffer.from(key), 0, key.length)]!)
}

/** All reads of it are one of these values; undefined: a miss. */
function onlyOf(
  t: ExecutionContext,
  values: readonly (string | undefined)[],
  allowed: readonly (string | undefined)[],
): void {
  t.deepEqual(
    values.filter((value) => !allowed.includes(value)),
    [],
  )
}

/** What is wrong with one load a key and with what is written, for keys that this attempt alone has. */
async function coldKeysAndWrites(
  nodes: FaultNodes,
  clients: readonly RawClient[],
  attempt: number,
): Promise<string[]> {
  const { origin } = nodes
  const problems: string[] = []
  const expect = (what: string, value: string, expected: string): void => {
    if (value !== expected) problems.push(`${what} is ${value}, not ${expected}`)
  }
  const place = (i: number): RawClient => clients[i % clients.length]!
  // C1
  const [coldId, heldId] = [attempt * 2 * KEYS, (attempt * 2 + 1) * KEYS]
  const tally = new Tally()
  await Promise.all(clients.map((client) => tally.readItems(nodes, client, coldId)))
  for (let id = coldId; id < coldId + KEYS; id++)
    expect(`loads of ${id}`, String(origin.counts.get(`/${id}`)), '1')
  // C2: at once where the owner is, and then everywhere.
  const owners = await ownersOf(nodes, clients[0]!)
  for (const value of ['old', 'new']) {
    for (const [i, key] of keys.entries()) {
      expect(`SET ${key}`, await place(i).command('SET', key, value), '+OK\r\n')
      expect(`${key} at its owner`, String(await place(owners[i]!).get(key)), value)
    }
  }
  expect('what all have', [...new Set(await agreed(clients))].join(), 'new')
  for (const [i, key] of keys.entries())
    expect(`DEL ${key}`, await place(i + 1).command('DEL', key), ':1\r\n')
  expect('what all have', [...new Set(await agreed(clients))].join(), '')
  // C2: what is being loaded while a DEL comes is of before it.
  const before = clients.map((client) => new Tally().readItems(nodes, client, heldId))
  await until(() => origin.counts.has(`/${heldId + KEYS - 1}`))
  origin.change()
  for (let i = 0; i < KEYS; i++) await place(i).command('DEL', `item:${heldId + i}`)
  for (let round = 0; round < 2; round++) {
    for (const client of clients) await tally.readItems(nodes, client, heldId)
    await Promise.all(before)
  }
  return [...problems, ...tally.errors, ...tally.wrongs]
}

/** Tries until no node was too busy to answer another one in time: what is promised then is less. */
async function onAGoodDay(t: ExecutionContext, count: number): Promise<void> {
  const nodes = await start(t, count, { delayMs: 20 })
  const clients = await nodes.clients()
  t.is(new Set(await ownersOf(nodes, clients[0]!)).size, count, 'each node owns a key')
  for (let attempt = 0; ; attempt++) {
    const before = await sum(clients, 'cluster_failovers')
    const problems = await coldKeysAndWrites(nodes, clients, attempt)
    const isGood = (await sum(clients, 'cluster_failovers')) === before
    if (isGood || attempt === ATTEMPTS) {
      t.deepEqual(problems, [])
      return
    }
    t.log('a node was too busy')
  }
}

async function sum(clients: readonly RawClient[], field: string): Promise<number> {
  let all = 0
  for (const client of clients) all += Number(await infoField(client, field))
  return all
}

async function frozenOwner(t: ExecutionContext, count: number): Promise<void> {
  const nodes = await start(t, count)
  const { origin } = nodes
  const clients = await nodes.clients()
  const [others, frozen] = [clients.slice(0, -1), clients.at(-1)!]
  await setAll(t, clients[0]!, 'old')
  await new Tally().readItems(nodes, clients[0]!)
  const loads = new Map(origin.counts)
  nodes.freeze(count - 1)
  t.teardown(() => nodes.thaw(count - 1))
  const tally = new Tally()
  const hadNoTime = stalls()
  const startedAt = performance.now()
  const round = async (): Promise<void> => {
    for (const client of others) {
      await tally.readItems(nodes, client)
      await tally.readItems(nodes, client, KEYS)
    }
  }
  await round()
  for (const client of others) await sees(client, count - 1)
  await round()
  t.log(`${tally.answers} answers of the others, ${tally.errors.length} errors`)
  t.deepEqual(tally.wrongs, [])
  t.true(tally.rightShare >= RIGHT_MIN || hadNoTime(), tally.errors[0])
  // What a stand-in loads is seen for about two seconds, in which a node is down unless all is slow.
  const slowness = Math.floor((performance.now() - startedAt) / 4000)
  for (const [path, times] of origin.counts) {
    const added = times - (loads.get(path) ?? 0)
    t.true(added <= 2 + slowness || hadNoTime(), `${path}: ${added} loads`)
  }
  await setAll(t, others[0]!, 'new')
  const late = valuesBy(frozen)
  nodes.thaw(count - 1)
  onlyOf(t, await late, ['new', undefined])
  for (const client of clients) {
    await until(async () => {
      onlyOf(t, await valuesBy(client), ['new', undefined])
      return (await infoField(client, 'cluster_live_nodes')) === String(count)
    })
  }
  const values = await agreed(clients)
  onlyOf(t, values, ['new', undefined])
  t.true(values.includes('new'), 'what the others own is still there')
  await areWell(t, nodes, clients)
}

async function killedOwner(t: ExecutionContext, count: number): Promise<void> {
  const nodes = await start(t, count)
  const clients = await nodes.clients()
  const others = clients.slice(0, -1)
  await setAll(t, clients[0]!, 'old')
  await new Tally().readItems(nodes, clients[0]!)
  const tally = new Tally()
  const hadNoTime = stalls()
  const killed = nodes.kill(count - 1)
  const round = async (): Promise<void> => {
    for (const client of others) {
      await tally.readItems(nodes, client)
      await tally.setKeys(client, 'new')
      onlyOf(t, await valuesBy(client), ['new', undefined])
    }
  }
  await round()
  await killed
  for (const client of others) await sees(client, count - 1)
  await round()
  t.log(`${tally.answers} answers of the others, ${tally.errors.length} errors`)
  t.deepEqual(tally.wrongs, [])
  t.true(tally.errorShare <= ERRORS_MAX || hadNoTime(), tally.errors[0])
  // All keys move to nodes that are there, some to be deleted.
  const deleted = new Set(keys.slice(0, KEYS / 2))
  for (const key of deleted) t.is(await others[0]!.command('DEL', key), ':1\r\n')
  await nodes.start(count - 1)
  const again = [...others, await nodes.client(count - 1)]
  const judge = (values: readonly (string | undefined)[]): void => {
    onlyOf(t, values.slice(0, deleted.size), [undefined])
    onlyOf(t, values.slice(deleted.size), ['new', undefined])
  }
  for (const client of again) {
    await until(async () => {
      judge(await valuesBy(client))
      return (await infoField(client, 'cluster_live_nodes')) === String(count)
    })
  }
  await nodes.areWhole()
  judge(await agreed(again))
  await areWell(t, nodes, again)
}

async function disagreeingLists(t: ExecutionContext, count: number): Promise<void> {
  // None has the one behind it.
  const listOf = (place: number, names: readonly string[]): string[] =>
    names.filter((_, i) => i !== (place + 1) % count)
  const nodes = await start(t, count, { listOf })
  const clients = await nodes.clients()
  for (const client of clients) await sees(client, count - 1)
  const tally = new Tally()
  const hadNoTime = stalls()
  for (let round = 0; round < 2; round++) {
    await Promise.all(
      clients.map(async (client, i) => {
        await tally.readItems(nodes, client)
        await tally.setKeys(client, `of ${i}`)
        // Of how many nodes' opinion a value is nobody promises.
        onlyOf(t, await valuesBy(client), [undefined, ...clients.map((_, j) => `of ${j}`)])
      }),
    )
  }
  t.deepEqual(tally.wrongs, [])
  t.true(tally.errors.length === 0 || hadNoTime(), tally.errors[0])
  const commands = clients.length * 2 * 3 * KEYS
  const forwards = await sum(clients, 'cluster_forwarded')
  t.log(`${forwards} forwards of ${commands} commands`)
  t.true(forwards > 0)
  t.true(forwards <= commands, 'a command was passed on twice')
  for (const client of clients) {
    t.regex(await client.command('MGET', ...keys), /^\*60\r\n/)
    t.regex(await client.command('DEL', ...keys), /^:\d+\r\n$/)
    t.regex(await client.command('DBSIZE'), /^:\d+\r\n$/)
  }
}

async function fullPartition(t: ExecutionContext, count: number): Promise<void> {
  const nodes = await start(t, count)
  const clients = await nodes.clients()
  const places = clients.map((_, i) => i)
  const majority = Math.floor(count / 2) + 1
  const [many, few] = [places.slice(0, majority), places.slice(majority)]
  const minMembers = async (min: number): Promise<void> => {
    for (const client of clients) {
      t.is(await client.command('CONFIG', 'SET', 'cluster-min-members', `${min}`), '+OK\r\n')
    }
  }
  await setAll(t, clients[0]!, 'before')
  await minMembers(majority)
  await nodes.split(many, few)
  // Until a side knows that it is one, some of its requests need more lost nodes than there is time to ask.
  await Promise.all(clients.map((client) => new Tally().readItems(nodes, client)))
  for (const i of many) await sees(clients[i]!, many.length)
  for (const i of few) await sees(clients[i]!, few.length)
  for (const client of clients) await readAll(t, nodes, client)
  const refused = new Tally()
  for (const i of few) await refused.setKeys(clients[i]!, 'refused')
  t.is(refused.errors.length, few.length * KEYS, 'writes that a minority refused')
  t.deepEqual(new Set(refused.errors.map((line) => line.split(' ')[0])), new Set(['-CLUSTERDOWN']))
  for (const i of many) await setAll(t, clients[i]!, 'of many')
  onlyOf(t, (await Promise.all(many.map((i) => valuesBy(clients[i]!)))).flat(), ['of many'])
  await minMembers(0)
  for (const i of few) await setAll(t, clients[i]!, 'of few')
  onlyOf(t, (await Promise.all(few.map((i) => valuesBy(clients[i]!)))).flat(), ['of few'])
  await nodes.heal()
  await nodes.areWhole()
  // What a side wrote alone is dropped and not merged, on both sides.
  t.deepEqual(new Set(await agreed(clients)), new Set([undefined]))
  await areWell(t, nodes, clients)
}

async function oneWayPartition(t: ExecutionContext, count: number): Promise<void> {
  const nodes = await start(t, count)
  const clients = await nodes.clients()
  await setAll(t, clients[0]!, 'before')
  const said = nodes.servers.map((server) => server.output().length)
  await nodes.split([0], [1], false)
  const tally = new Tally()
  const readByAll = async (): Promise<void> => {
    await Promise.all(clients.map((client) => tally.readItems(nodes, client)))
  }
  await readByAll()
  for (const i of [0, 1]) await new Tally().setKeys(clients[i]!, 'given up')
  // Neither hears the other any more, and has given up the link; others hear both.
  for (const i of [0, 1]) {
    await until(() =>
      /"code":"LINK_(?:DROPPED|TIMEOUT)"/.test(nodes.servers[i]!.output().slice(said[i])),
    )
  }
  await readByAll()
  t.log(`${tally.answers} answers, ${tally.errors.length} errors`)
  t.deepEqual(tally.wrongs, [])
  for (const [i, client] of clients.entries()) await setAll(t, client, `of ${i}`)
  await nodes.heal()
  await nodes.areWhole()
  await nodes.hasArrived()
  // What was given up does not arrive late, and the last writer reached all owners.
  const values = await agreed(clients)
  onlyOf(t, values, [`of ${count - 1}`, undefined])
  await areWell(t, nodes, clients)
}

/** The tests of a cluster of so many nodes. */
export function faultTests(count: number): void {
  const why = whyNoNamespaces()
  if (why !== null) {
    test.skip(`C1 to C7 with ${count} processes: no network namespaces here: ${why}`, () => {})
    return
  }
  const about = `of ${count} processes`
  test.serial(`C1, C2 ${about}: one load a key, and a write is seen`, (t) => onAGoodDay(t, count))
  test.serial(`C3 ${about}: the owner is stopped, and goes on`, (t) => frozenOwner(t, count))
  test.serial(`C4 ${about}: the owner is killed, and started again`, (t) => killedOwner(t, count))
  test.serial(`C5 ${about}: member lists that disagree`, (t) => disagreeingLists(t, count))
  test.serial(`C6 ${about}: the network falls apart, and heals`, (t) => fullPartition(t, count))
  test.serial(`C7 ${about}: one direction fails, and heals`, (t) => oneWayPartition(t, count))
}
