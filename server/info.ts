/**
 * INFO: one list of sections, each with its fields, by Redis's names where Redis has the field and
 * it means something here. What is not measured is left out rather than made up; a few fields that
 * are always 0 stand here because tools read them.
 */
import { machine, release, type } from 'node:os'
import type { Doubt } from '../cluster/ownership/doubt.ts'
import type { Group } from '../cluster/groups/group.ts'
import type { LoadCounters } from '../cluster/loads/loads.ts'
import type { WriteCounters } from '../cluster/loads/writes.ts'
import type { Membership } from '../cluster/members/membership.ts'
import type { Clock } from '../cluster/world.ts'
import type { Config } from './config.ts'
import type { Keeper } from './copies/keeper.ts'
import type { CopySender } from './copies/sender.ts'
import type { Databases } from './databases.ts'
import type { Facts } from './facts.ts'
import { percentile } from './histogram.ts'
import type { Landings } from './loads/landings.ts'
import { redisNameOf } from './memory/policies.ts'
import type { LoadProgress, Snapshots } from './snapshots/snapshots.ts'
import { CHANNEL, PATTERN, type PubSub, SHARD } from './pubsub.ts'
import { counter, type Stats } from './stats.ts'
import type { BucketStats, Store } from './store/store.ts'
import type { Sweeper } from './memory/sweeper.ts'
import { readMachine, readThreadUsage, readUsage } from './system.ts'
import type { Takeover } from './cluster/takeover.ts'
import { human, percent, usageOf } from './memory/usage.ts'
import { redisVersion, version } from './version.ts'

/** What INFO looks at: the part of Server that it needs. */
export interface InfoSource {
  readonly config: Config
  readonly takeover: Pick<Takeover, 'counters'> | null
  readonly copies: Pick<CopySender, 'sent' | 'degraded'> | null
  readonly keeper: Pick<Keeper, 'keys' | 'counters'> | null
  readonly databases: Pick<Databases, 'behind'>
  readonly world: { readonly clock: Clock }
  readonly snapshots: Pick<
    Snapshots,
    | 'backgroundInProgress'
    | 'changes'
    | 'durationSeconds'
    | 'lastDurationSeconds'
    | 'lastSaveSeconds'
    | 'lastStatus'
    | 'loaded'
    | 'loading'
    | 'saves'
  >
  readonly store: Pick<
    Store,
    | 'stats'
    | 'buckets'
    | 'bucketStats'
    | 'policy'
    | 'scope'
    | 'expiring'
    | 'groupKeys'
    | 'groupBytes'
  >
  readonly stats: Stats
  readonly ownedSlots: { readonly doubt: Pick<Doubt, 'raised' | 'forgotten'> } | null
  readonly sweeper: Pick<Sweeper, 'stalePercent' | 'spentMs' | 'cut'>
  readonly loads: {
    counters(group: Group): Readonly<LoadCounters>
    underWay(group: Group): { readonly active: number; readonly queued: number }
  }
  readonly writes: { counters(group: Group): Readonly<WriteCounters> }
  readonly landings: Pick<Landings, 'times'>
  /** 'closed', 'open' or 'half-open'. */
  readonly breakerOf: (group: Group) => string
  readonly pubsub: Pick<PubSub, 'size'>
  readonly routing: {
    readonly membership: Pick<Membership, 'members' | 'live' | 'epoch'> | null
    /** Keys of a database of the store that clients see. */
    size(db: number): number
  }
  /** The port it listens on. */
  readonly port: number
  /** On the clock's scale. */
  readonly startedAt: number
  readonly runId: string
}

type Fields = Readonly<Record<string, string | number>>

interface Section {
  /** In lower case; as a title the first letter is a capital. */
  readonly name: string
  /** Part of a plain INFO? */
  readonly byDefault: boolean
  /** Null: there is nothing to tell, and no title either. */
  fields(server: InfoSource, facts: Facts): Fields | null
}

