/*
 * Counts over nodes, while long replies travel on the same links: a number that is an id of a link, or
 * another command's, would show.
 */
import test from 'ava'
import { RawClient } from '../raw.ts'
import { startNodes } from './nodes.ts'

const ROUNDS = 10
const COUNTERS = 4
const LONG_KEYS = 1000
const LONG_BYTES = 4000

/*
 * On a busy machine a node may be too late, which is said, or another one may stand in for it, which has
 * nothing: less than there is may be counted, never more, and never anything else.
 */
const isAnswer = (reply: string): boolean =>
  !/^-(TIMEOUT|CLUSTERDOWN|TRYAGAIN|ERR the link)/.test(reply)

test('EXISTS, DEL and MGET are exact beside MGETs of many megabytes', async (t) => {
  const nodes = await startNodes(2, ['--threads', '2', '--maxmemory', '128mb', '--save', ''])
  const open = (i: number): Promise<RawClient> => RawClient.open(nodes.ports[i % 2]!)
  const clients: RawClient[] = []
  const isDone = { value: false }
  try {
    const long = Array.from({ length: LONG_KEYS }, (_, i) => `long:${i}`)
    const value = 'v'.repeat(LONG_BYTES)
    const filler = await open(0)
    clients.push(filler)
    for (let i = 0; i < LONG_KEYS; i += 500) {
      const pairs = long.slice(i, i + 500).flatMap((key) => [key, value])
      t.is(await filler.command('MSET', ...pairs), '+OK\r\n')
    }
    const element = `$${LONG_BYTES}\r\n${value}\r\n`
    const isWhole = (reply: string): boolean =>
      reply.replaceAll(element, '').replaceAll('$-1\r\n', '') === `*${LONG_KEYS}\r\n`
    const readers = Array.from({ length: 2 }, async (_, i) => {
      const client = await open(i)
      clients.push(client)
      while (!isDone.value) {
        const asked = [1, 2].map(() => client.send(['MGET', ...long]))
        const replies = await Promise.all(asked).catch(() => [])
        for (const reply of replies.filter(isAnswer)) {
          t.true(isWhole(reply), reply.slice(0, 100))
        }
      }
    })
    const counters = Array.from({ length: COUNTERS }, async (_, i) => {
      const client = await open(i)
      clients.push(client)
      for (let round = 0; round < ROUNDS; round++) {
        const count = 2 + ((i + round) % 9)
        const keys = Array.from({ length: count }, (__, n) => `c:${i}:${round}:${n}`)
        const replies = await Promise.all([
          client.command('MSET', ...keys.flatMap((key) => [key, key])),
          client.command('EXISTS', ...keys, 'none'),
          client.command('GET', keys[1]!),
          client.command('STRLEN', keys[0]!),
          client.command('DEL', ...keys),
          client.command('EXISTS', ...keys),
        ])
        const [, all, got, length, deleted, none] = replies as [string, ...string[]]
        const isCount = (reply: string | undefined, most: number): boolean =>
          !isAnswer(reply!) || (/^:\d+\r\n$/.test(reply!) && Number(reply!.slice(1)) <= most)
        t.true(isCount(all, count), all)
        t.true(isCount(deleted, count), deleted)
        t.true(isCount(none, count), none)
        t.true(isCount(length, keys[0]!.length), length)
        t.true(
          [`$${keys[1]!.length}\r\n${keys[1]!}\r\n`, '$-1\r\n'].includes(got!) || !isAnswer(got!),
          got,
        )
      }
    })
    await Promise.all(counters)
    isDone.value = true
    await Promise.all(readers)
  } finally {
    isDone.value = true
    for (const client of clients) client.close()
    await nodes.stop()
  }
})
