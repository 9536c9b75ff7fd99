/*
 * A group's origin is never asked for more at once than its `concurrency`, whatever the threads miss and
 * whatever GROUP WARM loads beside them. RINGTIER_MISSES: how many misses (5000).
 */
import type { ExecutionContext } from 'ava'
import test from 'ava'
import { OriginServer } from '../cluster/origin/server.ts'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { infoField, way } from '../server/threads/many.ts'
import { until } from '../until.ts'

const PLACES = 64
const MISSES = Number(process.env.RINGTIER_MISSES ?? 5000)
const PER_SECOND = 5000
const TICK_MS = 10
const WARMED = 1000

interface Scene {
  readonly origin: OriginServer
  readonly clients: readonly RawClient[]
}

async function start(t: ExecutionContext, threads: number): Promise<Scene> {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  // Slow enough for a queue, with room for more than is asked: 64 / 10 ms.
  origin.otherwise((request, response) => {
    setTimeout(() => response.end(`value of ${request.url}`), 10)
  })
  const rules = `concurrency ${PLACES} queue 65536 timeout 60s wait 60s ttl 1h`
  const group = `item match item:{id} origin ${origin.url}/{id} ${rules}`
  const args = ['--threads', `${threads}`, '--maxmemory', '64mb', '--save', '', '--group', group]
  const server = await startRingtier({ args })
  t.teardown(() => server.stop())
  const clients: RawClient[] = []
  for (let i = 0; i < 20; i++) {
    const client = await RawClient.open(server.port)
    t.teardown(() => client.close())
    await client.command('PING')
    clients.push(client)
  }
  return { origin, clients }
}

/** Misses so many keys, 5,000 a second; where this machine is slower, as many as it manages. */
async function missAll(t: ExecutionContext, { clients }: Scene): Promise<void> {
  const replies: Promise<boolean>[] = []
  const begin = performance.now()
  while (replies.length < MISSES) {
    const due = Math.min(MISSES, ((performance.now() - begin) * PER_SECOND) / 1000)
    for (let i = replies.length; i < due; i++) {
      const asked = clients[i % clients.length]!.get(`item:${i}`)
      replies.push(asked.then((value) => value?.toString() === `value of /${i}`))
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  t.true((await Promise.all(replies)).every((isRight) => isRight))
}

for (const threads of way === null ? [1] : [1, 2]) {
  test.serial(
    `under 5,000 misses a second of ${threads} threads the origin sees 64 at once`,
    async (t) => {
      const scene = await start(t, threads)
      const { origin, clients } = scene
      await missAll(t, scene)
      t.is(origin.requestsTotal, MISSES)
      t.is(origin.activeMax, PLACES)
      t.regex(await infoField(clients[0]!, 'group_item'), /,active=0,queued=0,/)
    },
  )

  test.serial(`GROUP WARM beside the misses of ${threads} threads: still 64`, async (t) => {
    const scene = await start(t, threads)
    const { origin, clients } = scene
    const warm = Array.from({ length: WARMED }, (_, i) => `item:warm-${i}`)
    const asked = clients[0]!.send(['GROUP', 'WARM', 'item', ...warm])
    await missAll(t, scene)
    t.is(await asked, `:${WARMED}\r\n`)
    await until(async () =>
      (await clients[0]!.command('GROUP', 'INFO', 'item')).includes(`warm_done\r\n:${WARMED}\r\n`),
    )
    t.is(origin.requestsTotal, MISSES + WARMED)
    t.is(origin.activeMax, PLACES)
  })
}

test.serial(
  'places are free when loads are given up, and the origin sees no more than 64 that are not',
  async (t) => {
    const scene = await start(t, 1)
    const { origin, clients } = scene
    t.is(await clients[0]!.command('GROUP', 'SET', 'item', 'timeout', '2s'), '+OK\r\n')
    t.is(await clients[0]!.command('GROUP', 'SET', 'item', 'breaker', 'off'), '+OK\r\n')
    const behave = new Map<boolean, number>()
    // Every fifth never answers.
    origin.otherwise((request, response) => {
      const hangs = Number(request.url?.slice(1)) % 5 === 0
      behave.set(hangs, (behave.get(hangs) ?? 0) + 1)
      if (!hangs) setTimeout(() => response.end('value'), 5)
    })
    const replies = Array.from({ length: 1000 }, (_, i) =>
      clients[i % clients.length]!.command('GET', `item:${i}`),
    )
    await Promise.all(replies)
    t.true((behave.get(true) ?? 0) > 0)
    // Another connection's request may come before word that this one was given up.
    t.true(origin.activeMax >= PLACES && origin.activeMax <= PLACES + 8, String(origin.activeMax))
    await until(async () => /,active=0,queued=0,/.test(await infoField(clients[0]!, 'group_item')))
    await until(() => origin.active === 0)
  },
)