const sections: readonly Section[] = [
  { name: 'server', byDefault: true, fields: serverFields },
  { name: 'clients', byDefault: true, fields: clientFields },
  { name: 'memory', byDefault: true, fields: memoryFields },
  { name: 'persistence', byDefault: true, fields: persistenceFields },
  { name: 'stats', byDefault: true, fields: statsFields },
  { name: 'replication', byDefault: true, fields: replicationFields },
  { name: 'cpu', byDefault: true, fields: cpuFields },
  { name: 'modules', byDefault: true, fields: () => ({}) },
  { name: 'commandstats', byDefault: false, fields: commandFields },
  { name: 'errorstats', byDefault: true, fields: errorFields },
  { name: 'latencystats', byDefault: false, fields: latencyFields },
  { name: 'cluster', byDefault: true, fields: clusterFields },
  { name: 'keyspace', byDefault: true, fields: keyspaceFields },
  { name: 'store', byDefault: true, fields: storeFields },
  { name: 'storebuckets', byDefault: false, fields: storeBucketFields },
  { name: 'groups', byDefault: true, fields: groupFields },
]

/**
 * The text of INFO. No names mean the default sections, as 'default' does; 'all' and 'everything'
 * mean each; unknown ones are nothing. `facts`: of all threads together. Each section comes once, in the list's order.
 */
export function info(server: InfoSource, facts: Facts, names: readonly string[]): string {
  const asked = new Set(names.map((name) => name.toLowerCase()))
  const all = asked.has('all') || asked.has('everything')
  const standard = names.length === 0 || asked.has('default')
  const parts: string[] = []
  for (const { name, byDefault, fields } of sections) {
    if (!all && !asked.has(name) && !(standard && byDefault)) continue
    const values = fields(server, facts)
    if (values === null) continue
    const lines = Object.entries(values).map(([field, value]) => `${field}:${value}\r\n`)
    const title = name === 'cpu' ? 'CPU' : `${name[0]!.toUpperCase()}${name.slice(1)}`
    parts.push(`# ${title}\r\n${lines.join('')}`)
  }
  return parts.join('\r\n')
}

function serverFields(server: InfoSource): Fields {
  const { clock } = server.world
  const uptimeSeconds = Math.floor((clock.now() - server.startedAt) / 1000)
  return {
    redis_version: redisVersion,
    ringtier_version: version,
    node_version: process.version,
    redis_mode: server.routing.membership === null ? 'standalone' : 'cluster',
    os: `${type()} ${release()} ${machine()}`,
    arch_bits: 64,
    monotonic_clock: 'POSIX clock_gettime',
    multiplexing_api: 'libuv',
    process_id: process.pid,
    process_supervised: 'no',
    run_id: server.runId,
    tcp_port: server.port,
    server_time_usec: Math.floor(clock.wall() * 1000),
    uptime_in_seconds: uptimeSeconds,
    uptime_in_days: Math.floor(uptimeSeconds / 86_400),
    // How often rates are sampled, and what is configured, which has no effect.
    hz: 10,
    configured_hz: server.config.get(['hz']).get('hz')!,
    // Redis's clock of accesses: seconds, in 24 bits.
    lru_clock: Math.floor(clock.wall() / 1000) % 2 ** 24,
    executable: process.argv[1] ?? '',
    config_file: server.config.file,
    io_threads_active: server.config.threads > 1 ? 1 : 0,
  }
}

function clientFields({ config }: InfoSource, facts: Facts): Fields {
  return {
    connected_clients: facts.clients,
    cluster_connections: facts.peers,
    maxclients: config.maxclients,
    client_recent_max_input_buffer: facts.queryBytesMax,
    client_recent_max_output_buffer: facts.outputBytesMax,
    // Those that wait for a load.
    blocked_clients: facts.waiting,
    tracking_clients: facts.trackers,
    clients_in_timeout_table: 0,
  }
}

