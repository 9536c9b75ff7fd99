/*
 * Stampedes on cold keys, over all nodes and all their threads, and an origin that does not answer
 * before all have asked.
 */
import type { ExecutionContext } from 'ava'
import test from 'ava'
import { type Behaviour, OriginServer } from '../cluster/origin/server.ts'
import { RawClient } from '../raw.ts'
import { way } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { type Nodes, startNodes } from './nodes.ts'

const NODES = 3
const THREADS = way === null ? 1 : 2
const GETS = 10_000
/** Of which one has to pass without a node being given up. */
const ROUNDS_MAX = 10

interface Scene {
  readonly nodes: Nodes
  readonly origin: OriginServer
  /** So many to each node; the threads of one have them in turn. */
  readonly clients: readonly RawClient[]
  /** From now on the origin answers nobody ... */
  hold(): void
  /** ... until this. */
  release(): void
}

async function start(t: ExecutionContext): Promise<Scene> {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const held: (() => void)[] = []
  let isOpen = true
  const behave: Behaviour = (request, response) => {
    const answer = (): void => void response.end(`value of ${request.url}`)
    if (isOpen) answer()
    else held.push(answer)
  }
  origin.otherwise(behave)
  const group = `item match item:{id} origin ${origin.url}/{id} ttl 1h wait 1h timeout 1h`
  const nodes = await startNodes(NODES, ['--threads', `${THREADS}`, '--save', '', '--group', group])
  t.teardown(() => nodes.stop())
  const clients: RawClient[] = []
  for (const port of nodes.ports) {
    for (let i = 0; i < 20; i++) {
      const client = await RawClient.open(port)
      t.teardown(() => client.close())
      // Connections are spread one by one: each is counted before the next one comes.
      await client.command('PING')
      clients.push(client)
    }
  }
  for (const client of clients) await widen(client)
  return {
    ...{ nodes, origin, clients },
    hold: () => {
      isOpen = false
    },
    release: () => {
      isOpen = true
      for (const answer of held.splice(0)) answer()
    },
  }
}

/**
 * How many replies of a connection may be under way grows with the small ones that it has had, here
 * of keys that other nodes own.
 */
async function widen(client: RawClient): Promise<void> {
  const replies = Array.from({ length: 500 }, (_, i) => client.command('GET', `plain:${i % 50}`))
  await Promise.all(replies)
}

/** GETs that have missed at the key's owner, or ride along with one on its way there. */
async function asked(nodes: Nodes): Promise<number> {
  return (await nodes.sum('keyspace_misses')) + (await nodes.sum('cluster_link_shared'))
}

/**
 * GETs of so many cold keys, all of them under way before the origin answers. How often it was asked;
 * or null, if a node was given up meanwhile, since this machine did not let it run for too long: then
 * another one stands in for it, and may ask as well.
 */
async function stampede(t: ExecutionContext, scene: Scene, ids: readonly string[]) {
  const { nodes, origin, clients } = scene
  const [before, disturbed] = [await asked(nodes), await disturbances(nodes)]
  const requests = origin.requestsTotal
  scene.hold()
  const replies = Array.from({ length: GETS }, async (_, i) => {
    const id = ids[i % ids.length]!
    // Each connection asks for each of the keys.
    const client = clients[(i + Math.floor(i / ids.length)) % clients.length]!
    const value = `value of /${id}`
    const reply = await client.command('GET', `item:${id}`)
    return reply === `$${value.length}\r\n${value}\r\n` ? 'right' : reply
  })
  // Those that a connection does not execute yet, behind so many that wait, come when these are answered.
  let count = before
  let unchanged = 0
  await until(async () => {
    const now = await asked(nodes)
    unchanged = now === count ? unchanged + 1 : 0
    count = now
    return count - before >= GETS || unchanged >= 20 || (await disturbances(nodes)) > disturbed
  })
  scene.release()
  const heard = [...new Set(await Promise.all(replies))]
  if ((await disturbances(nodes)) > disturbed) return null
  t.deepEqual(heard, ['right'])
  t.is(await nodes.sum('blocked_clients'), 0)
  return origin.requestsTotal - requests
}

/** How often a node was given up. */
async function disturbances(nodes: Nodes): Promise<number> {
  return (await nodes.sum('cluster_failovers')) + (await nodes.sum('cluster_failures'))
}

for (const keys of [1, 50]) {
  const title = `${GETS} GETs of ${keys} cold keys on ${NODES} nodes of ${THREADS} threads: ${keys} loads`
  test.serial(title, async (t) => {
    const scene = await start(t)
    let loads: number | null = null
    for (let round = 0; loads === null && round < ROUNDS_MAX; round++) {
      const ids = Array.from({ length: keys }, (_, i) => `${round}-${i}`)
      loads = await stampede(t, scene, ids)
    }
    t.is(loads, keys)
  })
}
