/*
 * Every error line a client can receive, without the '-' in front and the CRLF behind. The first
 * word is the error's code, by which clients tell errors apart; many compare whole lines. So those
 * of Redis's commands are redis-server 7.0.15's word for word, odd grammar included, and the tests
 * put each of them to a real one. Lines that name something the client sent are functions. They take
 * its bytes as a latin1 string and treat them as Redis's C strings: what follows a NUL is not shown.
 * CR and LF are left to `Reply.error`, which replaces them wherever a line comes from.
 */

/* ---- the protocol itself: the line is sent, then the connection is closed ---- */

/** An inline command that has not ended after 64 KB. */
export const ERR_INLINE_TOO_LONG = 'ERR Protocol error: too big inline request'
/** An inline command with an open quote, or with one closed in front of something else than a blank. */
export const ERR_UNBALANCED_QUOTES = 'ERR Protocol error: unbalanced quotes in request'
/** `*` and then no end of the line within 64 KB. */
export const ERR_MULTIBULK_LINE = 'ERR Protocol error: too big mbulk count string'
/** An argument count that is no integer, or above 2^31 - 1. */
export const ERR_MULTIBULK_LENGTH = 'ERR Protocol error: invalid multibulk length'
/** More than 10 arguments before AUTH. */
export const ERR_MULTIBULK_UNAUTHENTICATED = 'ERR Protocol error: unauthenticated multibulk length'
/** `$` and then no end of the line within 64 KB. */
export const ERR_BULK_LINE = 'ERR Protocol error: too big bulk count string'
/** A length that is no integer, negative, or above proto-max-bulk-len. */
export const ERR_BULK_LENGTH = 'ERR Protocol error: invalid bulk length'
/** More than 16384 bytes in one argument before AUTH. */
export const ERR_BULK_UNAUTHENTICATED = 'ERR Protocol error: unauthenticated bulk length'

/** An element of a request that is no bulk string. The byte is echoed as it is. */
export function expectedDollar(byte: number): string {
  return `ERR Protocol error: expected '$', got '${String.fromCharCode(byte)}'`
}

/* ---- finding the command, and whether it may run ---- */

/** Redis shows so many bytes of a name, and stops adding arguments after as many. */
export const SHOWN_BYTES_MAX = 128

/** No such command. `args` are the arguments behind its name; those past the limit are not read. */
export function unknownCommand(name: string, args: Iterable<string>): string {
  let shown = ''
  for (const arg of args) {
    if (shown.length >= SHOWN_BYTES_MAX) break
    shown += `'${cString(arg).slice(0, SHOWN_BYTES_MAX - shown.length)}' `
  }
  const command = cString(name).slice(0, SHOWN_BYTES_MAX)
  return `ERR unknown command '${command}', with args beginning with: ${shown}`
}

/** No such subcommand of a container, whose name is given in any case. */
export function unknownSubcommand(name: string, container: string): string {
  const subcommand = cString(name).slice(0, SHOWN_BYTES_MAX)
  return `ERR unknown subcommand '${subcommand}'. Try ${container.toUpperCase()} HELP.`
}

/** A subcommand with arguments that make no sense; its name as the client spelt it. */
export function subcommandSyntax(name: string, container: string): string {
  const subcommand = cString(name).slice(0, SHOWN_BYTES_MAX)
  return `ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try ${container.toUpperCase()} HELP.`
}

/** The name in lower case, a subcommand's with its container: 'get', 'client|setname'. */
export function wrongArity(fullName: string): string {
  return `ERR wrong number of arguments for '${fullName}' command`
}

/** Anything but AUTH, HELLO, QUIT and RESET from who has not given the password. */
export const ERR_NOAUTH = 'NOAUTH Authentication required.'
/** A write, when nothing can be evicted for it. */
export const ERR_OOM = "OOM command not allowed when used memory > 'maxmemory'."
/** The snapshot is being read at the start. */
export const ERR_LOADING = 'LOADING Redis is loading the dataset in memory'

/* ---- transactions ---- */

