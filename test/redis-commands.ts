/*
 * The commands of Redis 7.0, by its groups, and why ringtier lacks those it lacks: docs/compatibility.md is
 * made from this and the rows in server/commands. compat/command.test.ts holds the names against a
 * real redis-server.
 */

/** By group, as COMMAND DOCS tells them; subcommands behind a '|'. */
export const REDIS_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  string:
    words(`append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget
    mset msetnx psetex set setex setnx setrange strlen substr`),
  bitmap: words('bitcount bitfield bitfield_ro bitop bitpos getbit setbit'),
  generic: words(`copy del dump exists expire expireat expiretime keys migrate move object
    object|encoding object|freq object|help object|idletime object|refcount persist pexpire pexpireat
    pexpiretime pttl randomkey rename renamenx restore scan sort sort_ro touch ttl type unlink wait`),
  connection: words(`auth client client|caching client|getname client|getredir client|help client|id
    client|info client|kill client|list client|no-evict client|pause client|reply client|setname
    client|tracking client|trackinginfo client|unblock client|unpause echo hello ping quit reset
    select`),
  transactions: words('discard exec multi unwatch watch'),
  pubsub: words(`psubscribe publish pubsub pubsub|channels pubsub|help pubsub|numpat pubsub|numsub
    pubsub|shardchannels pubsub|shardnumsub punsubscribe spublish ssubscribe subscribe sunsubscribe
    unsubscribe`),
  server:
    words(`acl acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load
    acl|log acl|save acl|setuser acl|users acl|whoami bgrewriteaof bgsave command command|count
    command|docs command|getkeys command|getkeysandflags command|help command|info command|list config
    config|get config|help config|resetstat config|rewrite config|set dbsize debug failover flushall
    flushdb info lastsave latency latency|doctor latency|graph latency|help latency|histogram
    latency|history latency|latest latency|reset lolwut memory memory|doctor memory|help
    memory|malloc-stats memory|purge memory|stats memory|usage module module|help module|list
    module|load module|loadex module|unload monitor psync replconf replicaof restore-asking role save
    shutdown slaveof slowlog slowlog|get slowlog|help slowlog|len slowlog|reset swapdb sync time`),
  cluster: words(`asking cluster cluster|addslots cluster|addslotsrange cluster|bumpepoch
    cluster|count-failure-reports cluster|countkeysinslot cluster|delslots cluster|delslotsrange
    cluster|failover cluster|flushslots cluster|forget cluster|getkeysinslot cluster|help cluster|info
    cluster|keyslot cluster|links cluster|meet cluster|myid cluster|nodes cluster|replicas
    cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot
    cluster|shards cluster|slaves cluster|slots readonly readwrite`),
  scripting: words(`eval eval_ro evalsha evalsha_ro fcall fcall_ro function function|delete
    function|dump function|flush function|help function|kill function|list function|load
    function|restore function|stats script script|debug script|exists script|flush script|help
    script|kill script|load`),
  hash: words(`hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan
    hset hsetnx hstrlen hvals`),
  list: words(`blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush
    lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx`),
  set: words(`sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember
    smove spop srandmember srem sscan sunion sunionstore`),
  'sorted-set': words(`bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter
    zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex
    zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
    zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore`),
  stream: words(`xack xadd xautoclaim xclaim xdel xgroup xgroup|create xgroup|createconsumer
    xgroup|delconsumer xgroup|destroy xgroup|help xgroup|setid xinfo xinfo|consumers xinfo|groups
    xinfo|help xinfo|stream xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim`),
  geo: words(`geoadd geodist geohash geopos georadius georadius_ro georadiusbymember
    georadiusbymember_ro geosearch geosearchstore`),
  hyperloglog: words('pfadd pfcount pfdebug pfmerge pfselftest'),
}

/** Why a command is not here, and what does instead. */
export interface Absence {
  readonly why: string
  readonly instead: string
}

const noStructures = 'ringtier keeps strings, and no structures of them'
const noReplication = 'there are no replicas: a cluster has each key on one node'
const noUsers = 'there is one user, `default`'
const noModules = 'there are no modules'
const slotsFromRing = 'slots follow from the members (consistent hashing), nobody assigns them'
const membersFromConfig = 'members come from the configuration, there is no gossip'
const membership = '`cluster-peers`'
const noScripts = 'there is no Lua yet'
const transaction = '`MULTI` with `WATCH`; `SET ... NX PX` for a lock; `INCR` for a counter'

/** By group, for commands that have no reason of their own. */
const ABSENT_GROUPS: Readonly<Record<string, Absence>> = {
  hash: {
    why: noStructures,
    instead: 'one JSON value; or a key a field with a common `{tag}`, and `MGET`',
  },
  list: { why: noStructures, instead: 'a queue beside the cache (Redis, a broker)' },
  set: {
    why: noStructures,
    instead: 'a key a member; `CACHE.SET ... TAGS` where it is for invalidation',
  },
  'sorted-set': { why: noStructures, instead: 'Redis or a database beside the cache' },
  stream: { why: noStructures, instead: 'a broker beside the cache' },
  geo: { why: noStructures, instead: 'a database; its answers can be cached' },
  hyperloglog: {
    why: noStructures,
    instead: 'counters (`INCR`), or bitmaps (`SETBIT`, `BITCOUNT`)',
  },
  scripting: { why: noScripts, instead: transaction },
}

const acl: Absence = { why: noUsers, instead: '`requirepass`, `AUTH`' }
const modules: Absence = { why: noModules, instead: 'origins of groups (`module:./file.mjs`)' }
const replication: Absence = {
  why: noReplication,
  instead: 'a cluster; `origin redis://...` to move over',
}
const slots: Absence = { why: slotsFromRing, instead: membership }
const gossip: Absence = { why: membersFromConfig, instead: membership }

/** By a command's name, or its container's. */
const ABSENT_COMMANDS: Readonly<Record<string, Absence>> = {
  acl,
  module: modules,
  bgrewriteaof: { why: 'there is no append-only file', instead: '`BGSAVE`' },
  failover: replication,
  psync: replication,
  sync: replication,
  replconf: replication,
  replicaof: replication,
  slaveof: replication,
  migrate: {
    why: 'a cache moves by being asked',
    instead: 'a group with `origin redis://...`; `DUMP` and `RESTORE` for single keys',
  },
  'restore-asking': { why: 'slots do not migrate key by key', instead: '`RESTORE`' },
  sort: { why: noStructures, instead: 'sort in the client' },
  sort_ro: { why: noStructures, instead: 'sort in the client' },
  'cluster|addslots': slots,
  'cluster|addslotsrange': slots,
  'cluster|delslots': slots,
  'cluster|delslotsrange': slots,
  'cluster|flushslots': slots,
  'cluster|setslot': slots,
  'cluster|bumpepoch': gossip,
  'cluster|set-config-epoch': gossip,
  'cluster|count-failure-reports': gossip,
  'cluster|forget': gossip,
  'cluster|meet': gossip,
  'cluster|reset': gossip,
  'cluster|saveconfig': gossip,
  'cluster|failover': replication,
  'cluster|replicate': replication,
}

/** Why a command of Redis is not here; undefined: nobody has said so. */
export function absenceOf(name: string, group: string): Absence | undefined {
  const [container = ''] = name.split('|')
  return ABSENT_COMMANDS[name] ?? ABSENT_COMMANDS[container] ?? ABSENT_GROUPS[group]
}

function words(text: string): readonly string[] {
  return text.split(/\s+/)
}
