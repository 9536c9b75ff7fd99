/* `node dist/test/fuzz/hammer.js [reads] [seed]`: eight clients on two threads, six keys; see
 * test/linearizability/hammer.ts. In portions, for a history is kept whole until it is checked. */
import { startRingtier } from '../process.ts'
import { hammer } from '../linearizability/hammer.ts'

const PORTION = 50_000

const reads = Number(process.argv[2] ?? 1_000_000)
const first = Number(process.argv[3] ?? 1)
let done = 0
let increments = 0
for (let seed = first; done < reads; seed++) {
  const server = await startRingtier({ args: ['--threads', '2', '--maxmemory', '64mb'] })
  const figures = await hammer({ port: server.port, clients: 8, reads: PORTION, seed })
  await server.stop()
  done += figures.reads
  increments += figures.increments
  console.log(`seed ${seed}: ${done} reads, ${increments} increments, all right`)
}