export const ERR_NESTED_MULTI = 'ERR MULTI calls can not be nested'
export const ERR_WATCH_IN_MULTI = 'ERR WATCH inside MULTI is not allowed'
export const ERR_EXEC_WITHOUT_MULTI = 'ERR EXEC without MULTI'
export const ERR_DISCARD_WITHOUT_MULTI = 'ERR DISCARD without MULTI'
/** SAVE, SHUTDOWN and the like, and what a transaction of ours cannot do. */
export const ERR_NO_MULTI = 'ERR Command not allowed inside a transaction'
/** EXEC after a command was refused. */
export const ERR_EXECABORT = 'EXECABORT Transaction discarded because of previous errors.'
/** MONITOR by EXEC. */
export const ERR_MONITOR_IN_EXEC = "ERR MONITOR isn't allowed for DENY BLOCKING client"

/** EXEC that is refused itself; `line` says why. */
export function execAborted(line: string): string {
  return `EXECABORT Transaction discarded because of: ${line.replace(/^ERR /, '')}`
}

/** More is queued than we keep. */
export function transactionTooLong(commandsMax: number, megabytesMax: number): string {
  return `ERR a transaction may have at most ${commandsMax} commands, and ${megabytesMax} MB of arguments`
}

/** More keys are watched than we keep, or longer ones. */
export function tooManyWatches(watchesMax: number): string {
  return `ERR a client may watch at most ${watchesMax} keys`
}

/** A key whose origin hears of changes first, which takes time. */
export function writesThroughInMulti(group: string): string {
  return `ERR keys of group '${group}' are written to their origin first, which a transaction cannot wait for`
}

/** In a cluster: KEYS, FLUSHALL and what else all nodes are asked. */
export function fansOutInMulti(name: string): string {
  return `ERR ${name.toUpperCase()} asks all nodes, which a transaction of a cluster cannot wait for`
}

/* ---- connecting: the line is sent unasked, then the connection is closed ---- */

/** One client above maxclients. */
/** A monitor is a kind of replica to Redis. */
export const ERR_MONITOR = "ERR Replica can't interact with the keyspace"
export const ERR_MAX_CLIENTS = 'ERR max number of clients reached'
/** protected-mode: no password, no bind address, and the client is not on this machine. */
export const DENIED_PROTECTED_MODE =
  'DENIED Redis is running in protected mode because protected mode is enabled and no password is' +
  ' set for the default user. In this mode connections are only accepted from the loopback' +
  ' interface. If you want to connect from external computers to Redis you may adopt one of the' +
  " following solutions: 1) Just disable protected mode sending the command 'CONFIG SET" +
  " protected-mode no' from the loopback interface by connecting to Redis from the same host the" +
  ' server is running, however MAKE SURE Redis is not publicly accessible from internet if you do' +
  ' so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable' +
  ' the protected mode by editing the Redis configuration file, and setting the protected mode' +
  " option to 'no', and then restarting the server. 3) If you started the server manually just for" +
  " testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication" +
  ' password for the default user. NOTE: You only need to do one of the above things in order for' +
  ' the server to start accepting connections from the outside.'

/* ---- arguments of any command ---- */

/** Options that do not exist, contradict each other or lack their value. */
export const ERR_SYNTAX = 'ERR syntax error'
/** No 64-bit integer by the rules of `readInteger`: an argument, or the value INCR is asked to add to. */
export const ERR_NOT_INTEGER = 'ERR value is not an integer or out of range'
/** No float by the rules of `readFloat`. */
export const ERR_NOT_FLOAT = 'ERR value is not a valid float'

/** An integer, but not one for a place that has limits of its own (a database's number). */
export function valueBetween(min: number, max: number): string {
  return `ERR value is out of range, value must between ${min} and ${max}`
}

/* ---- values and keys ---- */

/** INCR, DECR, INCRBY, DECRBY: the result is no 64-bit integer. */
export const ERR_OVERFLOW = 'ERR increment or decrement would overflow'
/** DECRBY of -2^63, which has no positive counterpart. */
export const ERR_DECREMENT_OVERFLOW = 'ERR decrement would overflow'
/** INCRBYFLOAT: the result is no number. */
export const ERR_NAN_OR_INFINITY = 'ERR increment would produce NaN or Infinity'
/** SETRANGE at a negative offset. */
export const ERR_OFFSET = 'ERR offset is out of range'
/** APPEND or SETRANGE: the value would be longer than proto-max-bulk-len. */
export const ERR_STRING_TOO_LONG = 'ERR string exceeds maximum allowed size (proto-max-bulk-len)'

