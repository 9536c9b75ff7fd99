import test from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import type { Outcome } from '../../../cluster/loads/loads.ts'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { OriginError } from '../../../cluster/origin/loader.ts'
import { WARM_BYTES_MAX, WARM_KEYS_MAX, Warming } from '../../../server/loads/warming.ts'
import { type InProcess, startInProcess } from '../in-process.ts'

/** An origin that keeps its answers until the test asks for them. */
class HeldOrigin implements Loader {
  readonly held: (() => void)[] = []
  readonly asked: string[] = []

  load({ key }: { readonly key: Uint8Array }): Promise<Loaded> {
    const name = Buffer.from(key).toString()
    this.asked.push(name)
    return new Promise((resolve, reject) => {
      this.held.push(() => {
        if (name.endsWith('none')) resolve({ value: null })
        else if (name.endsWith('broken')) reject(new OriginError('status', 'ORIGIN item: broken'))
        else resolve({ value: Buffer.from(`origin ${name}`) })
      })
    })
  }

  deliver(): void {
    for (const answer of this.held.splice(0)) answer()
  }

  async close(): Promise<void> {}
}

interface Scene {
  readonly host: InProcess
  readonly origin: HeldOrigin
  readonly group: Group
  warm(keys: readonly string[]): number
  counters(): string
}

async function start(rules: string): Promise<Scene> {
  const origin = new HeldOrigin()
  const line = `item match item:{id} origin http://127.0.0.1:1/{id} timeout 1h wait 1h ${rules}`
  const host = await startInProcess(['--group', line], { loader: origin })
  const { warming, config } = host.server
  const group = config.groups.get('item')!
  return {
    ...{ host, origin, group },
    warm: (keys) =>
      warming.warm(
        group,
        0,
        keys.map((key) => new Uint8Array(Buffer.from(key))),
      ),
    counters: () => {
      const { asked, done, failed } = warming.counters(group)
      return `${asked} asked, ${done} done, ${failed} failed`
    },
  }
}

const items = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `item:${from + i}`)

test('what is not there is loaded, and what is there is not', async (t) => {
  const { host, origin, warm, counters } = await start('ttl 1h')
  const client = host.connect()
  await client.command('SET', 'item:1', 'mine')
  t.is(warm(['item:1', 'item:2', 'item:none', 'item:broken']), 3)
  t.is(counters(), '4 asked, 1 done, 0 failed')
  await host.clock.settle()
  t.deepEqual(origin.asked, ['item:2', 'item:none', 'item:broken'])
  origin.deliver()
  await host.clock.settle()
  t.is(counters(), '4 asked, 3 done, 1 failed')
  t.is(String(await client.get('item:2')), 'origin item:2')
  t.is(String(await client.get('item:1')), 'mine')
  t.is(await client.command('TTL', 'item:2'), ':3600\r\n')
  t.is(host.server.loads.inFlight, 0)
  host.server.shutdown()
})

test('half of the places are taken, so that a miss finds one at once', async (t) => {
  const { host, origin, warm, counters } = await start('concurrency 4')
  t.is(warm(items(100)), 100)
  await host.clock.settle()
  t.is(origin.held.length, 2)
  const missed = host.connect().get('item:missed')
  await host.clock.settle()
  t.is(origin.asked.at(-1), 'item:missed')
  let rounds = 0
  while (origin.held.length > 0) {
    t.true(origin.held.length <= 3)
    origin.deliver()
    await host.clock.settle()
    rounds++
  }
  t.is(rounds, 50)
  t.is(String(await missed), 'origin item:missed')
  t.is(counters(), '100 asked, 100 done, 0 failed')
  host.server.shutdown()
})

test('with one place keys are warmed one by one', async (t) => {
  const { host, origin, warm, counters } = await start('concurrency 1 queue 0')
  warm(items(3))
  for (let i = 0; i < 3; i++) {
    await host.clock.settle()
    t.is(origin.held.length, 1)
    origin.deliver()
  }
  await host.clock.settle()
  t.is(counters(), '3 asked, 3 done, 0 failed')
  host.server.shutdown()
})

