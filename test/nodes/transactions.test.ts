import { startNodes } from './nodes.ts'
import { RawClient } from '../raw.ts'
import { threadsTest } from '../server/threads/many.ts'

const RAISES = 20

threadsTest(
  'two nodes of two threads each: locking by watching, and transactions seen whole',
  async (t) => {
    const nodes = await startNodes(2, ['--threads', '2', '--maxmemory', '16mb', '--save', ''])
    t.teardown(() => nodes.stop())
    const clients: RawClient[] = []
    for (const port of nodes.ports) {
      for (let i = 0; i < 3; i++) {
        const client = await RawClient.open(port)
        t.teardown(() => client.close())
        await client.command('PING')
        clients.push(client)
      }
    }
    const keys = ['{1}', '{2}', '{3}', '{4}']
    const raise = async (client: RawClient, key: string): Promise<void> => {
      for (let done = 0; done < RAISES;) {
        await client.command('WATCH', key)
        const value = Number(String((await client.get(key)) ?? '0'))
        await client.command('MULTI')
        await client.command('SET', key, String(value + 1))
        await client.command('SET', `${key}:copy`, String(value + 1))
        const reply = await client.command('EXEC')
        if (reply === '*2\r\n+OK\r\n+OK\r\n') done++
        else if (reply !== '*-1\r\n') throw new Error(reply)
        const [, one, two] = /\r\n(\d+)\r\n\$\d+\r\n(\d+)\r\n$/.exec(
          await client.command('MGET', key, `${key}:copy`),
        )!
        t.is(one, two)
      }
    }
    await Promise.all(
      clients.map(async (client) => {
        for (const key of keys) await raise(client, key)
      }),
    )
    for (const key of keys) {
      t.is(String(await clients[0]!.get(key)), String(RAISES * clients.length))
    }
  },
)
