import { startOrigin } from '../../nodes/counting-origin.ts'
import { infoField, startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'
import type { ExecutionContext } from 'ava'

async function scene(t: ExecutionContext) {
  const origin = await startOrigin()
  t.teardown(() => origin.stop())
  const group = `user match user:{id} origin ${origin.url}/{id} timeout 20s wait 20s`
  return { origin, ...(await startMany(t, 4, ['--group', group])) }
}

threadsTest('GROUP SET is in force in all threads when it is answered', async (t) => {
  const { clients, origin } = await scene(t)
  for (let round = 1; round <= 20; round++) {
    const setter = clients[round % 4]!
    t.is(await setter.command('GROUP', 'SET', 'user', 'idle', `${round}s`), '+OK\r\n')
    const waits = round % 2 === 0
    const wait = waits ? '20s' : '0'
    t.is(await setter.command('GROUP', 'SET', 'user', 'wait', wait), '+OK\r\n')
    // Whose thread does not know it yet waits for the load, or does not.
    for (const [i, client] of clients.entries()) {
      const value = await client.get(`user:${round}-${i}`)
      t.is(value === null ? null : String(value), waits ? origin.valueOf(`/${round}-${i}`) : null)
    }
    for (const client of clients) {
      t.regex(await client.command('GROUP', 'INFO', 'user'), new RegExp(`\\$\\d\r\n${round}s\r\n`))
    }
  }
  t.regex(await clients[0]!.command('GROUP', 'SET', 'user', 'idle', 'x'), /^-ERR group user: idle/)
})

threadsTest('GROUP WARM and FLUSH do what they do whoever is asked', async (t) => {
  const { clients, origin } = await scene(t)
  const keys = Array.from({ length: 300 }, (_, i) => `user:${i}`)
  t.is(await clients[1]!.send(['GROUP', 'WARM', 'user', ...keys]), ':300\r\n')
  await until(async () =>
    /warm_done\r\n:300\r\n/.test(await clients[2]!.command('GROUP', 'INFO', 'user')),
  )
  t.is(origin.requests, 300)
  for (const [i, client] of clients.entries()) {
    t.is(String(await client.get(`user:${i}`)), origin.valueOf(`/${i}`))
  }
  t.is(origin.requests, 300)
  await clients[0]!.command('SET', 'other', 'v')
  t.is(await clients[3]!.command('GROUP', 'FLUSH', 'user'), '+OK\r\n')
  t.is(await clients[0]!.command('DBSIZE'), ':1\r\n')
  t.regex(await infoField(clients[0]!, 'group_user'), /^loads=300,/)
})