function memoryFields(server: InfoSource, facts: Facts): Fields {
  const { config } = server
  const { memoryBytes } = readMachine()
  const { used, peak, startup, overhead, dataset, touched, resident, ...account } = usageOf(
    server,
    facts,
  )
  return {
    // Of maxmemory: keys, values, their index. The process needs more: see used_memory_rss.
    used_memory: used,
    used_memory_human: human(used),
    used_memory_rss: resident,
    used_memory_rss_human: human(resident),
    used_memory_peak: peak,
    used_memory_peak_human: human(peak),
    used_memory_peak_perc: `${percent(used, peak).toFixed(2)}%`,
    // All that is no key and no value, and of that what was there before the first key.
    used_memory_overhead: overhead,
    used_memory_startup: startup,
    used_memory_dataset: dataset,
    used_memory_dataset_perc: `${percent(dataset, used - startup).toFixed(2)}%`,
    // The store's memory: in use; and ever touched, which the system holds for us, used or not.
    allocator_allocated: used,
    allocator_active: touched,
    allocator_resident: touched,
    used_memory_lua: 0,
    used_memory_vm_eval: 0,
    used_memory_lua_human: human(0),
    used_memory_scripts_eval: 0,
    number_of_cached_scripts: 0,
    number_of_functions: 0,
    number_of_libraries: 0,
    used_memory_vm_functions: 0,
    used_memory_vm_total: 0,
    used_memory_vm_total_human: human(0),
    used_memory_functions: 0,
    used_memory_scripts: 0,
    used_memory_scripts_human: human(0),
    total_system_memory: memoryBytes,
    total_system_memory_human: human(memoryBytes),
    maxmemory: config.maxmemory,
    maxmemory_human: human(config.maxmemory),
    maxmemory_policy: redisNameOf(config['maxmemory-policy']),
    ringtier_maxmemory_policy: config['maxmemory-policy'],
    allocator_frag_ratio: (touched / Math.max(used, 1)).toFixed(2),
    allocator_frag_bytes: touched - used,
    allocator_rss_ratio: '1.00',
    allocator_rss_bytes: 0,
    // JavaScript's heap, code, buffers: all that is not the store.
    rss_overhead_ratio: (resident / Math.max(touched, 1)).toFixed(2),
    rss_overhead_bytes: resident - touched,
    mem_fragmentation_ratio: (resident / Math.max(used, 1)).toFixed(2),
    mem_fragmentation_bytes: resident - used,
    mem_not_counted_for_evict: 0,
    mem_replication_backlog: 0,
    mem_total_replication_buffers: 0,
    mem_clients_slaves: 0,
    mem_clients_normal: account.clients,
    mem_cluster_links: account.peers,
    mem_aof_buffer: 0,
    mem_allocator: 'webassembly',
    active_defrag_running: 0,
    lazyfree_pending_objects: 0,
    lazyfreed_objects: 0,
    javascript_heap_used: account.heapUsed,
    javascript_heap_total: account.heapTotal,
  }
}

function persistenceFields({ snapshots, world }: InfoSource): Fields {
  const { loaded, loading } = snapshots
  return {
    loading: loading === null ? 0 : 1,
    async_loading: 0,
    ...(loading === null ? {} : loadingFields(loading, world.clock)),
    // A snapshot is written without a fork, and nothing is copied for it.
    current_cow_peak: 0,
    current_cow_size: 0,
    current_cow_size_age: 0,
    current_fork_perc: '0.00',
    rdb_changes_since_last_save: snapshots.changes,
    rdb_bgsave_in_progress: snapshots.backgroundInProgress ? 1 : 0,
    rdb_last_save_time: snapshots.lastSaveSeconds,
    rdb_last_bgsave_status: snapshots.lastStatus,
    rdb_last_bgsave_time_sec: snapshots.lastDurationSeconds,
    rdb_current_bgsave_time_sec: snapshots.durationSeconds,
    rdb_saves: snapshots.saves,
    rdb_last_cow_size: 0,
    rdb_last_load_keys_expired: loaded.expired,
    rdb_last_load_keys_loaded: loaded.keys,
    // What the last load has lost: keys that are known of, records, the end of the file.
    snapshot_last_load_keys_lost: loaded.lostKeys,
    snapshot_last_load_records_damaged: loaded.damagedRecords,
    snapshot_last_load_cut_off: loaded.isCutOff ? 1 : 0,
    // Records that did not fit as they were, and came in entry by entry.
    snapshot_last_load_records_replayed: loaded.replayed,
    aof_enabled: 0,
    aof_rewrite_in_progress: 0,
    aof_rewrite_scheduled: 0,
    aof_last_rewrite_time_sec: -1,
    aof_current_rewrite_time_sec: -1,
    aof_last_bgrewrite_status: 'ok',
    aof_last_write_status: 'ok',
    aof_rewrites: 0,
    aof_rewrites_consecutive_failures: 0,
    aof_last_cow_size: 0,
    module_fork_in_progress: 0,
    module_fork_last_cow_size: 0,
  }
}

