import { startOrigin } from '../../nodes/counting-origin.ts'
import { infoField, startMany, threadsTest } from './many.ts'
import type { ExecutionContext } from 'ava'

async function scene(t: ExecutionContext, clients: number, delayMs: number) {
  const origin = await startOrigin(delayMs)
  t.teardown(() => origin.stop())
  const group = ['--group', 'user', 'match', 'user:{id}', 'origin', `${origin.url}/{id}`]
  const many = await startMany(t, clients, [...group, 'timeout', '20s', 'wait', '20s'])
  return { origin, ...many }
}

threadsTest('a thousand GETs of a cold key over forty connections are one load', async (t) => {
  const { clients, origin } = await scene(t, 40, 100)
  const replies = clients.flatMap((client) =>
    Array.from({ length: 25 }, () => client.get('user:1')),
  )
  for (const reply of replies) t.is(String(await reply), origin.valueOf('/1'))
  t.is(origin.requests, 1)
  t.regex(
    await infoField(clients[0]!, 'group_user'),
    /^loads=1,joined=\d+,refreshes=0,early_refreshes=0,values=1,/,
  )
  t.is(await infoField(clients[0]!, 'blocked_clients'), '0')
})

threadsTest('fifty cold keys, each asked for a hundred times, are fifty loads', async (t) => {
  const { clients, origin } = await scene(t, 20, 20)
  const asked: Promise<unknown>[] = []
  for (let round = 0; round < 5; round++) {
    for (const client of clients) {
      for (let key = 0; key < 50; key++) {
        const path = `/${key}`
        asked.push(
          client.get(`user:${key}`).then((value) => t.is(String(value), origin.valueOf(path))),
        )
      }
    }
  }
  await Promise.all(asked)
  t.is(origin.requests, 50)
  t.is(Math.max(...origin.counts.values()), 1)
})

threadsTest('a SET of another thread during a load is not undone', async (t) => {
  const { clients } = await scene(t, 4, 50)
  for (let key = 0; key < 10; key++) {
    const reader = clients[key % 4]!
    const writer = clients[(key + 1) % 4]!
    const loaded = reader.get(`user:${key}`)
    await reader.command('PING').then(
      () => {},
      () => {},
    )
    t.is(await writer.command('SET', `user:${key}`, 'newer'), '+OK\r\n')
    await loaded
    for (const client of clients) t.is(String(await client.get(`user:${key}`)), 'newer')
  }
})

threadsTest('waiters of all threads hear of an origin that fails', async (t) => {
  const { clients, origin } = await scene(t, 4, 0)
  await origin.stop()
  const failed = clients.map((client) => client.command('GET', 'user:1'))
  for (const reply of failed) t.regex(await reply, /^-ORIGIN /)
})
