/*
 * The claim: four clients that ask for 500 MB each and never read cost 64 MB at most, nobody else's
 * PING takes over 50 ms meanwhile, and an honest slow reader of a value of 100 MB gets all of it.
 *
 * They ask in several ways: for one long value again and again, in pipelines of GET, in one MGET.
 */
import { createHash, randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { describeMachine, nodeVersion } from './machine.ts'
import { encode, measureSilent, Pinger, readSlowly } from './slow-readers/measure.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/slow-readers.js [options]
  --seconds N    how long each kind of client does not read (3)
  --node PATH    run ringtier on this Node
  --threads N    of ringtier (1)`

const MB = 2 ** 20
const CLIENTS = 4
const ASKED_BYTES = 500 * MB
const SMALL_BYTES = 10_000
const SMALL_KEYS = 500

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    node: { type: 'string', default: process.execPath },
    threads: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})

/** For 500 MB of values of 10,000 bytes. */
const smallKeys = Array.from({ length: ASKED_BYTES / SMALL_BYTES }, (_, i) => `s${i % SMALL_KEYS}`)

const requests: Readonly<Record<string, () => Buffer>> = {
  'GET of 100 MB, 5 times': () => Buffer.from('GET big\r\n'.repeat(5)),
  'MGET of 100 MB, 5 keys': () => encode('MGET', ...Array.from({ length: 5 }, () => 'big')),
  'GET of 1 MB, 500 times': () => Buffer.from('GET mid\r\n'.repeat(500)),
  'MGET of 1 MB, 500 keys': () => encode('MGET', ...Array.from({ length: 500 }, () => 'mid')),
  'GET of 10 KB, 52,428 times': () =>
    Buffer.concat(smallKeys.map((key) => Buffer.from(`GET ${key}\r\n`))),
  'MGET of 10 KB, 52,428 keys': () => encode('MGET', ...smallKeys),
  'MGET of 10 KB, 16,384 keys, 3 times': () => {
    const one = encode('MGET', ...smallKeys.slice(0, 16_384))
    return Buffer.concat([one, one, one])
  },
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const args = ['--maxmemory', '1gb', '--threads', values.threads]
  const server = await startRingtier({ args, node: values.node })
  try {
    console.log(`Node ${nodeVersion(values.node)}, ${values.threads} threads`)
    console.log(describeMachine())
    const big = randomBytes(100 * MB)
    const admin = await RawClient.open(server.port)
    await admin.command('SET', 'big', big)
    await admin.command('SET', 'mid', randomBytes(MB))
    for (let i = 0; i < SMALL_KEYS; i++) {
      await admin.command('SET', `s${i}`, randomBytes(SMALL_BYTES))
    }
    const pinger = await Pinger.start(server.port)
    const rows: string[][] = []
    for (const [name, request] of Object.entries(requests)) {
      const how = { clients: CLIENTS, request: request(), ms: Number(values.seconds) * 1000 }
      const { bytes, worstPingMs } = await measureSilent(server, pinger, how)
      rows.push([name, (bytes / MB).toFixed(1), worstPingMs.toFixed(1)])
    }
    const { digest, length, ms } = await readSlowly(server.port, 'big')
    const isWhole = digest === createHash('sha256').update(big).digest('hex')
    const worst = await pinger.worst()
    rows.push([`a slow reader of 100 MB (${(ms / 1000).toFixed(1)} s)`, '', worst.toFixed(1)])
    console.log(`\n${table(['4 clients that do not read', 'MB more', 'worst PING, ms'], rows)}`)
    console.log(`the slow reader got ${length} bytes, ${isWhole ? 'as they are' : 'and not those'}`)
    await pinger.stop()
    admin.close()
  } finally {
    await server.stop()
  }
}

await main()