function loadingFields({ startedAt, totalBytes, loadedBytes }: LoadProgress, clock: Clock): Fields {
  const elapsed = Math.max(1, clock.now() - startedAt) / 1000
  const left = totalBytes - loadedBytes
  const eta = loadedBytes === 0 ? 1 : Math.ceil((left * elapsed) / loadedBytes)
  return {
    loading_start_time: Math.floor((clock.wall() - (clock.now() - startedAt)) / 1000),
    loading_total_bytes: totalBytes,
    loading_loaded_bytes: loadedBytes,
    loading_loaded_perc: ((100 * loadedBytes) / Math.max(1, totalBytes)).toFixed(2),
    loading_eta_seconds: eta,
  }
}

function statsFields({ config, stats, store, sweeper, pubsub }: InfoSource, facts: Facts): Fields {
  const reads = stats.total(counter.reads)
  const writes = stats.total(counter.writes)
  const isThreaded = config.threads > 1
  const { evicted, expired } = stats.sinceReset(store.stats)
  return {
    total_connections_received: stats.total(counter.connectionsReceived),
    total_commands_processed: stats.total(counter.commandsProcessed),
    instantaneous_ops_per_sec: stats.instantaneousOps,
    total_net_input_bytes: stats.total(counter.netInputBytes),
    total_net_output_bytes: stats.total(counter.netOutputBytes),
    total_net_repl_input_bytes: 0,
    total_net_repl_output_bytes: 0,
    instantaneous_input_kbps: stats.instantaneousInputKbps.toFixed(2),
    instantaneous_output_kbps: stats.instantaneousOutputKbps.toFixed(2),
    instantaneous_input_repl_kbps: '0.00',
    instantaneous_output_repl_kbps: '0.00',
    rejected_connections: stats.total(counter.rejectedConnections),
    sync_full: 0,
    sync_partial_ok: 0,
    sync_partial_err: 0,
    expired_keys: expired,
    // Of what is held, the percentage that has expired and is not removed yet, as last seen.
    expired_stale_perc: sweeper.stalePercent.toFixed(2),
    expired_time_cap_reached_count: sweeper.cut,
    expire_cycle_cpu_milliseconds: Math.round(sweeper.spentMs),
    evicted_keys: evicted,
    evicted_clients: 0,
    keyspace_hits: stats.total(counter.keyspaceHits),
    keyspace_misses: stats.total(counter.keyspaceMisses),
    pubsub_channels: pubsub.size(CHANNEL),
    pubsub_patterns: pubsub.size(PATTERN),
    pubsubshard_channels: pubsub.size(SHARD),
    // Published here, and perhaps not heard by subscribers of another node, or thread.
    ringtier_messages_lost: facts.untold,
    latest_fork_usec: 0,
    total_forks: 0,
    migrate_cached_sockets: 0,
    slave_expires_tracked_keys: 0,
    active_defrag_hits: 0,
    active_defrag_misses: 0,
    active_defrag_key_hits: 0,
    active_defrag_key_misses: 0,
    total_active_defrag_time: 0,
    current_active_defrag_time: 0,
    tracking_total_keys: facts.trackedKeys,
    tracking_total_items: facts.trackedItems,
    tracking_total_prefixes: facts.trackedPrefixes,
    unexpected_error_replies: 0,
    total_error_replies: stats.total(counter.totalErrorReplies),
    total_reads_processed: reads,
    total_writes_processed: writes,
    io_threaded_reads_processed: isThreaded ? reads : 0,
    io_threaded_writes_processed: isThreaded ? writes : 0,
  }
}

