import { performance } from 'node:perf_hooks'
import test from 'ava'
import { RawClient } from '../raw.ts'
import { infoField, way } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { startOrigin } from './counting-origin.ts'
import { type Nodes, startNodes } from './nodes.ts'

const keys = Array.from({ length: 60 }, (_, i) => `key:${i}`)

/** A client of each node. */
async function clientsOf({ ports }: Nodes): Promise<RawClient[]> {
  return Promise.all(ports.map((port) => RawClient.open(port)))
}

async function sees(client: RawClient, count: number): Promise<void> {
  await until(async () => (await infoField(client, 'cluster_live_nodes')) === String(count))
}

function valuesBy(client: RawClient): Promise<(string | undefined)[]> {
  return Promise.all(keys.map(async (key) => (await client.get(key))?.toString()))
}

for (const threads of ['1', '2']) {
  // Where connections cannot be handed to threads there is one.
  const run = threads === '1' || way !== null ? test.serial : test.serial.skip
  run(
    `threads ${threads}: a node that stood still shows nothing that was changed meanwhile`,
    async (t) => {
      const nodes = await startNodes(3, ['--threads', threads, '--maxmemory', '16mb', '--save', ''])
      t.teardown(() => nodes.stop())
      t.teardown(() => nodes.servers[2]!.kill('SIGCONT'))
      const clients = await clientsOf(nodes)
      t.teardown(() => clients.forEach((client) => client.close()))
      const [first, second, frozen] = clients as [RawClient, RawClient, RawClient]
      for (const key of keys) t.is(await first.command('SET', key, 'old'), '+OK\r\n')
      t.true((await valuesBy(frozen)).every((value) => value === 'old'))
      nodes.servers[2]!.kill('SIGSTOP')
      for (const client of [first, second]) await sees(client, 2)
      for (const key of keys) t.is(await second.command('SET', key, 'new'), '+OK\r\n')
      // These lie in its socket when it goes on.
      const late = valuesBy(frozen)
      nodes.servers[2]!.kill('SIGCONT')
      const isNewOrGone = (value: string | undefined): boolean =>
        value === undefined || value === 'new'
      t.deepEqual(
        (await late).filter((value) => !isNewOrGone(value)),
        [],
      )
      for (const client of clients) {
        await until(async () => {
          const values = await valuesBy(client)
          t.true(values.every(isNewOrGone), 'an old value came back')
          return (await infoField(client, 'cluster_live_nodes')) === '3'
        })
      }
      const [one, ...others] = await Promise.all(clients.map(valuesBy))
      for (const other of others) t.deepEqual(other, one!)
      t.true(one!.includes('new'), 'what the others own is still there')
      // And it takes part as before.
      for (const key of keys) t.is(await frozen.command('SET', key, 'newest'), '+OK\r\n')
      for (const client of clients) {
        t.true((await valuesBy(client)).every((value) => value === 'newest'))
      }
    },
  )
}

test.serial(
  'while a node stands still each of its keys is loaded twice at most, and not again',
  async (t) => {
    const origin = await startOrigin()
    t.teardown(() => origin.stop())
    const group = `item match item:{id} origin ${origin.url}/{id} ttl 1h wait 30s timeout 30s`
    const nodes = await startNodes(3, ['--maxmemory', '16mb', '--save', '', '--group', group])
    t.teardown(() => nodes.stop())
    t.teardown(() => nodes.servers[2]!.kill('SIGCONT'))
    const clients = await clientsOf(nodes)
    t.teardown(() => clients.forEach((client) => client.close()))
    const [first, second] = clients as [RawClient, RawClient, RawClient]
    const readAll = (client: RawClient): Promise<void[]> =>
      Promise.all(
        keys.map(async (_, i) => {
          t.is(String(await client.get(`item:${i}`)), origin.valueOf(`/${i}`))
        }),
      )
    const before = performance.now()
    nodes.servers[2]!.kill('SIGSTOP')
    // The first round finds out that it does not answer, in the last ones it is down.
    for (const client of [first, second, first, second, first, second]) await readAll(client)
    for (const client of [first, second]) await sees(client, 2)
    for (const client of [first, second]) await readAll(client)
    // What a stand-in loads is seen for about two seconds, in which a node is down unless all is slow.
    const slowness = Math.floor((performance.now() - before) / 2000)
    t.true(Math.max(...origin.counts.values()) <= 2 + slowness)
  },
)