/* ---- bits ---- */

/** A place of a bit that is no integer, negative, or behind proto-max-bulk-len. */
export const ERR_BIT_OFFSET = 'ERR bit offset is not an integer or out of range'
/** SETBIT to something else than 0 and 1. */
export const ERR_BIT = 'ERR bit is not an integer or out of range'
/** BITPOS of another integer than 0 and 1. */
export const ERR_BITPOS_BIT = 'ERR The bit argument must be 1 or 0.'
/** BITOP NOT of several keys. */
export const ERR_BITOP_NOT = 'ERR BITOP NOT must be called with a single source key.'
/** BITFIELD OVERFLOW. */
export const ERR_OVERFLOW_TYPE = 'ERR Invalid OVERFLOW type specified'
/** A field's type in BITFIELD. */
export const ERR_BITFIELD_TYPE =
  'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.'
/** BITFIELD_RO with SET or INCRBY. */
export const ERR_BITFIELD_RO = 'ERR BITFIELD_RO only supports the GET subcommand'

/* ---- LCS ---- */

export const ERR_LCS_LENGTH_AND_INDEXES =
  'ERR If you want both the length and indexes, please just use IDX.'
/** Others are at work that need as much as may be had. */
export const ERR_LCS_BUSY = 'ERR Insufficient memory, failed allocating transient memory for LCS'
/** The table of both values would be too large. */
export const ERR_LCS_MEMORY =
  'ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len'

const POLICIES_SWITCHED =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.'
/** OBJECT FREQ, where accesses are not counted. */
export const ERR_NO_FREQUENCY = `ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${POLICIES_SWITCHED}`
/** OBJECT IDLETIME, where the time of an access is not kept, and INFO names an LFU policy. */
export const ERR_NO_IDLE_TIME = `ERR An LFU maxmemory policy is selected, idle time not tracked. ${POLICIES_SWITCHED}`
/** The same where INFO names another policy: Redis has no text for it, it keeps the time then. */
export const ERR_NO_IDLE_TIME_HERE =
  'ERR Idle time is not tracked for this key: the policies lru and second-chance do so, for values up to half a chunk'
/** SCAN of what is no unsigned 64-bit integer. */
export const ERR_CURSOR = 'ERR invalid cursor'

/** A time that is not positive where it must be, or that 64 bits of milliseconds cannot hold. */
export function invalidExpire(command: string): string {
  return `ERR invalid expire time in '${command}' command`
}

/** EXPIRE and its kin: a word that is not NX, XX, GT or LT. */
export function unsupportedOption(option: string): string {
  return `ERR Unsupported option ${cString(option).replace(/[\r\n]+$/, '')}`
}

/** EXPIRE ... NX together with any of the others. */
export const ERR_EXPIRE_NX = 'ERR NX and XX, GT or LT options at the same time are not compatible'
/** EXPIRE ... GT LT. */
export const ERR_EXPIRE_GT_LT = 'ERR GT and LT options at the same time are not compatible'

/* ---- HELLO and AUTH ---- */

/** HELLO with a version that is no integer. */
export const ERR_PROTOCOL_VERSION = 'ERR Protocol version is not an integer or out of range'
/** HELLO 1, HELLO 4. On this code ioredis falls back to RESP2. */
export const ERR_NOPROTO = 'NOPROTO unsupported protocol version'
/** HELLO without AUTH from who has to authenticate. */
export const ERR_NOAUTH_HELLO =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH' +
  ' <user> <pass> option can be used to authenticate the client and select the RESP protocol' +
  ' version at the same time'
/** A wrong password, or a user who does not exist or is off: nobody is told which. */
export const ERR_WRONGPASS = 'WRONGPASS invalid username-password pair or user is disabled.'
/** AUTH with one argument where no password is set. */
export const ERR_AUTH_WITHOUT_PASSWORD =
  'ERR AUTH <password> called without any password configured for the default user. Are you sure' +
  ' your configuration is correct?'