function replicationFields({ config, runId }: InfoSource): Fields {
  return {
    role: 'master',
    connected_slaves: 0,
    master_failover_state: 'no-failover',
    master_replid: runId,
    master_replid2: '0'.repeat(40),
    master_repl_offset: 0,
    second_repl_offset: -1,
    repl_backlog_active: 0,
    repl_backlog_size: config.get(['repl-backlog-size']).get('repl-backlog-size')!,
    repl_backlog_first_byte_offset: 0,
    repl_backlog_histlen: 0,
  }
}

function cpuFields(): Fields {
  const { systemMicros, userMicros } = readUsage()
  const thread = readThreadUsage()
  return {
    used_cpu_sys: (systemMicros / 1e6).toFixed(6),
    used_cpu_user: (userMicros / 1e6).toFixed(6),
    used_cpu_sys_children: '0.000000',
    used_cpu_user_children: '0.000000',
    ...(thread === null
      ? {}
      : {
          used_cpu_sys_main_thread: (thread.systemMicros / 1e6).toFixed(6),
          used_cpu_user_main_thread: (thread.userMicros / 1e6).toFixed(6),
        }),
  }
}

function commandFields({ stats }: InfoSource): Fields {
  const fields: Record<string, string> = {}
  for (const { name, calls, micros, rejected, failed } of stats.commands()) {
    fields[`cmdstat_${name}`] = pairs({
      calls,
      usec: Math.round(micros),
      usec_per_call: (calls === 0 ? 0 : micros / calls).toFixed(2),
      rejected_calls: rejected,
      failed_calls: failed,
    })
  }
  return fields
}

/** In the order of their codes, as in Redis. */
function errorFields({ stats }: InfoSource): Fields {
  const errors = [...stats.errors()].sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(errors.map(([code, count]) => [`errorstat_${code}`, pairs({ count })]))
}

/** Microseconds within which so many percent of a command's runs were done. */
function latencyFields({ config, stats }: InfoSource): Fields {
  const percents = config['latency-tracking-info-percentiles'].map(Number)
  const fields: Record<string, string> = {}
  for (const [index, name] of stats.names.entries()) {
    const counts = stats.histogram(index)
    if (counts === null) continue
    fields[`latency_percentiles_usec_${name}`] = percents
      .map((percent) => `p${percent}=${(percentile(counts, percent) / 1000).toFixed(3)}`)
      .join(',')
  }
  return fields
}

