import test from 'ava'
import { until } from '../until.ts'
import { RawClient } from '../raw.ts'
import { startNodes } from './nodes.ts'

test('bits over three nodes, and a pause on one of them', async (t) => {
  const nodes = await startNodes(3, ['--maxmemory', '64mb'])
  const clients = await Promise.all(nodes.ports.map((port) => RawClient.open(port)))
  const say = (i: number, line: string): Promise<string> =>
    clients[i % 3]!.command(...line.split(' '))
  try {
    for (let i = 0; i < 60; i++) t.is(await say(i, `SETBIT k${i % 6} ${i * 10_000} 1`), ':0\r\n')
    for (let i = 0; i < 18; i++) t.is(await say(i, `BITCOUNT k${i % 6}`), ':10\r\n')
    for (let i = 0; i < 18; i++)
      t.is(await say(i, `BITPOS k${i % 6} 1`), `:${(i % 6) * 10_000}\r\n`)
    const fields = 'INCRBY u32 #1 1 '.repeat(5000).trim()
    const counted = Array.from({ length: 5000 }, (_, i) => `:${i + 1}\r\n`).join('')
    for (let i = 0; i < 3; i++) {
      t.is(await say(i, `BITFIELD fields${i} ${fields}`), `*5000\r\n${counted}`)
      t.is(await say(i + 1, `BITFIELD_RO fields${i} GET u32 #1`), '*1\r\n:5000\r\n')
      t.is(await say(i + 2, `SETBIT {t}long ${600_000 + i} 1`), ':0\r\n')
      t.is(await say(i, `BITOP NOT {t}d{x}${i} {t}long`), ':75001\r\n')
      t.is(await say(i + 1, `BITCOUNT {t}d{x}${i}`), `:${8 * 75_001 - 1 - i}\r\n`)
    }
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`).join(' ')
    t.regex(await say(0, `BITOP OR d ${keys}`), /^-CROSSSLOT/)
    t.is(await say(1, 'LCS {t}long nothing{t} LEN'), ':0\r\n')

    // What other nodes ask of it is answered all the same.
    t.is(await say(0, 'CLIENT PAUSE 60000 ALL'), '+OK\r\n')
    let isPaused = true
    const held = say(0, 'GET k0').then(() => (isPaused = false))
    for (let i = 0; i < 6; i++) t.is(await say(1 + (i % 2), `BITCOUNT k${i}`), ':10\r\n')
    t.true(isPaused)
    clients[0]!.close()
    await held.catch(() => {})
    const [port] = nodes.ports
    const fresh = await RawClient.open(port!)
    void fresh.command('PING').catch(() => {})
    fresh.close()
    await until(async () => /cluster_size:3\r/.test(await say(1, 'CLUSTER INFO')))
  } finally {
    for (const client of clients) client.close()
    await nodes.stop()
  }
})
