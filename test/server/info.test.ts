import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Redis } from 'ioredis'
import { histogramCells } from '../../server/histogram.ts'
import { loadConfig } from '../../server/config.ts'
import { type Facts, noFacts } from '../../server/facts.ts'
import { info, type InfoSource } from '../../server/info.ts'
import { PubSub } from '../../server/pubsub.ts'
import { shareStats, Stats } from '../../server/stats.ts'
import { version } from '../../server/version.ts'
import { available, PROJECT, startRedis } from '../process.ts'
import { ABSENT_INFO_FIELDS, INFO_FIELDS_OF_NEW_NODES } from '../redis-info-fields.ts'

const storeStats: InfoSource['store']['stats'] = {
  entries: 7,
  ...{ maxMemory: 2 ** 26, ceiling: 2 ** 31, usedBytes: 2 ** 20, touchedBytes: 3 * 2 ** 19 },
  ...{ excessBytes: 8192, chunkBytes: 4096, chunks: 100, chunksFree: 90 },
  ...{ arenas: 1, buckets: 512, gets: 1, hits: 1, sets: 9, inPlace: 2, evicted: 3 },
  ...{
    expiredLazily: 4,
    expiredActively: 5,
    invalidated: 0,
    negatives: 0,
    collisionsMet: 0,
    generations: 1,
    bigValues: 0,
  },
  ...{ bigBytes: 0, pinnedBytes: 0, collisionsLost: 0, evictedSmall: 1, evictedMain: 1 },
  ...{ evictedBig: 1, promoted: 0, reinsertedBytes: 0, movedBytes: 0, ghostHits: 0 },
  ...{ stolenChunks: 0, deadBytes: 0, paddingBytes: 0, indexSlots: 64, indexUsed: 7 },
  ...{ expiring: 2, smallChunks: 1, mainChunks: 9, pagedChunks: 0, pages: 0 },
}

const groupWords = 'user match user:{id} origin http://127.0.0.1:1/{id}'.split(' ')
const noErrors = Object.fromEntries(
  ['busy', 'timeout', 'too-large'].map((kind) => [kind, 0]),
) as ReturnType<InfoSource['loads']['counters']>['errors']

const snapshots: InfoSource['snapshots'] = {
  ...{ changes: 11, saves: 3, lastSaveSeconds: 1_600_000_000, lastStatus: 'ok', loading: null },
  ...{ backgroundInProgress: false, durationSeconds: -1, lastDurationSeconds: -1 },
  loaded: {
    ...{ keys: 5, expired: 1, lostKeys: 2, damagedRecords: 1, isCutOff: true, replayed: 4 },
  },
}

function source(changes: Partial<InfoSource> = {}): InfoSource {
  const clock = { now: () => 190_000_500, wall: () => 1_700_000_000_123.4 }
  return {
    config: loadConfig({ args: ['--maxmemory', '64mb'] }),
    databases: { behind: (number) => number },
    world: { clock: clock as InfoSource['world']['clock'] },
    ...{ takeover: null, copies: null, keeper: null },
    store: {
      stats: storeStats,
      bucketStats: (number) => ({ ...storeStats, entries: number === 5 ? 7 : 0 }),
      buckets: 512,
      policy: 's3a',
      scope: 'volatile',
      expiring: () => 2,
      groupKeys: () => 6,
      groupBytes: () => 640,
    },
    snapshots,
    stats: new Stats(shareStats([])),
    pubsub: new PubSub(),
    sweeper: { stalePercent: 1.234, spentMs: 5.6, cut: 7 },
    loads: {
      counters: () => ({
        ...{ loads: 9, joined: 8, refreshes: 2, early: 1, values: 6, unchanged: 1, fenced: 1 },
        ...{ unkept: 0, missing: 1, late: 0, again: 0 },
        errors: { ...noErrors, 'too-large': 1 },
      }),
      underWay: () => ({ active: 1, queued: 0 }),
    },
    writes: { counters: () => ({ writes: 3, failed: 1 }) },
    breakerOf: () => 'half-open',
    landings: { times: () => new Float64Array(histogramCells) },
    routing: { membership: null, size: (db) => (db === 3 ? 7 : 0) },
    ownedSlots: null,
    port: 7000,
    startedAt: 500,
    runId: 'a'.repeat(40),
    ...changes,
  }
}

