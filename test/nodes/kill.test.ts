import { performance } from 'node:perf_hooks'
import test from 'ava'
import { Redis } from 'ioredis'
import { startOrigin } from './counting-origin.ts'
import { startNodes } from './nodes.ts'

const keyCount = 300
/** Promised by docs/architecture.md: a request that needs a dead peer answers within a second. */
const answerMsMax = 1000

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test.serial(
    `after ${signal} of one node the other two answer for all keys in time`,
    async (t) => {
      const origin = await startOrigin()
      const group = `item match item:{id} origin ${origin.url}/items/{id} ttl 1h wait 30s timeout 30s`
      const nodes = await startNodes(3, ['--group', group, '--cluster-node-timeout', '600'])
      const clients = nodes.ports.slice(0, 2).map((port) => new Redis(port, '127.0.0.1'))
      const keys = Array.from({ length: keyCount }, (_, i) => `item:${i}`)
      try {
        await Promise.all(keys.map((key) => clients[0]!.get(key)))
        nodes.servers[2]!.kill(signal)
        let slowest = 0
        // The first round meets the dead node, the later ones find it out of the ring.
        for (let round = 0; round < 3; round++) {
          for (const client of clients) {
            await Promise.all(
              keys.map(async (key, i) => {
                const before = performance.now()
                t.is(await client.get(key), origin.valueOf(`/items/${i}`))
                slowest = Math.max(slowest, performance.now() - before)
              }),
            )
            await Promise.all(
              keys.map(async (key) => {
                const before = performance.now()
                t.is(await client.set(`own:${key}`, key), 'OK')
                slowest = Math.max(slowest, performance.now() - before)
              }),
            )
          }
        }
        t.log(`slowest answer: ${Math.round(slowest)} ms`)
        t.true(slowest <= answerMsMax, `an answer took ${slowest} ms`)
      } finally {
        nodes.servers[2]!.kill('SIGCONT')
        for (const client of clients) client.disconnect()
        await nodes.stop()
        await origin.stop()
      }
    },
  )
}
