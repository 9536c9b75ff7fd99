import { startRingtier } from '../process.ts'
import { threadsTest } from '../server/threads/many.ts'
import { hammer } from './hammer.ts'

/* A million reads, and other seeds: `node dist/test/fuzz/hammer.js [reads] [seed]`. */

threadsTest(
  'eight clients on two threads see the same six keys as if they were alone',
  async (t) => {
    const server = await startRingtier({ args: ['--threads', '2', '--maxmemory', '64mb'] })
    t.teardown(() => server.stop())
    const figures = await hammer({ port: server.port, clients: 8, reads: 10_000, seed: 1 })
    t.true(figures.increments > 1_000)
  },
)
