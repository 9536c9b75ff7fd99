/*
 * The claim: 8,000 idle connections cost 32 KB each at most; 20,000 connects and disconnects, half of
 * them by RST, leave nothing behind; 500 connections that announce huge arrays and bulks and send
 * none of them cost 16 MB at most, all together.
 *
 * The server is warmed up with a thousand connections, as its code and the first growth of
 * JavaScript's heap are no connection's. Needs `ulimit -n` above the number of connections.
 */
import { parseArgs } from 'node:util'
import { startRingtier } from '../process.ts'
import { churn, measureAnnouncements, measureIdle } from './connections/measure.ts'
import { describeMachine, nodeVersion, openDescriptors, residentBytes } from './machine.ts'

const HELP = `node dist/test/bench/connections.js [options]
  --idle N       idle connections (8000)
  --churn N      connects and disconnects (20000)
  --announce N   connections that announce and send nothing (500)
  --node PATH    run ringtier on this Node
  --threads N    of ringtier (1)`

const WARM_UP = 1000
const MB = 2 ** 20

const { values } = parseArgs({
  options: {
    idle: { type: 'string', default: '8000' },
    churn: { type: 'string', default: '20000' },
    announce: { type: 'string', default: '500' },
    node: { type: 'string', default: process.execPath },
    threads: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const args = ['--maxmemory', '256mb', '--threads', values.threads]
  const server = await startRingtier({ args, node: values.node })
  try {
    console.log(`Node ${nodeVersion(values.node)}, ${values.threads} threads`)
    console.log(describeMachine())
    await measureIdle(server, WARM_UP)
    const announced = await measureAnnouncements(server, Number(values.announce))
    console.log(`${values.announce} announcements: ${(announced / MB).toFixed(1)} MB in all`)
    const { connections, bytesEach } = await measureIdle(server, Number(values.idle))
    console.log(`${connections} idle connections: ${(bytesEach / 1024).toFixed(1)} KB each`)
    const descriptors = openDescriptors(server.pid)
    const resident = residentBytes(server.pid)
    const begin = Date.now()
    await churn(server, Number(values.churn))
    const grown = (residentBytes(server.pid) - resident) / MB
    const left = openDescriptors(server.pid) - descriptors
    console.log(
      `${values.churn} connects and disconnects: ${Date.now() - begin} ms, ${left} descriptors left, ${grown.toFixed(1)} MB more`,
    )
  } finally {
    await server.stop()
  }
}

await main()
