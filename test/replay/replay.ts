/**
 * The whole way on real input: three nodes, an HTTP origin that counts, and a trace of accesses
 * replayed as plain GETs by eight clients. Memory holds everything, so each key must be loaded
 * exactly once and every answer must be right.
 *
 *     npm run replay -- [trace.gz] [--accesses N] [--cluster]
 *
 * `--cluster` lets ioredis.Cluster clients go to the owners themselves: then nothing is forwarded.
 */
import { parseArgs } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { startOrigin } from '../nodes/counting-origin.ts'
import { startNodes } from '../nodes/nodes.ts'
import { traceOrSample } from './trace.ts'

const clientCount = 8
/** GETs of one client under way at a time. */
const windowSize = 16

export interface ReplaySummary {
  accesses: number
  keys: number
  wrong: number
  hits: number
  loads: number
  /** Keys that the origin was asked for more than once. */
  loadedTwice: number
  forwards: number
  /** Requests that gave the owner up and went to another node. */
  failovers: number
  requestsPerSecond: number
}

export async function replay(options: {
  tracePath?: string | undefined
  accessesMax: number
  cluster: boolean
}): Promise<ReplaySummary> {
  const trace = traceOrSample(options.tracePath, options.accessesMax)
  const origin = await startOrigin()
  const nodes = await startNodes(3, [
    ...[
      '--group',
      `item match item:{id} origin ${origin.url}/items/{id} ttl 1h wait 30s timeout 30s`,
    ],
    ...['--maxmemory', '256mb'],
  ])
  const clients = Array.from({ length: clientCount }, (_, i) =>
    options.cluster
      ? new Cluster(nodes.ports.map((port) => ({ host: '127.0.0.1', port })))
      : new Redis(nodes.ports[i % nodes.ports.length]!, '127.0.0.1'),
  )
  try {
    // The topology is read before what is counted begins.
    await Promise.all(clients.map((client) => client.get('warm-up')))
    const forwardsBefore = await nodes.sum('cluster_forwarded')
    const startedAt = performance.now()
    const wrong = await Promise.all(
      clients.map((client, i) => replayPart(client, trace, i, origin.valueOf)),
    )
    const seconds = (performance.now() - startedAt) / 1000
    const forwards = (await nodes.sum('cluster_forwarded')) - forwardsBefore
    const loads = origin.requests
    return {
      accesses: trace.length,
      keys: new Set(trace).size,
      wrong: wrong.reduce((sum, n) => sum + n, 0),
      hits: trace.length - loads,
      loads,
      loadedTwice: [...origin.counts.values()].filter((count) => count > 1).length,
      forwards,
      failovers: await nodes.sum('cluster_failovers'),
      requestsPerSecond: Math.round(trace.length / seconds),
    }
  } finally {
    for (const client of clients) client.disconnect()
    await nodes.stop()
    await origin.stop()
  }
}

/** Client `part` replays every eighth access; resolves to how many answers were wrong. */
async function replayPart(
  client: Redis | Cluster,
  trace: readonly number[],
  part: number,
  valueOf: (path: string) => string,
): Promise<number> {
  let next = part
  let wrong = 0
  const worker = async (): Promise<void> => {
    while (next < trace.length) {
      const key = trace[next]!
      next += clientCount
      const value = await client.get(`item:${key}`).catch((error: Error) => error.message)
      if (value !== valueOf(`/items/${key}`)) wrong++
    }
  }
  await Promise.all(Array.from({ length: windowSize }, worker))
  return wrong
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { accesses: { type: 'string' }, cluster: { type: 'boolean', default: false } },
  })
  const summary = await replay({
    tracePath: positionals[0],
    accessesMax: Number(values.accesses ?? Number.POSITIVE_INFINITY),
    cluster: values.cluster,
  })
  for (const [name, value] of Object.entries(summary)) console.log(`${name}: ${value}`)
  if (summary.wrong > 0 || summary.loadedTwice > 0 || summary.loads !== summary.keys) {
    console.error('the replay went wrong: see above')
    process.exitCode = 1
  }
}

if (process.argv[1]?.endsWith('replay.js')) await main()