/** An option of HELLO that does not exist or lacks its values. */
export function helloSyntax(option: string): string {
  return `ERR Syntax error in HELLO option '${cString(option)}'`
}

/* ---- CLIENT ---- */

/** CLIENT SETNAME, HELLO SETNAME: a name that would break a line of CLIENT LIST. */
export const ERR_CLIENT_NAME =
  'ERR Client names cannot contain spaces, newlines or special characters.'
/** CLIENT KILL address: nobody is connected from there. */
export const ERR_NO_SUCH_CLIENT = 'ERR No such client'
/** CLIENT LIST ID of what is no positive integer. */
export const ERR_CLIENT_ID = 'ERR Invalid client ID'
/** CLIENT KILL ID of what is no positive integer. */
export const ERR_CLIENT_ID_POSITIVE = 'ERR client-id should be greater than 0'

/** CLIENT LIST TYPE, CLIENT KILL TYPE. */
export function unknownClientType(type: string): string {
  return `ERR Unknown client type '${cString(type)}'`
}

/** CLIENT KILL USER. */
export function noSuchUser(user: string): string {
  return `ERR No such user '${cString(user)}'`
}

/** ACL CAT. */
export function unknownCategory(category: string): string {
  return `ERR Unknown category '${cString(category)}'`
}

/** CLIENT SETINFO of another attribute than LIB-NAME and LIB-VER (Redis 7.2). */
export function unrecognizedOption(attribute: string): string {
  return `ERR Unrecognized option '${cString(attribute)}'`
}

/** CLIENT SETINFO: a value that would break a line of CLIENT LIST (Redis 7.2). */
export function attributeNotPlain(attribute: string): string {
  return `ERR ${cString(attribute)} cannot contain spaces, newlines or special characters.`
}

/** CLIENT PAUSE, WAIT: a time that is no integer. */
export const ERR_TIMEOUT = 'ERR timeout is not an integer or out of range'
/** The same: one below 0. */
export const ERR_TIMEOUT_NEGATIVE = 'ERR timeout is negative'
/** CLIENT PAUSE of other commands than ALL and WRITE. */
export const ERR_PAUSE_MODE = 'ERR CLIENT PAUSE mode must be WRITE or ALL'
/** CLIENT UNBLOCK with another reason. */
export const ERR_UNBLOCK_REASON = 'ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR'
/** Who waited, and was woken by CLIENT UNBLOCK id ERROR. */
export const ERR_UNBLOCKED = 'UNBLOCKED client unblocked via CLIENT UNBLOCK'

/* ---- DEBUG, FUNCTION ---- */

/** DEBUG where enable-debug-command does not allow it. */
export const ERR_DEBUG_NOT_ALLOWED =
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can' +
  ' run it from a local connection, otherwise you need to set this option in the configuration' +
  ' file, and then restart the server.'
/** Of RENAME, and DEBUG OBJECT. */
export const ERR_NO_SUCH_KEY = 'ERR no such key'
/** DEBUG PROTOCOL. */
export const ERR_PROTOCOL_TYPE =
  'ERR Wrong protocol type name. Please use one of the following:' +
  ' string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false'
/** DEBUG PROTOCOL push to who has not said HELLO 3. */
export const ERR_RESP2 = 'ERR RESP2 is not supported by this command'
/** DEBUG RELOAD with another word. */
export const ERR_RELOAD_OPTIONS =
  'ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.'
/** DEBUG RELOAD. Ours. */
export const ERR_RELOAD =
  'ERR DEBUG RELOAD is not done while others may write: SAVE, and start the server anew'
/** FUNCTION FLUSH with another word. */
export const ERR_FUNCTION_FLUSH = 'ERR FUNCTION FLUSH only supports SYNC|ASYNC option'
/** FUNCTION LIST LIBRARYNAME, and no name. */
export const ERR_LIBRARY_NAME = 'ERR library name argument was not given'