function clusterFields(
  { copies: sender, keeper, ownedSlots, routing, takeover }: InfoSource,
  facts: Facts,
): Fields {
  const { copies, grants, links, otherViews, redirected, relayed, routed } = facts
  const { membership } = routing
  if (membership === null) return { cluster_enabled: 0 }
  const ofLinks = Object.entries(links).map(([name, count]) => [`cluster_link_${name}`, count])
  return {
    cluster_enabled: 1,
    cluster_known_nodes: membership.members.length,
    cluster_live_nodes: membership.live().names.length,
    cluster_epoch: membership.epoch,
    // What other nodes answered for this one, by the way it was asked.
    cluster_forwarded: routed.forwarded,
    cluster_scattered: routed.scattered,
    cluster_fanned_out: routed.fannedOut,
    // Clients that were told MOVED instead (cluster-redirect).
    cluster_redirected: redirected,
    // Answered here for an owner that is gone; asked of the next node; answered by nobody.
    cluster_stood_in: routed.stoodIn,
    cluster_failovers: routed.failovers,
    cluster_failures: routed.failures,
    // Asked by way of another node, for the link is bad; and passed on for other nodes.
    cluster_detours: routed.detours,
    cluster_relayed: relayed,
    // Of the links to all other nodes.
    ...(Object.fromEntries(ofLinks) as Fields),
    // Requests of nodes that saw other nodes alive than this one.
    cluster_other_views: otherViews,
    // Copies of other nodes' hot keys: now; reads answered with one; asked for, and kept; gone because
    // their key has changed, or all of an owner's because something of it may have been missed.
    cluster_hot_copies: copies.copies,
    cluster_hot_bytes: copies.bytes,
    cluster_hot_hits: copies.hits,
    cluster_hot_asked: copies.asked,
    cluster_hot_kept: copies.kept,
    cluster_hot_changed: copies.changed,
    cluster_hot_flushes: copies.flushes,
    // Copies that other nodes were granted, and how often they were told of changes.
    cluster_hot_granted: grants.granted,
    cluster_hot_told: grants.told,
    // Times that this node asked whether it had been missed, and that it had and forgot what it had.
    cluster_doubts: ownedSlots?.doubt.raised ?? 0,
    cluster_forgotten: ownedSlots?.doubt.forgotten ?? 0,
    // Keys asked for of the nodes that had them before; those that came; those not answered for in time.
    cluster_handoff_asked: takeover?.counters.asked ?? 0,
    cluster_handoff_moved: takeover?.counters.moved ?? 0,
    cluster_handoff_given_up: takeover?.counters.givenUp ?? 0,
    // Of groups with copies: those kept here for other nodes; taken in so far, and sent; nodes that writes
    // are not copied to at present; slots whose copies have become entries, since their owner was gone.
    cluster_copies_kept: keeper?.keys ?? 0,
    cluster_copies_taken: keeper?.counters.taken ?? 0,
    cluster_copies_sent: sender?.sent ?? 0,
    cluster_copies_degraded: sender?.degraded ?? 0,
    cluster_copies_promoted_slots: keeper?.counters.promotedSlots ?? 0,
  }
}

/** The section `keyspace` of a cluster: what this node and the others have together, whose sections these are. */
export function keyspaceOfAll(server: InfoSource, others: readonly string[]): string {
  let [keys, expires] = [server.routing.size(0), server.store.expiring(0)]
  expires = Math.min(keys, expires)
  for (const text of others) {
    const told = /^db0:keys=(\d+),expires=(\d+)/m.exec(text)
    keys += Number(told?.[1] ?? 0)
    expires += Number(told?.[2] ?? 0)
  }
  return `# Keyspace\r\n${keys > 0 ? `db0:${pairs({ keys, expires, avg_ttl: 0 })}\r\n` : ''}`
}

function keyspaceFields({ config, databases, routing, store }: InfoSource): Fields {
  const fields: Record<string, string> = {}
  for (let number = 0; number < config.databases; number++) {
    const db = databases.behind(number)
    const keys = routing.size(db)
    const expires = Math.min(keys, store.expiring(db))
    if (keys > 0) fields[`db${number}`] = pairs({ keys, expires, avg_ttl: 0 })
  }
  return fields
}

function storeFields({ store }: InfoSource): Fields {
  const { stats } = store
  return {
    store_policy: store.policy,
    // Which entries may go: all, those with an expiry (volatile), or none.
    store_scope: store.scope,
    store_max_bytes: stats.maxMemory,
    store_ceiling_bytes: stats.ceiling,
    store_used_bytes: stats.usedBytes,
    // Once used: the system holds it until the process ends, used or not.
    store_touched_bytes: stats.touchedBytes,
    // To be evicted, since maxmemory was lowered.
    store_excess_bytes: stats.excessBytes,
    store_arenas: stats.arenas,
    store_buckets: stats.buckets,
    store_chunk_bytes: stats.chunkBytes,
    store_chunks: stats.chunks,
    store_chunks_used: stats.chunks - stats.chunksFree,
    store_chunks_free: stats.chunksFree,
    store_entries: stats.entries,
    store_gets: stats.gets,
    store_hits: stats.hits,
    store_sets: stats.sets,
    store_sets_in_place: stats.inPlace,
    store_evicted: stats.evicted,
    // By what they were evicted from: the rings, and the lists of values with pages.
    store_evicted_small: stats.evictedSmall,
    store_evicted_main: stats.evictedMain,
    store_evicted_big: stats.evictedBig,
    // From small to main; and copied within main for another round.
    store_promoted: stats.promoted,
    store_reinserted_bytes: stats.reinsertedBytes,
    // Copied within rings in all, to bring living entries together.
    store_moved_bytes: stats.movedBytes,
    store_ghost_hits: stats.ghostHits,
    store_expired_lazily: stats.expiredLazily,
    store_expired_actively: stats.expiredActively,
    // Another key with the same hash was met; one went because 64 others had its hash.
    store_collisions_met: stats.collisionsMet,
    store_collisions_lost: stats.collisionsLost,
    store_generations: stats.generations,
    store_chunks_stolen: stats.stolenChunks,
    store_dead_bytes: stats.deadBytes,
    store_padding_bytes: stats.paddingBytes,
    store_index_slots: stats.indexSlots,
    store_index_used: stats.indexUsed,
    store_index_load: (stats.indexUsed / Math.max(stats.indexSlots, 1)).toFixed(2),
    store_big_values: stats.bigValues,
    store_big_bytes: stats.bigBytes,
    // Pages of values that are gone, and are still being sent.
    store_pinned_bytes: stats.pinnedBytes,
  }
}

