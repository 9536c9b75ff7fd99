/* HOTKEYS: which keys nodes ask each other for most. */
import test from 'ava'
import { way } from '../server/threads/many.ts'
import { RawClient } from '../raw.ts'
import { until } from '../until.ts'
import { startNodes } from './nodes.ts'

for (const threads of way === null ? [1] : [1, 2]) {
  test.serial(`any node tells what is hot in the cluster, with ${threads} threads`, async (t) => {
    const nodes = await startNodes(3, ['--threads', `${threads}`, '--maxmemory', '16mb'])
    t.teardown(() => nodes.stop())
    const clients = await Promise.all(nodes.ports.map((port) => RawClient.open(port)))
    t.teardown(() => clients.forEach((client) => client.close()))
    await clients[0]!.command('SET', 'hot', 'value')
    const shape = /\$3\r\nhot\r\n\$4\r\nnode\r\n\$\d+\r\n(.*)\r\n\$4\r\nrate\r\n:\d+/
    for (const client of clients) {
      // Rates fade: where this machine is busy they are asked for too late.
      await until(async () => {
        for (const reader of clients) t.is(String(await reader.get('hot')), 'value')
        const [, node] = shape.exec(await client.command('HOTKEYS', 'GET')) ?? []
        return nodes.ports.some((port) => node === `127.0.0.1:${port}`)
      })
      await client.command('HELLO', '3')
      await until(async () => {
        for (const reader of clients) t.is(String(await reader.get('hot')), 'value')
        return (await client.command('HOTKEYS', 'GET')).startsWith('*1\r\n%3\r\n$3\r\nkey\r\n')
      })
    }
    t.is(await clients[1]!.command('HOTKEYS', 'RESET'), '+OK\r\n')
    t.is(await clients[2]!.command('HOTKEYS', 'GET'), '*0\r\n')
  })
}