/** FUNCTION LIST with another word, or one that was there before. */
export function unknownArgument(word: string): string {
  return `ERR Unknown argument ${cString(word)}`
}

/* ---- databases ---- */

/** SELECT of a database that does not exist. */
export const ERR_DB_INDEX = 'ERR DB index is out of range'
/** SWAPDB */
export const ERR_FIRST_DB_INDEX = 'ERR invalid first DB index'
export const ERR_SECOND_DB_INDEX = 'ERR invalid second DB index'
/** In a cluster there is database 0 only. */
export const ERR_SELECT_IN_CLUSTER = 'ERR SELECT is not allowed in cluster mode'
export const ERR_MOVE_IN_CLUSTER = 'ERR MOVE is not allowed in cluster mode'
export const ERR_SWAPDB_IN_CLUSTER = 'ERR SWAPDB is not allowed in cluster mode'
export const ERR_COPY_IN_CLUSTER = 'ERR Copying to another database is not allowed in cluster mode'

/** RESTORE */
export const BUSYKEY = 'BUSYKEY Target key name already exists.'
export const ERR_RESTORE_TTL = 'ERR Invalid TTL value, must be >= 0'
export const ERR_IDLE_TIME = 'ERR Invalid IDLETIME value, must be >= 0'
export const ERR_FREQUENCY = 'ERR Invalid FREQ value, must be >= 0 and <= 255'
export const ERR_DUMP_PAYLOAD = 'ERR DUMP payload version or checksum are wrong'
/** The payload is sound, and of something that is no string. */
export const ERR_DUMP_FORMAT = 'ERR Bad data format'

/** SWAPDB where too many databases stand in the place of others. */
export const tooManyMoved = (most: number): string =>
  `ERR at most ${most} databases can stand in the place of another one: swap some back`

/** COPY and MOVE of a key to itself. */
export const ERR_SAME_OBJECT = 'ERR source and destination objects are the same'

/* ---- CONFIG, COMMAND, SHUTDOWN ---- */

/** CONFIG SET of a directive that does not exist. */
export function unknownDirective(name: string): string {
  return `ERR Unknown option or number of arguments for CONFIG SET - '${cString(name)}'`
}

/** CONFIG SET that changed nothing, and why: one of the reasons below. */
export function directiveFailed(name: string, reason: string): string {
  return `ERR CONFIG SET failed (possibly related to argument '${cString(name)}') - ${reason}`
}

/** Reasons why CONFIG SET fails. */
export const CONFIG_IMMUTABLE = "can't set immutable config"
export const CONFIG_DUPLICATE = 'duplicate parameter'
export const CONFIG_NOT_MEMORY = 'argument must be a memory value'
export const CONFIG_NOT_INTEGER = "argument couldn't be parsed into an integer"
export const CONFIG_NOT_YES_NO = "argument must be 'yes' or 'no'"
export const CONFIG_SAVE = 'Invalid save parameters'

/** The limits of a number. */
export function configBetween(min: number | bigint, max: number | bigint): string {
  return `argument must be between ${min} and ${max} inclusive`
}

/** The words that a directive takes. */
export function configOneOf(words: readonly string[]): string {
  return `argument(s) must be one of the following: ${words.join(', ')}`
}

/** CONFIG REWRITE of a server that was started without a file. */
export const ERR_NO_CONFIG_FILE = 'ERR The server is running without a config file'

/** CONFIG REWRITE: the operating system's reason. */
export function configRewriteFailed(reason: string): string {
  return `ERR Rewriting config file: ${reason}`
}

/** COMMAND GETKEYS of no command. */
export const ERR_INVALID_COMMAND = 'ERR Invalid command specified'
/** COMMAND GETKEYS of a command that takes no keys. */
export const ERR_COMMAND_WITHOUT_KEYS = 'ERR The command has no key arguments'
/** COMMAND GETKEYS of a command with too many arguments or too few. */
export const ERR_COMMAND_ARITY = 'ERR Invalid number of arguments specified for command'
/** COMMAND GETKEYS of arguments that the command would refuse. */
export const ERR_COMMAND_ARGUMENTS = 'ERR Invalid arguments specified for command'
/** SHUTDOWN ABORT of no shutdown. */
export const ERR_SLOWLOG_COUNT = 'ERR count should be greater than or equal to -1'
/** LATENCY GRAPH of an event that was not slow. */
export const noLatencySamples = (event: string): string =>
  `ERR No samples available for event '${cString(event)}'`
