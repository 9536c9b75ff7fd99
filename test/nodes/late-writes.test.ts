/*
 * A write that is given up and done by another node does not run late at its owner, over a newer one that came by
 * a third: neither after a cut that heals before anybody was missed, nor after the owner stood still for so long.
 * A key is gone then in most cases: who passed the owner over has it remove what it had (cluster/routes/amends.ts),
 * and knows nothing of the newer one.
 */
import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import type { RawClient } from '../raw.ts'
import { FaultNodes } from './namespaces/fault-nodes.ts'

/** Longer than a silence, shorter than three missed heartbeats. */
const FAULT_MS = 500
const OWNER = 2
const ROUNDS = 2
const COUNT = 40

/** Keys of the node that the fault is about, as another one has it. */
async function keysOf(client: RawClient, owner: string): Promise<string[]> {
  const keys: string[] = []
  for (let i = 0; keys.length < COUNT; i++) {
    if ((await client.command('CACHE.EXPLAIN', `k:${i}`)).includes(owner)) keys.push(`k:${i}`)
  }
  return keys
}

interface Fault {
  /** Of the older values: where they are more than an owner reads at once, some come after what was sent later. */
  readonly bytes: number
  begin(nodes: FaultNodes): Promise<void>
  end(nodes: FaultNodes): Promise<void>
}

const faults: readonly (readonly [string, Fault])[] = [
  [
    'the network was cut',
    {
      bytes: 10,
      begin: (nodes) => nodes.split([0], [OWNER]),
      end: (nodes) => nodes.heal(),
    },
  ],
  [
    'the owner stood still',
    {
      bytes: 8000,
      begin: async (nodes) => nodes.freeze(OWNER),
      end: async (nodes) => nodes.thaw(OWNER),
    },
  ],
]

for (const [what, fault] of faults) {
  test.serial(`a write that was given up while ${what} does not run late`, async (t) => {
    const nodes = await FaultNodes.start(3)
    t.teardown(() => nodes.stop())
    const clients = await nodes.clients()
    const [first, second] = clients as [RawClient, RawClient]
    const keys = await keysOf(first, nodes.names[OWNER]!)
    const wrong: string[] = []
    let missing = 0
    for (let round = 0; round < ROUNDS; round++) {
      const value = (age: string): string =>
        `${age} of ${round} `.padEnd(age === 'older' ? fault.bytes : 0, '.')
      await Promise.all(keys.map((key) => first.command('SET', key, value('first'))))
      const acknowledged = new Map<string, string>()
      await fault.begin(nodes)
      const ended = setTimeout(FAULT_MS).then(() => fault.end(nodes))
      await Promise.all(
        keys.map(async (key) => {
          for (const [client, age] of [
            [first, 'older'],
            [second, 'newer'],
          ] as const) {
            const reply = await client.command('SET', key, value(age))
            if (reply === '+OK\r\n') acknowledged.set(key, age)
          }
        }),
      )
      await ended
      // Until what may run late has, and what stood in is forgotten.
      await setTimeout(1500)
      for (const key of keys) {
        const last = acknowledged.get(key) ?? ''
        for (const client of clients) {
          const seen = (await client.get(key))?.toString()
          if (seen === undefined) missing++
          else if (!seen.startsWith(last))
            wrong.push(`${key}: ${seen.slice(0, 10)}, and not ${last}`)
        }
      }
    }
    t.log(`${missing} of ${3 * ROUNDS * COUNT} reads found nothing`)
    t.deepEqual(wrong, [])
    // And everything is as before.
    for (const key of keys) t.is(await first.command('SET', key, 'newest'), '+OK\r\n')
    for (const client of clients) {
      for (const key of keys) t.is(String(await client.get(key)), 'newest')
    }
  })
}
