import test from 'ava'
import { RawClient } from '../raw.ts'
import { infoField } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { type CutNodes, startCutNodes } from './partition.ts'

const keys = Array.from({ length: 60 }, (_, i) => `key:${i}`)
const args = ['--maxmemory', '16mb', '--save', '']

async function sees(client: RawClient, count: number): Promise<void> {
  await until(async () => (await infoField(client, 'cluster_live_nodes')) === String(count))
}

/** Does this node count on all others, and have they all answered? */
async function isWhole(client: RawClient): Promise<boolean> {
  const info = await client.command('CLUSTER', 'INFO')
  return /cluster_slots_pfail:0\r\n[^]*cluster_size:3\r\n/.test(info)
}

function valuesBy(client: RawClient): Promise<(string | undefined)[]> {
  return Promise.all(keys.map(async (key) => (await client.get(key))?.toString()))
}

async function setAll(client: RawClient, value: string): Promise<string[]> {
  return Promise.all(keys.map((key) => client.command('SET', key, value)))
}

/** Cuts the network, has both sides write, and tells what everybody reads after it has healed. */
async function readAfter(
  nodes: CutNodes,
  cuts: readonly (readonly [number, number])[],
  notices: (clients: readonly RawClient[]) => Promise<void>,
): Promise<(string | undefined)[][]> {
  const clients = await Promise.all(nodes.ports.map((port) => RawClient.open(port)))
  try {
    for (const client of clients) await until(() => isWhole(client))
    await setAll(clients[0]!, 'before')
    for (const [from, to] of cuts) nodes.cut(from, to)
    await notices(clients)
    for (const [i, client] of clients.entries()) {
      const replies = await setAll(client, `of ${i}`)
      if (replies.some((reply) => reply !== '+OK\r\n')) throw new Error(replies.join(''))
      await valuesBy(client)
    }
    nodes.heal()
    for (const client of clients) await until(() => isWhole(client))
    // Who was just counted on may not have been told by the last of the others that it is to forget.
    await until(async () => {
      const seen = await Promise.all(clients.map(valuesBy))
      return seen.every((values) => values.join() === seen[0]!.join())
    })
    return await Promise.all(clients.map(valuesBy))
  } finally {
    for (const client of clients) client.close()
  }
}

test.serial(
  'after a partition has healed all nodes agree, and nobody has what a side wrote alone',
  async (t) => {
    const nodes = await startCutNodes(3, args)
    t.teardown(() => nodes.stop())
    const around = [
      [0, 1],
      [0, 2],
      [1, 0],
      [2, 0],
    ] as const
    const seen = await readAfter(nodes, around, async (clients) => {
      await sees(clients[0]!, 1)
      await sees(clients[1]!, 2)
      await sees(clients[2]!, 2)
    })
    for (const values of seen)
      t.deepEqual(
        values,
        keys.map(() => undefined),
      )
  },
)

test.serial(
  'after a partition in one direction has healed all nodes agree on what is not older',
  async (t) => {
    const nodes = await startCutNodes(3, args)
    t.teardown(() => nodes.stop())
    // Node 0 does not reach node 1, which reaches everybody. Whether it has it down others may decide.
    const seen = await readAfter(nodes, [[0, 1]], () => Promise.resolve())
    for (const values of seen) {
      t.deepEqual(values, seen[0]!)
      t.false(values.includes('before'))
    }
  },
)