export const ERR_NO_SHUTDOWN = 'ERR No shutdown in progress.'
/** SHUTDOWN whose snapshot cannot be written: the server goes on. */
export const ERR_SHUTDOWN = 'ERR Errors trying to SHUTDOWN. Check logs.'

/* ---- snapshots ---- */

/** SAVE and BGSAVE while the one or the other is at work. */
export const ERR_SAVE_IN_PROGRESS = 'ERR Background save already in progress'
/** With stop-writes-on-bgsave-error: a write, or PING, after a background save has failed. */
export const ERR_MISCONF =
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to" +
  ' disk. Commands that may modify the data set are disabled, because this instance is configured' +
  ' to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option).' +
  ' Please check the Redis logs for details about the RDB error.'
/** SAVE that failed, and the operating system's reason. Redis says no more than ERR. */
export const saveFailed = (reason: string): string =>
  `ERR the snapshot cannot be written: ${reason}`

/* ---- GROUP ---- */

/** GROUP INFO, SET, FLUSH, WARM. Ours, as all of GROUP. */
export function noSuchGroup(name: string): string {
  return `ERR no such group '${cString(name).slice(0, SHOWN_BYTES_MAX)}'`
}

/** GROUP SET: which rule of which group, and what is wrong with it. */
export function groupRefused(reason: string): string {
  return `ERR ${reason}`
}

/** GROUP WARM of a key that another group, or none, is for. */
export function notOfGroup(key: string, group: string): string {
  return `ERR key '${cString(key).slice(0, SHOWN_BYTES_MAX)}' is not of group '${group}'`
}

/** GROUP WARM while so many wait that these would be too many. */
export function warmFull(group: string, keysMax: number): string {
  return `ERR too many keys are to be warmed already (up to ${keysMax} of a group): GROUP INFO ${group} tells how many`
}

/* ---- publish and subscribe ---- */

/** Of a subscriber in RESP2, which could not tell the reply from a message. */
export function subscriberCommand(fullName: string): string {
  return `ERR Can't execute '${fullName}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`
}

/** Ours: Redis has no such limits. */
export const ERR_SSUBSCRIBE_IN_MULTI = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"
export const ERR_CHANNEL_TOO_LONG =
  'ERR the name of a channel has at most 65536 bytes, a pattern 1024'
export const ERR_TOO_MANY_SUBSCRIPTIONS =
  'ERR too many subscriptions: one client may have about 100000, and all of them together sixteen times as many'

/* ---- client-side caching ---- */

export const ERR_TWO_REDIRECTS = 'ERR A client can only redirect to a single other client'
export const ERR_NO_REDIRECT_CLIENT = 'ERR The client ID you want redirect to does not exist'
export const ERR_PREFIX_WITHOUT_BCAST = 'ERR PREFIX option requires BCAST mode to be enabled'
export const ERR_SWITCH_BCAST =
  "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
export const ERR_OPTIN_WITH_BCAST = 'ERR OPTIN and OPTOUT are not compatible with BCAST'
export const ERR_OPTIN_WITH_OPTOUT = "ERR You can't specify both OPTIN mode and OPTOUT mode"
export const ERR_SWITCH_OPTIN =
  "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
export const ERR_CACHING_WITHOUT_TRACKING =
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled'
export const ERR_CACHING_YES =
  'ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.'
export const ERR_CACHING_NO =
  'ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.'

/** `isGiven`: both prefixes come with this command. */
export function prefixesOverlap(prefix: string, other: string, isGiven: boolean): string {
  const which = isGiven ? 'another provided prefix' : 'an existing prefix'
  return `ERR Prefix '${prefix}' overlaps with ${which} '${other}'. Prefixes for a single client must not overlap.`
}

/** Ours: Redis has no such limit. */
export function tooManyPrefixes(prefixesMax: number, prefixBytesMax: number): string {
  return `ERR a client may have up to ${prefixesMax} prefixes, of up to ${prefixBytesMax} bytes each`
}