test('while the loads are full nothing is started, and nobody is refused', async (t) => {
  const { host, origin, warm, counters } = await start('concurrency 2 queue 1')
  const client = host.connect()
  const missed = ['a', 'b', 'c'].map((name) => client.get(`item:${name}`))
  await host.clock.settle()
  warm(['item:1', 'item:2'])
  await host.clock.advance(1000)
  t.deepEqual(origin.asked, ['item:a', 'item:b'])
  for (let i = 0; i < 4; i++) {
    origin.deliver()
    await host.clock.advance(50)
  }
  t.deepEqual(
    (await Promise.all(missed)).map(String),
    ['a', 'b', 'c'].map((n) => `origin item:${n}`),
  )
  t.deepEqual(origin.asked.slice(2), ['item:c', 'item:1', 'item:2'])
  t.is(counters(), '2 asked, 2 done, 0 failed')
  t.is(host.server.loads.counters().errors.busy, 0)
  host.server.shutdown()
})

test('a key that a client is loading already is waited for, not loaded again', async (t) => {
  const { host, origin, warm, counters } = await start('')
  const value = host.connect().get('item:1')
  await host.clock.settle()
  t.is(warm(['item:1']), 1)
  await host.clock.settle()
  t.deepEqual(origin.asked, ['item:1'])
  origin.deliver()
  await host.clock.settle()
  t.is(String(await value), 'origin item:1')
  t.is(counters(), '1 asked, 1 done, 0 failed')
  host.server.shutdown()
})

test('a key that was set while it waited is left as it is', async (t) => {
  const { host, origin, warm, counters } = await start('concurrency 1')
  warm(['item:1', 'item:2'])
  await host.clock.settle()
  const client = host.connect()
  await client.command('SET', 'item:2', 'mine')
  origin.deliver()
  await host.clock.settle()
  t.is(String(await client.get('item:2')), 'mine')
  t.deepEqual(origin.asked, ['item:1'])
  t.is(counters(), '2 asked, 2 done, 0 failed')
  host.server.shutdown()
})

test('a key whose lease others take is tried again, ten times in all', async (t) => {
  const { host, group } = await start('')
  const { clock, server } = host
  let waits = 0
  const ends: Outcome['kind'][] = ['again', 'again', 'missing']
  const loads = {
    wait: (_: unknown, done: (outcome: Outcome) => void) => {
      waits++
      const kind = ends.shift() ?? 'again'
      clock.soon(() => done(kind === 'missing' ? { kind } : { kind: 'again' }))
      return { leave: () => {} }
    },
    underWay: () => ({ active: 0, queued: 0 }),
  }
  const warming = new Warming({ clock, store: server.store, loads })
  warming.warm(group, 0, [new Uint8Array(Buffer.from('item:1'))])
  await clock.settle()
  t.is(waits, 3)
  t.deepEqual(warming.counters(group), { asked: 1, done: 1, failed: 0 })
  warming.warm(group, 0, [new Uint8Array(Buffer.from('item:2'))])
  await clock.settle()
  t.is(waits, 13)
  t.deepEqual(warming.counters(group), { asked: 2, done: 1, failed: 1 })
  server.shutdown()
})

test('so many keys may wait, and one more is refused', async (t) => {
  const { host, warm, counters } = await start('concurrency 1')
  t.is(warm(items(WARM_KEYS_MAX)), WARM_KEYS_MAX)
  t.is(warm(['item:more']), -1)
  t.is(counters(), `${WARM_KEYS_MAX} asked, 0 done, 0 failed`)
  await host.clock.settle()
  // The first has its place at the origin now.
  t.is(warm(['item:more']), 1)
  t.is(warm(['item:moremore']), -1)
  host.server.shutdown()
})

test('so many bytes of keys may wait, over all groups', async (t) => {
  const { host, warm } = await start('')
  const key = `item:${'x'.repeat(2 ** 20 - 5)}`
  t.is(warm(Array.from({ length: WARM_BYTES_MAX / key.length }, () => key)), 64)
  const { warming } = host.server
  const other = parseGroup('other match * origin http://h/'.split(' '))
  t.is(warming.warm(other, 0, [new Uint8Array(1)]), -1)
  t.is(warming.warm(other, 0, [new Uint8Array(0)]), 1)
  host.server.shutdown()
})

test('an end forgets what waits', async (t) => {
  const { host, origin, warm, counters } = await start('concurrency 1')
  warm(items(1000))
  await host.clock.settle()
  host.server.shutdown()
  await host.clock.settle()
  t.is(counters(), '1000 asked, 0 done, 1 failed')
  t.is(origin.asked.length, 1)
  t.is(warm(['item:late']), 1)
  await host.clock.settle()
  t.is(origin.asked.length, 1)
})