/** How the counters are spread over the buckets; STORE BUCKET tells those of one. */
function storeBucketFields({ store }: InfoSource): Fields {
  const { buckets } = store
  const all = Array.from({ length: buckets }, (_, number) => store.bucketStats(number))
  const fields = Object.keys(all[0]!) as (keyof BucketStats)[]
  return Object.fromEntries(
    fields.map((field) => {
      const values = all.map((stats) => stats[field])
      const min = Math.min(...values)
      const max = Math.max(...values)
      const mean = (values.reduce((sum, value) => sum + value, 0) / buckets).toFixed(2)
      return [`store_bucket_${snakeCase(field)}`, pairs({ min, mean, max })]
    }),
  )
}

/** 'deadBytes' as fields are named: 'dead_bytes'. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function groupFields(server: InfoSource, facts: Facts): Fields | null {
  const { groups } = server.config
  if (groups.all.length === 0) return null
  return Object.fromEntries(
    groups.all.map((group) => [`group_${group.name}`, pairs(groupCounters(server, facts, group))]),
  )
}

type GroupSource = Pick<InfoSource, 'loads' | 'writes' | 'landings' | 'breakerOf' | 'store'>

/** What INFO groups and GROUP INFO tell of a group. */
export function groupCounters(
  { loads, writes, landings, breakerOf, store }: GroupSource,
  { waiters, hits }: Facts,
  group: Group,
): Readonly<Record<string, number | string>> {
  const {
    errors,
    early,
    loads: started,
    joined: shared,
    refreshes,
    ...counters
  } = loads.counters(group)
  const { joined, late, again } = waiters[group.name] ?? noWaiters
  counters.late += late
  counters.again += again
  const found = hits[group.name] ?? noHits
  const { active, queued } = loads.underWay(group)
  const failed = Object.values(errors).reduce((sum, count) => sum + count, 0)
  const kinds = Object.entries(errors).filter(([, count]) => count > 0)
  const byKind = Object.fromEntries(
    kinds.map(([kind, count]) => [`failed_${kind.replaceAll('-', '_')}`, count]),
  )
  const times = landings.times(group.name)
  const written = writes.counters(group)
  return {
    ...{ loads: started, joined: shared + joined, refreshes, early_refreshes: early },
    ...counters,
    ...{ active, queued, failed, ...byKind },
    breaker_state: breakerOf(group),
    hits: found.hits,
    stale_hits: found.staleHits,
    negative_hits: found.negativeHits,
    misses: found.misses,
    ...{ writes: written.writes, writes_failed: written.failed },
    load_p50_usec: Math.round(percentile(times, 50) / 1000),
    load_p99_usec: Math.round(percentile(times, 99) / 1000),
    keys: store.groupKeys(group.number),
    bytes: store.groupBytes(group.number),
  }
}

const noWaiters = { joined: 0, late: 0, again: 0 }
const noHits = { hits: 0, staleHits: 0, negativeHits: 0, misses: 0 }

/** 'a=1,b=2' */
function pairs(values: Fields): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
}