/** Ours: a key is read where it lives, and changes there, on whichever node that is. */
export const ERR_TRACKING_IN_CLUSTER =
  'ERR CLIENT TRACKING is not there in a cluster, where a change of a key is known to one node only'

/* ---- the cluster ---- */

/** Keys of one command that have different owners, where they must have one. */
export const ERR_CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"
/** CLUSTER and READONLY, when cluster mode is off. */
/** CLUSTER COUNTKEYSINSLOT, GETKEYSINSLOT. */
export const ERR_SLOT = 'ERR Invalid slot'
export const ERR_SLOT_OR_COUNT = 'ERR Invalid slot or number of keys'

/** CLUSTER REPLICAS. */
export function unknownNode(id: string): string {
  return `ERR Unknown node ${id}`
}

export const ERR_CLUSTER_DISABLED = 'ERR This instance has cluster support disabled'

/** A write, when too few nodes are there (cluster-min-members). */
export const ERR_CLUSTER_READS_ONLY =
  'CLUSTERDOWN The cluster is down and only accepts read commands'

/** The slot's owner: the client asks there, and every cluster client refreshes its topology. */
export function moved(slot: number, address: string): string {
  return `MOVED ${slot} ${address}`
}

/** PEER WATCH and the like from a client. */
export const ERR_PEER_ONLY = 'ERR only nodes of the cluster ask this of each other'
/** PEER REJOIN, as long as the store removes something else. */
export const ERR_PEER_NOT_YET = 'ERR what this node had is not forgotten yet'
export const ERR_PEER_NO_STREAM = 'ERR no copies of these keys are kept for this stream'
/** To another node, of a key that this one has given away because it is about to end; it did nothing. */
export const ERR_LEAVING = 'LEAVING this node is about to end: its keys have new owners'
/** PEER HELLO, with `tls-cluster yes`. */
export const peerDistrusted = (why: string): string =>
  `ERR a node that calls here must show a certificate of this cluster over TLS (tls-cluster): ${why}`
/** PEER AUTH out of order. Ours: another node's handshake. */
export const ERR_PEER_AUTH_FIRST = 'ERR PEER AUTH must follow a PEER HELLO'
/** PEER AUTH from who does not know the cluster secret. */
export const ERR_PEER_PROOF = 'NOAUTH the proof of the cluster secret is wrong'
/** PEER HELLO, when the nodes have nothing to know each other by. */
export const ERR_PEER_SECRET_MISSING =
  'NOAUTH this node has no cluster-secret: its peers must be on this machine, and requirepass unset'

/* ---- CACHE, and groups that write through ---- */

/** CACHE.FILL with what is no number. */
export const ERR_NO_TOKEN = 'ERR the token is none that CACHE.LEASE gives'
/** CACHE.LEASE: clients have as many as a node gives. */
export const ERR_TOO_MANY_LEASES = 'ERR too many leases are out: fill some, or let them end'
/** CACHE.INVALIDATE PREFIX. */
export const ERR_PREFIX_TOO_LONG = 'ERR a prefix has at most 65536 bytes'
/** CACHE.SET and CACHE.FILL. */
export const ERR_TOO_MANY_TAGS = 'ERR an entry has at most 64 tags'
export const ERR_TAG_TOO_LONG = 'ERR a tag has at most 256 bytes'
/** CACHE.SET with GROUP. */
export const ERR_NO_GROUP_OF_KEY = 'ERR no group has this key'
/** CACHE.INVALIDATE. */
export const ERR_INVALIDATE_WHAT = 'ERR CACHE.INVALIDATE takes GROUP name, PREFIX prefix or TAG tag'
/** A command whose change the origin could not be told. */
export const writesThrough = (group: string): string =>
  `ERR group '${group}' writes to its origin: only SET (without NX, XX and GET), SETEX, PSETEX, MSET, DEL, UNLINK, GETDEL and CACHE.SET may change its keys`

/*
 * Lines of a key whose group could not be loaded (cluster/loads/loads.ts). They name the group and never
 * the URL or the key: the first is the operator's, the second a stranger's.
 */
