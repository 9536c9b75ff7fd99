import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from './process.ts'

/** What test/compat tries: the package in package.json, or null for a tool of Debian's, and with what. */
const TRIED: readonly (readonly [title: string, pack: string | null, tried: string])[] = [
  [
    'ioredis 6',
    'ioredis',
    'RESP2 and RESP3, pipelines, auto-pipelining, transactions, publish and subscribe, after a lost connection',
  ],
  ['ioredis 5', 'ioredis5', 'the same, in RESP2'],
  ['iovalkey', 'iovalkey', 'the same, in RESP2'],
  ['node-redis 5', 'redis', 'the same, in RESP2 and RESP3; its client-side cache'],
  [
    '@keyv/redis',
    '@keyv/redis',
    'with keyv: values with and without time, many at once, iteration, clearing',
  ],
  ['cache-manager', 'cache-manager', 'over keyv: `wrap`, many at once'],
  ['cacheable', 'cacheable', 'over keyv, as the second layer of two'],
  [
    'bentocache',
    'bentocache',
    'as the second layer, and as the bus between two of them; on ioredis 6',
  ],
  ['unstorage', 'unstorage', 'driver `redis`, on ioredis 6'],
  ['connect-redis', 'connect-redis', 'sessions of express-session, in RESP2 and RESP3'],
  ['@fastify/redis', '@fastify/redis', 'two namespaces behind a web server, in RESP2 and RESP3'],
  ['@hapi/catbox-redis', '@hapi/catbox-redis', 'a client and a policy that loads once'],
  [
    '@socket.io/redis-adapter',
    '@socket.io/redis-adapter',
    'between two servers of socket.io, over ioredis and node-redis; also over shard channels',
  ],
  [
    'redis-py',
    null,
    "Debian's: pipelines, transactions, publish and subscribe, in RESP2 (not its locks: they are scripts)",
  ],
  [
    'redis-cli',
    null,
    'interactive, batches, `--pipe`, `--csv`, `--json`, `--scan`, `--bigkeys`, `--memkeys`, `--hotkeys`, `--stat`, `--latency`, `--latency-dist`, MONITOR, SUBSCRIBE',
  ],
  [
    'redis-benchmark',
    null,
    '`-t ping,set,get,incr,mset`, with `-P`, `--threads`, `--csv`, `-3`; it ends at the first command that is not here',
  ],
]

/** A table in Markdown. */
export function triedLibraries(): string {
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(PROJECT, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'devDependencies', Record<string, string>>
  const versions: Record<string, string> = { ...dependencies, ...devDependencies }
  const rows = TRIED.map(([title, pack, tried]) => {
    // 'npm:ioredis@5.11.1' where the package has another name here.
    const version = pack === null ? '' : versions[pack]!.replace(/^npm:.*@/, '')
    return `| ${title} | ${version} | ${tried} |`
  })
  return `| library or tool | version | what is tried |\n| --- | --- | --- |\n${rows.join('\n')}`
}
