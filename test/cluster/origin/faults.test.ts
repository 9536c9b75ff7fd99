import test, { type ExecutionContext } from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import { Loads, type Outcome } from '../../../cluster/loads/loads.ts'
import { HttpLoader } from '../../../cluster/origin/http.ts'
import { createSystemWorld } from '../../../server/system.ts'
import { ModelStore } from '../loads/model-store.ts'
import {
  endlessBody,
  endlessHeaders,
  garbage,
  halfBody,
  hang,
  headOnly,
  largeBody,
  OriginServer,
  redirect,
  reset,
  resetInBody,
  slowDrip,
  status,
} from './server.ts'

/*
 * Loads over a real HTTP server and the real clock: whatever the origin does, every waiter hears
 * something, nothing is stored that is no value, and nothing is left behind.
 */

const { clock, random } = createSystemWorld()

interface Node {
  readonly origin: OriginServer
  readonly store: ModelStore
  readonly loads: Loads
  readonly group: Group
  get(id: string): Promise<Outcome>
  leftovers(): Record<string, number>
}

async function start(t: ExecutionContext, rules: string): Promise<Node> {
  const origin = await OriginServer.start()
  const store = new ModelStore()
  const loads = new Loads({ clock, random, store, loader: new HttpLoader({ version: '0' }) })
  t.teardown(async () => {
    await loads.close()
    await origin.close()
  })
  const group = parseGroup(`g match k:{id} origin ${origin.url}/{id} ${rules}`.split(' '))
  return {
    origin,
    store,
    loads,
    group,
    get: (id) => {
      const key = `k:${id}`
      const miss = { db: 0, key: Buffer.from(key), group, ...store.lease(key) }
      return new Promise((resolve) => loads.wait(miss, resolve))
    },
    leftovers: () => {
      const { active, queued } = loads.underWay(group)
      const { inFlight, waiting } = loads
      return { inFlight, waiting, active, queued, leases: store.leases }
    },
  }
}

const NOTHING = { inFlight: 0, waiting: 0, active: 0, queued: 0, leases: 0 }

function lineOf(outcome: Outcome): string {
  return outcome.kind === 'error' ? outcome.line : outcome.kind
}

for (const [fault, behave, line] of [
  ['answers 404', status(404), 'missing'],
  ['answers 500', status(500), 'ORIGIN g: the origin answered 500'],
  ['hangs', hang, 'ORIGIN g: no complete answer from the origin within 1000 ms'],
  ['hangs after the head', headOnly, 'ORIGIN g: no complete answer from the origin within 1000 ms'],
  ['drips', slowDrip(5), 'ORIGIN g: no complete answer from the origin within 1000 ms'],
  ['sends half a body', halfBody, "ORIGIN g: the origin's answer broke off before its end"],
  ['resets in the body', resetInBody, "ORIGIN g: the origin's answer broke off before its end"],
  ['resets', reset, 'ORIGIN g: the origin closed the connection without an answer'],
  [
    'sends 100 MB',
    largeBody(100 * 1024 ** 2),
    "ORIGIN g: the origin's answer is larger than 1048576 bytes",
  ],
  ['sends no end', endlessBody, "ORIGIN g: the origin's answer is larger than 1048576 bytes"],
  ['sends headers only', endlessHeaders, "ORIGIN g: the origin's answer is not valid HTTP"],
  ['is no HTTP server', garbage, "ORIGIN g: the origin's answer is not valid HTTP"],
  [
    'redirects elsewhere',
    redirect('http://localhost:1/'),
    'ORIGIN g: the origin redirects to another host',
  ],
] as const) {
  test(`when the origin ${fault}, all 20 waiters hear so and the next read recovers`, async (t) => {
    // The deadline is short only where it is what ends the load.
    const timeout = line.includes('1000 ms') ? '1s' : '1m'
    const rules = `timeout ${timeout} wait 2m max-body 1mb ttl 1m`
    const { origin, store, get, leftovers } = await start(t, rules)
    origin.on('/1', behave)
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => get('1')))
    t.deepEqual(outcomes.map(lineOf), Array(20).fill(line))
    t.is(origin.count('/1'), 1)
    t.is(store.get('k:1'), null)
    t.deepEqual(leftovers(), NOTHING)

    origin.on('/1', status(200))
    const outcome = await get('1')
    t.is(outcome.kind === 'value' && String(outcome.value), 'status 200')
    t.is(store.get('k:1'), 'status 200')
    t.deepEqual(leftovers(), NOTHING)
  })
}

test('an origin with concurrency 8 never sees 9 requests at once', async (t) => {
  const { origin, loads, get, leftovers } = await start(t, 'concurrency 8 timeout 60s wait 60s')
  origin.otherwise(({ url }, response) => {
    setTimeout(() => response.end(`value of ${url}`), 1)
  })
  const ids = Array.from({ length: 1000 }, (_, i) => String(i))
  const outcomes = await Promise.all(ids.flatMap((id) => [get(id), get(id)]))
  for (const [i, outcome] of outcomes.entries()) {
    t.is(outcome.kind === 'value' && String(outcome.value), `value of /${Math.floor(i / 2)}`)
  }
  t.is(origin.requestsTotal, 1000)
  t.is(origin.activeMax, 8)
  t.is(loads.counters().joined, 1000)
  t.deepEqual(leftovers(), NOTHING)
})

test('closing ends the loads of an origin that hangs', async (t) => {
  const { origin, loads, get, leftovers } = await start(t, 'timeout 1h wait 1h')
  origin.otherwise(hang)
  const reading = get('1')
  await loads.close()
  t.is(lineOf(await reading), 'ORIGIN g: the server is ending')
  t.deepEqual(leftovers(), NOTHING)
})