export const originBreaker = (group: string): string =>
  `ORIGIN ${group}: the origin failed too often and is not asked for a while`
export const originBusy = (group: string): string => `ORIGIN ${group}: too many loads are waiting`
export const originClosing = (group: string): string => `ORIGIN ${group}: the server is ending`
export const originEmptyKey = (group: string): string => `ORIGIN ${group}: key is required`
export const originEncoding = (group: string): string =>
  `ORIGIN ${group}: the origin's answer has a content-encoding that was not asked for`
export const originFailed = (group: string): string => `ORIGIN ${group}: the load failed`
export const originKey = (group: string): string =>
  `ORIGIN ${group}: the key cannot be put into the origin's URL`
export const originKeyTooLong = (group: string, bytesMax: number): string =>
  `ORIGIN ${group}: the key is longer than ${bytesMax} bytes`
export const originRefused = (group: string, reason: string): string =>
  `ORIGIN ${group}: ${reason.replaceAll(/[^ -~]/g, ' ').slice(0, 200)}`
export const originFunction = (group: string, name: string): string =>
  `ORIGIN ${group}: ${name}() failed`
export const originNoValue = (group: string): string =>
  `ORIGIN ${group}: load() returned something that is no value`
export const originProtocol = (group: string, protocol: 'HTTP' | 'RESP'): string =>
  `ORIGIN ${group}: the origin's answer is not valid ${protocol}`
export const originRedirect = (group: string): string =>
  `ORIGIN ${group}: the origin redirects to another host`
export const originRedirects = (group: string, hopsMax: number): string =>
  `ORIGIN ${group}: the origin redirects more than ${hopsMax} times`
export const originRedis = (group: string, code: string): string =>
  `ORIGIN ${group}: the Redis origin answered an error (${code})`
export const originReset = (group: string): string =>
  `ORIGIN ${group}: the origin closed the connection without an answer`
export const originShort = (group: string): string =>
  `ORIGIN ${group}: the origin's answer broke off before its end`
export const originStatus = (group: string, status: number): string =>
  `ORIGIN ${group}: the origin answered ${status}`
export const originTimeout = (group: string, timeoutMs: number): string =>
  `ORIGIN ${group}: no complete answer from the origin within ${timeoutMs} ms`
export const originTls = (group: string, reason: string): string =>
  `ORIGIN ${group}: no trusted TLS connection to the origin (${reason})`
export const originTooLarge = (group: string, bytesMax: number): string =>
  `ORIGIN ${group}: the origin's answer is larger than ${bytesMax} bytes`
export const originUnreachable = (group: string, reason: string): string =>
  `ORIGIN ${group}: the origin cannot be reached (${reason})`

/*
 * Lines of a command that another node was to run (cluster/routes/router.ts). They name nodes, which
 * CLUSTER NODES tells everybody. CLUSTERDOWN and TRYAGAIN are words that cluster clients know.
 */
export const nodesSilent = (names: readonly string[]): string =>
  `CLUSTERDOWN no answer in time from ${names.join(', ')}`
export const nodeBusy = (name: string): string => `TRYAGAIN too much waits for ${name} already`
export const nodeDeadline = (name: string): string =>
  `TIMEOUT ${name} works on it, but its time is over`
/** To a write whose copy another node should have. */
export const ERR_NOT_COPIED =
  'ERR it was executed, but not copied to the next node in time: a crash may undo it'
export const effectUnknown = (name: string): string =>
  `ERR the link to ${name} failed while it had the command: it may have been run, or not`
export const nodeNonsense = (name: string): string => `ERR ${name} answered with something else`
export const nodesNotReached = (names: readonly string[]): string =>
  `CLUSTERDOWN not done on ${names.join(', ')}; done on all other nodes`

/** As C sees a string: up to its first NUL. */
function cString(text: string): string {
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}
/** A command over several nodes would gather more on one of them than it may hold. */
export const replyTooLong = (bytesMax: number): string =>
  `ERR a command over several nodes may gather ${bytesMax} bytes on one of them; ask for fewer keys`
