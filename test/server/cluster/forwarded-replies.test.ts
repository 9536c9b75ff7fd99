/* What is answered through another node is what the owner itself would have answered, to the byte. */
import test from 'ava'
import type { RawClient } from '../../raw.ts'
import { startCluster } from '../in-process.ts'

const commands: readonly string[] = [
  'SET k value',
  'GET k',
  'GET none',
  'STRLEN k',
  'LCS k {k}2 IDX',
  'LCS k {k}2 IDX MINMATCHLEN 1 WITHMATCHLEN',
  'SETRANGE k 10 x',
  'GETRANGE k 0 3',
  'INCR k',
  'SET k 5',
  'INCRBYFLOAT k 1.5',
  'BITFIELD k GET u8 0 OVERFLOW FAIL INCRBY u2 0 9',
  'BITPOS k 1',
  'CACHE.GET k',
  'CACHE.EXPLAIN k',
  'OBJECT ENCODING k',
  'DUMP k',
  'PTTL none',
  'EXISTS k none',
  'MGET k none',
  'GETEX none',
  'SET k x GET NX',
  'SET k x NX',
  'COPY k {k}3',
  'OBJECT FREQ none',
  'DEL k {k}2 {k}3',
]

for (const protocol of ['2', '3']) {
  test(`in RESP${protocol} every node answers alike`, async (t) => {
    const { nodes, settle, shutdown } = await startCluster(3, [])
    const clients = nodes.map((node) => node.connect())
    const say = async (client: RawClient, line: string): Promise<string> => {
      const reply = client.command(...line.split(' '))
      for (let i = 0; i < 3; i++) await settle()
      return reply
    }
    for (const client of clients) await say(client, `HELLO ${protocol}`)
    const played: string[][] = []
    for (const client of clients) {
      const replies: string[] = []
      for (const line of commands) {
        const reply = await say(client, line)
        // How long it took, when it was written, and how often it was read.
        replies.push(line.startsWith('CACHE.EXPLAIN') ? reply.slice(0, 4) : reply)
      }
      played.push(replies)
    }
    t.deepEqual(played[1], played[0])
    t.deepEqual(played[2], played[0])
    if (protocol === '3') {
      t.true(played[0]!.some((reply) => reply.startsWith('%')))
      t.true(played[0]!.includes('_\r\n'))
    }
    for (const client of clients) client.close()
    shutdown()
  })
}