const facts: Facts = { ...noFacts, waiting: 2 }

function read(server: InfoSource, ...names: string[]): Map<string, string> {
  return fieldsOf(info(server, facts, names))
}

function fieldsOf(text: string): Map<string, string> {
  const lines = text.split('\r\n')
  return new Map(
    lines
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

function titles(text: string): string[] {
  return text.split('\r\n').filter((line) => line.startsWith('#'))
}

test('a plain INFO has the default sections, each under its title', (t) => {
  const text = info(source(), facts, [])
  t.deepEqual(titles(text), [
    ...['# Server', '# Clients', '# Memory', '# Persistence', '# Stats', '# Replication', '# CPU'],
    ...['# Modules', '# Errorstats', '# Cluster', '# Keyspace', '# Store'],
  ])
  t.deepEqual(titles(info(source(), facts, ['default'])), titles(text))
  for (const line of text.split('\r\n')) t.regex(line, /^$|^# \w+$|^[\w.|-]+:.*$/)
})

test('named sections come in any case, once each; unknown ones are nothing', (t) => {
  t.deepEqual(titles(info(source(), facts, ['CPU', 'keyspace', 'cpu'])), ['# CPU', '# Keyspace'])
  t.is(info(source(), facts, ['nosuch']), '')
  t.deepEqual(titles(info(source(), facts, ['nosuch', 'CommandStats'])), ['# Commandstats'])
  t.true(titles(info(source(), facts, ['default', 'commandstats'])).includes('# Commandstats'))
  t.true(titles(info(source(), facts, ['ALL'])).includes('# Commandstats'))
  t.is(titles(info(source(), facts, ['everything', 'cpu'])).length, 15)
})

test('the server section tells time, port and mode', (t) => {
  const fields = read(source(), 'server')
  t.is(fields.get('uptime_in_seconds'), '190000')
  t.is(fields.get('uptime_in_days'), '2')
  t.is(fields.get('tcp_port'), '7000')
  t.is(fields.get('redis_mode'), 'standalone')
  t.is(fields.get('server_time_usec'), '1700000000123400')
  t.is(fields.get('process_id'), String(process.pid))
})

test('nodes of the cluster are no clients, and buffers are told', (t) => {
  const told = {
    ...facts,
    ...{ clients: 2, peers: 1, queryBytesMax: 10, outputBytesMax: 70, clientBytes: 85 },
  }
  const fields = fieldsOf(info(source(), told, ['clients', 'memory']))
  t.is(fields.get('connected_clients'), '2')
  t.is(fields.get('cluster_connections'), '1')
  t.is(fields.get('client_recent_max_input_buffer'), '10')
  t.is(fields.get('client_recent_max_output_buffer'), '70')
  t.is(fields.get('blocked_clients'), '2')
  t.is(fields.get('mem_clients_normal'), '85')
})

test('memory is that of the store, and its peak is never below it', (t) => {
  const stats = new Stats(shareStats([]))
  const fields = read(source({ stats }), 'memory')
  t.is(fields.get('used_memory'), '1048576')
  t.is(fields.get('used_memory_human'), '1.00M')
  t.is(fields.get('used_memory_peak'), '1048576')
  t.is(fields.get('maxmemory'), '67108864')
  // What is touched and not used stays with the process.
  t.is(fields.get('allocator_allocated'), '1048576')
  t.is(fields.get('allocator_active'), '1572864')
  t.is(fields.get('allocator_frag_bytes'), '524288')
  t.is(fields.get('allocator_frag_ratio'), '1.50')
  const rss = process.memoryUsage.rss()
  t.true(Number(fields.get('rss_overhead_bytes')) > rss / 2)
  stats.usedMemoryPeak = 2 ** 21
  t.is(read(source({ stats }), 'memory').get('used_memory_peak_perc'), '50.00%')
})

test('the policy is told by a name of Redis, and by its own', (t) => {
  const told = (name: string): (string | undefined)[] => {
    const config = loadConfig({ args: ['--maxmemory-policy', name] })
    const fields = read(source({ config }), 'memory')
    return ['maxmemory_policy', 'ringtier_maxmemory_policy'].map((field) => fields.get(field))
  }
  const nearest = {
    ...{ s3a: 'allkeys-lfu', 's3-fifo': 'allkeys-lfu', fifo: 'allkeys-random' },
    ...{ lru: 'allkeys-lru', 'second-chance': 'allkeys-lru' },
  }
  for (const [name, redisName] of Object.entries(nearest))
    t.deepEqual(told(name), [redisName, name])
  for (const name of ['noeviction', 'volatile-ttl', 'allkeys-lru']) {
    t.deepEqual(told(name), [name, name])
  }
  const fields = read(source(), 'store')
  t.is(fields.get('store_policy'), 's3a')
  t.is(fields.get('store_scope'), 'volatile')
})

test('counters of the buckets are told by their spread, where they are asked for', (t) => {
  const store = { ...source().store, buckets: 8 }
  t.is(
    info(source({ store }), facts, ['storebuckets']).split('\r\n')[1],
    'store_bucket_entries:min=0,mean=0.88,max=7',
  )
  t.false(info(source(), facts, []).includes('store_bucket_'))
  t.true(info(source({ store }), facts, ['all']).includes('\r\nstore_bucket_dead_bytes:min='))
})

test('commands that were called, and errors, are counted by name', (t) => {
  const stats = new Stats(shareStats(['get', 'client|list', 'set']))
  const [, list, set] = stats.cells
  for (const micros of [1, 2, 3, 4.4]) {
    list!.called()
    list!.took(micros)
  }
  list!.rejected()
  list!.failed()
  list!.failed()
  set!.rejected()
  stats.error('ERR')
  stats.error('WRONGTYPE')
  stats.error('ERR')
  t.is(
    info(source({ stats }), facts, ['commandstats', 'errorstats']),
    '# Commandstats\r\n' +
      'cmdstat_client|list:calls=4,usec=10,usec_per_call=2.60,rejected_calls=1,failed_calls=2\r\n' +
      'cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n' +
      '\r\n# Errorstats\r\nerrorstat_ERR:count=2\r\nerrorstat_WRONGTYPE:count=1\r\n',
  )
})

test('how long runs took is told by percentiles, for commands that were timed', (t) => {
  const stats = new Stats(shareStats(['get', 'client|list', 'set']))
  const [, list, set] = stats.cells
  set!.rejected()
  for (let micros = 1; micros <= 100; micros++) {
    list!.called()
    list!.took(micros)
  }
  t.is(
    info(source({ stats }), facts, ['latencystats']),
    '# Latencystats\r\nlatency_percentiles_usec_client|list:p50=50.175,p99=99.327,p99.9=100.351\r\n',
  )
  const config = loadConfig({ args: ['--latency-tracking-info-percentiles', '0', '33.3', '100'] })
  t.true(
    info(source({ stats, config }), facts, ['latencystats']).endsWith(
      ':p0=1.000,p33.3=33.023,p100=100.351\r\n',
    ),
  )
  t.false(info(source({ stats }), facts, []).includes('latency_percentiles'))
})

test('databases with keys are listed', (t) => {
  t.is(info(source(), facts, ['keyspace']), '# Keyspace\r\ndb3:keys=7,expires=2,avg_ttl=0\r\n')
})

test('groups are told where there are some', (t) => {
  const config = loadConfig({ args: ['--group', ...groupWords] })
  // Of each thread's waiters the hub counts one.
  const waiters = { user: { joined: 4, late: 1, again: 0 } }
  const hits = { user: { hits: 50, staleHits: 4, negativeHits: 3, misses: 17 } }
  t.is(
    info(source({ config }), { ...facts, waiters, hits }, ['groups']),
    '# Groups\r\ngroup_user:loads=9,joined=12,refreshes=2,early_refreshes=1,values=6,unchanged=1,fenced=1,' +
      'unkept=0,missing=1,late=1,again=0,active=1,queued=0,failed=1,failed_too_large=1,breaker_state=half-open,' +
      'hits=50,stale_hits=4,negative_hits=3,misses=17,writes=3,writes_failed=1,' +
      'load_p50_usec=0,load_p99_usec=0,keys=6,bytes=640\r\n',
  )
  t.is(info(source(), facts, ['groups']), '')
})

test('in a cluster nodes and forwards are told', (t) => {
  const membership = { members: [1, 2, 3], live: () => ({ names: ['a', 'b'] }), epoch: 4 }
  const routed = {
    ...{
      forwarded: 5,
      scattered: 6,
      fannedOut: 7,
      stoodIn: 8,
      failovers: 9,
      detours: 11,
      failures: 10,
    },
  }
  const links = { requests: 22, shared: 2, links: 4, resets: 5, silent: 6, lost: 8 }
  const routing = { membership, size: () => 0 } as unknown as InfoSource['routing']
  const told = { ...facts, routed, links, otherViews: 12, relayed: 13 }
  const ownedSlots = { doubt: { raised: 3, forgotten: 2 } }
  const fields = fieldsOf(info(source({ routing, ownedSlots }), told, []))
  t.is(fields.get('redis_mode'), 'cluster')
  t.is(fields.get('cluster_enabled'), '1')
  t.is(fields.get('cluster_known_nodes'), '3')
  t.is(fields.get('cluster_live_nodes'), '2')
  t.is(fields.get('cluster_forwarded'), '5')
  t.is(fields.get('cluster_link_requests'), '22')
  t.is(fields.get('cluster_link_lost'), '8')
  t.is(fields.get('cluster_other_views'), '12')
  t.is(fields.get('cluster_detours'), '11')
  t.is(fields.get('cluster_relayed'), '13')
  t.is(fields.get('cluster_doubts'), '3')
  t.is(fields.get('cluster_forgotten'), '2')
  t.is(read(source()).get('cluster_enabled'), '0')
})

test('the version is that of package.json', (t) => {
  const { version: expected } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
    version: string
  }
  t.is(version, expected)
})

/** Ours, or where the value is. */
const ourFields = /^(ringtier|node|store|group|javascript|snapshot)_/

const oracleTest = available('redis-server') ? test : test.skip
oracleTest('fields that Redis has too stand in the section where Redis has them', async (t) => {
  const redis = await startRedis()
  const client = new Redis(redis.port)
  t.teardown(() => redis.stop())
  t.teardown(() => client.disconnect())
  const sectionsOf = (text: string): Map<string, string> => {
    const places = new Map<string, string>()
    let section = ''
    for (const line of text.split('\r\n')) {
      if (line.startsWith('#')) section = line
      else if (line !== '') places.set(line.slice(0, line.indexOf(':')), section)
    }
    return places
  }
  const theirs = sectionsOf(await client.info('everything'))
  t.true(theirs.size > 150)
  for (const [field, section] of sectionsOf(info(source(), facts, []))) {
    if (ourFields.test(field) || field.startsWith('db')) continue
    t.is(theirs.get(field), section, field)
  }
  const ours = sectionsOf(info(source(), facts, ['everything']))
  const sectionsByCommand = /^# (Commandstats|Latencystats|Errorstats|Keyspace)$/
  const absent = [...theirs].filter(
    ([field, section]) =>
      !ours.has(field) &&
      !sectionsByCommand.test(section) &&
      !INFO_FIELDS_OF_NEW_NODES.includes(field),
  )
  t.deepEqual(
    absent.map(([field]) => field).sort(),
    Object.values(ABSENT_INFO_FIELDS).flat().sort(),
  )
})
