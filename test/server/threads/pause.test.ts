import { type RawClient } from '../../raw.ts'
import { until } from '../../until.ts'
import { infoField, startMany, threadsTest } from './many.ts'

const say = (client: RawClient, line: string): Promise<string> => client.command(...line.split(' '))

threadsTest(
  'CLIENT PAUSE holds the clients of all threads, and UNPAUSE lets them go',
  async (t) => {
    const { clients } = await startMany(t, 8)
    const [first, ...others] = clients
    t.is(await say(first!, 'CLIENT PAUSE 100000 WRITE'), '+OK\r\n')
    const replies: string[] = []
    for (const [i, client] of others.entries()) {
      void say(client, `SET k${i} v`).then((reply) => replies.push(reply))
    }
    await until(async () => (await infoField(first!, 'blocked_clients')) === '7')
    t.is(await say(first!, 'EXISTS k0 k1 k2 k3 k4 k5 k6'), ':0\r\n')
    t.deepEqual(replies, [])
    t.is(await say(first!, 'CLIENT UNPAUSE'), '+OK\r\n')
    await until(() => replies.length === 7)
    t.deepEqual([...new Set(replies)], ['+OK\r\n'])
    t.is(await say(first!, 'EXISTS k0 k1 k2 k3 k4 k5 k6'), ':7\r\n')
    // By itself as well, also for commands that run on the hub.
    t.is(await say(first!, 'CLIENT PAUSE 100'), '+OK\r\n')
    t.deepEqual(await Promise.all(others.map((client) => say(client, 'CONFIG GET nosuch'))), [
      ...others.map(() => '*0\r\n'),
    ])
  },
)

threadsTest('CLIENT UNBLOCK reaches the clients of all threads', async (t) => {
  const { clients, connect } = await startMany(t, 6)
  const ids = await Promise.all(clients.map((client) => say(client, 'CLIENT ID')))
  const waiting = clients.map((client) => say(client, 'WAIT 1 0'))
  const other = await connect()
  await until(async () => (await infoField(other, 'blocked_clients')) === '6')
  for (const id of ids) {
    t.is(await say(other, `CLIENT UNBLOCK ${id.slice(1).trim()} ERROR`), ':1\r\n')
  }
  for (const reply of await Promise.all(waiting)) t.regex(reply, /^-UNBLOCKED /)
})

threadsTest('bits of one value from all threads: none is lost', async (t) => {
  const { clients } = await startMany(t, 8)
  const bits = 8 * 90_000
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = i; n < 800; n += 8) {
        await say(client, `SETBIT k ${(n * 7919) % bits} 1`)
        await say(client, `BITFIELD counter INCRBY u16 #${n % 3} 1`)
        if (n % 50 === 0) await say(client, 'BITOP OR d k k')
      }
    }),
  )
  t.is(await say(clients[0]!, 'BITCOUNT k'), ':800\r\n')
  t.is(
    await say(clients[1]!, 'BITFIELD_RO counter GET u16 #0 GET u16 #1 GET u16 #2'),
    '*3\r\n:267\r\n:267\r\n:266\r\n',
  )
})

threadsTest('who waits does not hold up the end of the server', async (t) => {
  const { server, clients } = await startMany(t, 2)
  void say(clients[0]!, 'WAIT 1 0').catch(() => {})
  await until(async () => (await infoField(clients[1]!, 'blocked_clients')) === '1')
  const begin = performance.now()
  await server.stop()
  t.true(performance.now() - begin < 5000)
})
