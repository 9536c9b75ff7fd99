/** Commands about the connection itself: who speaks, how, and to which database. */
import { createHash, timingSafeEqual } from 'node:crypto'
import * as errors from '../../protocol/errors.ts'
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { idleClientBytes } from '../facts.ts'
import type { IoThread } from '../io-thread.ts'
import { redisVersion } from '../version.ts'
import { defaultUser } from './acl.ts'
import { helpRow, noSubcommand } from './container.ts'
import { pauseRows } from './pause.ts'
import { redirectOf, trackingRows } from './tracking.ts'

const int32Min = -0x80000000
const int32Max = 0x7fffffff

/** What CLIENT LIST TYPE and CLIENT KILL TYPE tell apart; a `peer` is another node of the cluster. */
const clientTypes = ['normal', 'master', 'replica', 'pubsub', 'peer']

/** Flags of the commands that are answered before AUTH. */
const beforeAuth = ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'] as const
const aboutOneself = ['noscript', 'loading', 'stale'] as const
const aboutOthers = ['admin', 'noscript', 'loading', 'stale'] as const

function ping(client: Client): void {
  if (client.isSpecial && client.isSubscriber && client.protocol === 2) pingSubscriber(client)
  else if (client.args.count === 2) echo(client)
  else if (client.args.count === 1) client.reply.simple('PONG')
  else client.reply.error(errors.wrongArity('ping'))
}

/** In the form of a message, as a subscriber in RESP2 expects it. */
function pingSubscriber({ args, reply }: Client): void {
  if (args.count > 2) return reply.error(errors.wrongArity('ping'))
  reply.array(2)
  reply.text('pong')
  if (args.count === 2) reply.bulk(args.bytes, args.pos(1), args.length(1))
  else reply.text('')
}

function echo({ args, reply }: Client): void {
  reply.bulk(args.bytes, args.pos(1), args.length(1))
}

function hello(client: Client): void {
  const { args, reply } = client
  let version = 0
  if (args.count > 1) {
    version = args.integer(1)
    if (Number.isNaN(version)) return reply.error(errors.ERR_PROTOCOL_VERSION)
    if (version < 2 || version > 3) return reply.error(errors.ERR_NOPROTO)
  }
  // In their order, and what is done before an error stays done, as in Redis.
  for (let i = 2; i < args.count; i++) {
    const more = args.count - 1 - i
    if (more >= 2 && args.is(i, 'auth')) {
      if (!authenticate(client, i + 1, i + 2)) return
      i += 2
    } else if (more >= 1 && args.is(i, 'setname')) {
      if (!setName(client, i + 1)) return
      i++
    } else {
      return reply.error(errors.helloSyntax(args.text(i)))
    }
  }
  if (!client.authenticated) return reply.error(errors.ERR_NOAUTH_HELLO)
  if (version !== 0) client.useProtocol(version === 3 ? 3 : 2)
  greet(client)
}

/** Users and passwords, wherever AUTH stands. */
function helloSecrets(args: Args): number[] {
  const secrets: number[] = []
  for (let i = 2; i < args.count; i++) {
    if (!args.is(i, 'auth')) continue
    secrets.push(i + 1, i + 2)
    i += 2
  }
  return secrets
}

function greet(client: Client): void {
  const { reply, server } = client
  reply.map(7)
  reply.text('server')
  reply.text('redis')
  reply.text('version')
  reply.text(redisVersion)
  reply.text('proto')
  reply.integer(client.protocol)
  reply.text('id')
  reply.integer(client.id)
  reply.text('mode')
  reply.text(server.routing.enabled ? 'cluster' : 'standalone')
  reply.text('role')
  reply.text('master')
  reply.text('modules')
  reply.array(0)
}

function auth(client: Client): void {
  const { args, reply, server } = client
  if (args.count > 3) return reply.error(errors.ERR_SYNTAX)
  if (args.count === 2) {
    if (server.config.requirepass === '') return reply.error(errors.ERR_AUTH_WITHOUT_PASSWORD)
    if (!authenticate(client, 0, 1)) return
  } else if (!authenticate(client, 1, 2)) {
    return
  }
  reply.ok()
}

/**
 * Checks the user named by argument `userAt` (0: the default one) and the password in argument
 * `passwordAt`. Answers the error and returns false when they do not fit.
 */
function authenticate(client: Client, userAt: number, passwordAt: number): boolean {
  const { args, reply, server } = client
  const knowsUser = userAt === 0 || args.text(userAt) === defaultUser
  // Compared for an unknown user as well, so that time does not tell which users there are.
  const fits = isPassword(args.buffer(passwordAt), server.config.requirepass)
  if (!knowsUser || !fits) {
    reply.error(errors.ERR_WRONGPASS)
    return false
  }
  client.user = defaultUser
  client.authenticated = true
  return true
}

/** Takes as long for a nearly right password as for a wrong one. No password set: all are right. */
function isPassword(given: Buffer, wanted: string): boolean {
  const digest = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()
  const fits = timingSafeEqual(digest(given), digest(Buffer.from(wanted)))
  return fits || wanted === ''
}

function select(client: Client): void {
  const { args, reply, server } = client
  const db = args.integer(1)
  if (Number.isNaN(db)) return reply.error(errors.ERR_NOT_INTEGER)
  if (db < int32Min || db > int32Max) return reply.error(errors.valueBetween(int32Min, int32Max))
  if (server.routing.enabled && db !== 0) return reply.error(errors.ERR_SELECT_IN_CLUSTER)
  if (db < 0 || db >= server.config.databases) return reply.error(errors.ERR_DB_INDEX)
  client.db = server.databases.behind(db)
  reply.ok()
}

function quit(client: Client): void {
  client.reply.ok()
  client.closeAfterReply()
  client.hearNoMore()
}

function reset(client: Client): void {
  client.db = client.server.databases.behind(0)
  client.name = ''
  client.noEvict = false
  client.noTouch = false
  client.monitor(false)
  client.endTransaction()
  client.unwatch()
  client.leaveAll()
  client.server.tracking.end(client)
  client.hearReplies(true)
  client.user = defaultUser
  client.authenticated = client.server.config.requirepass === ''
  client.useProtocol(2)
  client.reply.simple('RESET')
}

function clientId(client: Client): void {
  client.reply.integer(client.id)
}

function clientInfo(client: Client): void {
  client.reply.verbatim(describe(client))
}

const noNames = [new Set<string>(), new Set<string>(), new Set<string>()] as const

/** One line of CLIENT LIST, in Redis 7.4's fields; a peer's ends with the name of its node. */
function describe(client: Client): string {
  const { clock } = client.server.world
  const now = clock.now()
  const seconds = (since: number): number => Math.max(0, Math.floor((now - since) / 1000))
  const { transaction } = client
  const queued = transaction === null ? -1 : transaction.commands.length
  const multiBytes = transaction?.bytes ?? 0
  // In Redis's order.
  const flags =
    (client.isMonitor ? 'O' : '') +
    (client.isSubscriber ? 'P' : '') +
    (transaction === null ? '' : 'x') +
    (client.isBlocked ? 'b' : '') +
    (client.tracker?.flags ?? '') +
    (client.isDirty ? 'd' : '') +
    (client.noEvict ? 'e' : '') +
    (client.noTouch ? 'T' : '')
  const [channels, patterns, shards] = client.subscriber?.names ?? noNames
  const fields = [
    `id=${client.id}`,
    `addr=${client.address}`,
    `laddr=${client.localAddress}`,
    `fd=${client.fd}`,
    `name=${client.name}`,
    `age=${seconds(client.createdAt)}`,
    `idle=${seconds(client.lastCommandAt)}`,
    `flags=${flags === '' ? 'N' : flags}`,
    `db=${client.server.databases.numberOf(client.db)}`,
    `sub=${channels.size} psub=${patterns.size} ssub=${shards.size} multi=${queued} watch=${client.watches}`,
    `qbuf=${client.queryBytes}`,
    // Reads and replies go through areas that all clients of a thread share.
    `qbuf-free=0 argv-mem=0 multi-mem=${multiBytes} rbs=0 rbp=0 obl=0`,
    `oll=${client.outputParts}`,
    `omem=${client.outputBytes}`,
    `tot-mem=${idleClientBytes + client.queryBytes + client.outputBytes + multiBytes}`,
    'events=r',
    `cmd=${client.lastCommand}`,
    `user=${client.user}`,
    `redir=${redirectOf(client)}`,
    `resp=${client.protocol}`,
    `lib-name=${client.libName}`,
    `lib-ver=${client.libVersion}`,
    // Redis 8's: which thread serves it.
    `io-thread=${client.server.row}`,
  ]
  if (client.peer !== null) fields.push(`peer=${client.peer}`)
  return `${fields.join(' ')}\n`
}

function typeOf(client: Client): string {
  if (client.peer !== null) return 'peer'
  return client.isSubscriber ? 'pubsub' : 'normal'
}

/** The client type that argument i names, null when there is none of that name. */
function typeNamed(args: Args, i: number): string | null {
  if (args.is(i, 'slave')) return 'replica'
  return clientTypes.find((name) => args.is(i, name)) ?? null
}

/** Which clients CLIENT LIST means. */
type ListFilter = { readonly type: string | null } | { readonly ids: readonly number[] }
type ClientLine = readonly [id: number, line: string]

/** The lines of CLIENT LIST of one thread. */
export function clientLines({ clients }: IoThread, filter: ListFilter): ClientLine[] {
  const found =
    'ids' in filter
      ? filter.ids.flatMap((id) => clients.get(id) ?? [])
      : [...clients.values()].filter(
          (client) => filter.type === null || typeOf(client) === filter.type,
        )
  return found.map((client) => [client.id, describe(client)])
}

/** In the order in which they came, or in which they were asked for. */
function clientList(client: Client): void {
  const { reply } = client
  const filter = listFilter(client)
  if (typeof filter === 'string') return reply.error(filter)
  client.survey('clients', filter, (threads) => {
    const lines = threads.flat()
    if ('ids' in filter) {
      const byId = new Map(lines)
      reply.verbatim(filter.ids.map((id) => byId.get(id) ?? '').join(''))
    } else {
      lines.sort(([one], [other]) => one - other)
      reply.verbatim(lines.map(([, line]) => line).join(''))
    }
  })
}

/** What the arguments ask for, or the error's line. */
function listFilter({ args }: Client): ListFilter | string {
  if (args.count === 2) return { type: null }
  if (args.count === 4 && args.is(2, 'type')) {
    const type = typeNamed(args, 3)
    return type === null ? errors.unknownClientType(args.text(3)) : { type }
  }
  if (args.count === 3 || !args.is(2, 'id')) return errors.ERR_SYNTAX
  const ids: number[] = []
  for (let i = 3; i < args.count; i++) {
    const id = args.integer(i)
    if (Number.isNaN(id)) return errors.ERR_CLIENT_ID
    ids.push(id)
  }
  return { ids }
}

/** Which clients CLIENT KILL means; a filter that is null leaves all of them. */
interface KillFilter {
  id: number | null
  type: string | null
  address: string | null
  localAddress: string | null
  user: string | null
  skipMe: boolean
  /** Who asks. */
  caller: number
}

const everyone: KillFilter = {
  id: null,
  type: null,
  address: null,
  localAddress: null,
  user: null,
  skipMe: true,
  caller: 0,
}

function clientKill(client: Client): void {
  const { args, reply } = client
  if (args.count === 3) {
    const one = { ...everyone, caller: client.id, address: args.text(2), skipMe: false }
    client.survey('kill', one, (killed) => {
      if (sumOf(killed) === 0) reply.error(errors.ERR_NO_SUCH_CLIENT)
      else reply.ok()
      client.hearNoMore()
    })
    return
  }
  const filter = killFilter(client)
  if (filter === null) return
  client.survey('kill', filter, (killed) => {
    reply.integer(sumOf(killed))
    client.hearNoMore()
  })
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0)
}

/** The filters from argument 2 on; answers the error and returns null when one is wrong. */
function killFilter(client: Client): KillFilter | null {
  const { args, reply } = client
  const filter = { ...everyone, caller: client.id }
  for (let i = 2; i < args.count; i += 2) {
    const value = i + 1
    if (value === args.count) {
      reply.error(errors.ERR_SYNTAX)
      return null
    }
    const error = readKillFilter(filter, client, value)
    if (error !== null) {
      reply.error(error)
      return null
    }
  }
  return filter
}

/** Takes the filter named by the argument before `value`. Returns the error line, or null. */
function readKillFilter(filter: KillFilter, { args }: Client, value: number): string | null {
  const option = value - 1
  if (args.is(option, 'id')) {
    filter.id = args.integer(value)
    return filter.id > 0 ? null : errors.ERR_CLIENT_ID_POSITIVE
  }
  if (args.is(option, 'type')) {
    filter.type = typeNamed(args, value)
    return filter.type === null ? errors.unknownClientType(args.text(value)) : null
  }
  if (args.is(option, 'user')) {
    filter.user = args.text(value)
    return filter.user === defaultUser ? null : errors.noSuchUser(filter.user)
  }
  if (args.is(option, 'skipme')) {
    filter.skipMe = args.is(value, 'yes')
    return filter.skipMe || args.is(value, 'no') ? null : errors.ERR_SYNTAX
  }
  if (args.is(option, 'addr')) filter.address = args.text(value)
  else if (args.is(option, 'laddr')) filter.localAddress = args.text(value)
  else return errors.ERR_SYNTAX
  return null
}

/** Closes the clients of one thread that pass the filter, the caller after its reply, and counts them. */
export function killClients({ clients }: IoThread, filter: KillFilter): number {
  let killed = 0
  for (const client of [...clients.values()]) {
    const isCaller = client.id === filter.caller
    if (!passes(client, filter) || (isCaller && filter.skipMe)) continue
    killed++
    if (isCaller) client.closeAfterReply()
    else client.destroy()
  }
  return killed
}

function passes(client: Client, filter: KillFilter): boolean {
  return (
    (filter.id === null || client.id === filter.id) &&
    (filter.type === null || typeOf(client) === filter.type) &&
    (filter.address === null || client.address === filter.address) &&
    (filter.localAddress === null || client.localAddress === filter.localAddress) &&
    (filter.user === null || client.user === filter.user)
  )
}

function clientSetName(client: Client): void {
  if (setName(client, 2)) client.reply.ok()
}

/** Names the client as argument i says; answers the error and returns false when it may not. */
function setName(client: Client, i: number): boolean {
  const name = client.args.text(i)
  if (!isPlain(name)) {
    client.reply.error(errors.ERR_CLIENT_NAME)
    return false
  }
  client.name = name
  return true
}

/** Of what a client says of itself, which is kept as long as it is connected. */
const NAME_BYTES_MAX = 64 * 1024

/** Nothing that could break a line of CLIENT LIST: printable ASCII without blanks, and not endless. */
function isPlain(text: string): boolean {
  return text.length <= NAME_BYTES_MAX && /^[!-~]*$/.test(text)
}

function clientGetName({ name, reply }: Client): void {
  if (name === '') reply.null()
  else reply.text(name)
}

function clientSetInfo(client: Client): void {
  const { args, reply } = client
  const attribute = args.text(2)
  const value = args.text(3)
  const isName = args.is(2, 'lib-name')
  if (!isName && !args.is(2, 'lib-ver')) return reply.error(errors.unrecognizedOption(attribute))
  if (!isPlain(value)) return reply.error(errors.attributeNotPlain(attribute))
  if (isName) client.libName = value
  else client.libVersion = value
  reply.ok()
}

/** The switch in argument 2; answers the error and returns null when it is neither on nor off. */
function onOrOff({ args, reply }: Client): boolean | null {
  const on = args.is(2, 'on')
  if (on || args.is(2, 'off')) return on
  reply.error(errors.ERR_SYNTAX)
  return null
}

function clientNoEvict(client: Client): void {
  const on = onOrOff(client)
  if (on === null) return
  client.noEvict = on
  client.reply.ok()
}

function clientNoTouch(client: Client): void {
  const on = onOrOff(client)
  if (on === null) return
  client.noTouch = on
  client.reply.ok()
}

/** ON alone is answered; SKIP in a connection that is silent anyway changes nothing. */
function clientReply(client: Client): void {
  const { args, reply } = client
  if (args.is(2, 'on')) {
    client.hearReplies(true)
    reply.ok()
  } else if (args.is(2, 'off')) {
    client.hearReplies(false)
  } else if (args.is(2, 'skip')) {
    if (client.replyMode !== 'off') client.replyMode = 'skip-next'
  } else {
    reply.error(errors.ERR_SYNTAX)
  }
}

const noKeys = [0, 0, 0] as const

const clientRows = [
  {
    name: 'id',
    arity: 2,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '5.0.0',
    complexity: 'O(1)',
    summary:
      'Returns the number of this connection, which no other one gets while the server runs.',
    run: clientId,
  },
  {
    name: 'info',
    arity: 2,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    tips: ['nondeterministic_output'],
    since: '6.2.0',
    complexity: 'O(1)',
    summary: 'Describes this connection, as one line of CLIENT LIST.',
    run: clientInfo,
  },
  {
    name: 'list',
    onHub: true,
    arity: -2,
    flags: aboutOthers,
    keys: noKeys,
    group: 'connection',
    tips: ['nondeterministic_output'],
    since: '2.4.0',
    history: [
      ['2.8.12', 'Added unique client `id` field.'],
      ['5.0.0', 'Added optional `TYPE` filter.'],
      ['6.0.0', 'Added `user` field.'],
      [
        '6.2.0',
        'Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.',
      ],
      ['7.0.0', 'Added `resp`, `multi-mem`, `rbs` and `rbp` fields.'],
      ['7.0.3', 'Added `ssub` field.'],
    ],
    complexity: 'O(N) where N is the number of client connections',
    summary: 'Describes the connected clients, one line each.',
    syntax: '[TYPE <NORMAL | MASTER | REPLICA | PUBSUB | PEER>] [ID client-id [client-id ...]]',
    run: clientList,
  },
  {
    name: 'kill',
    onHub: true,
    arity: -3,
    flags: aboutOthers,
    keys: noKeys,
    differs:
      'with several threads a transaction in which a client kills itself is answered to its end',
    group: 'connection',
    since: '2.4.0',
    history: [
      ['2.8.12', 'Added new filter format.'],
      ['2.8.12', '`ID` option.'],
      ['3.2.0', 'Added `master` type in for `TYPE` option.'],
      [
        '5.0.0',
        'Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.',
      ],
      ['6.2.0', '`LADDR` option.'],
    ],
    complexity: 'O(N) where N is the number of client connections',
    summary: 'Closes the connections that pass all filters, or the one from an address.',
    syntax:
      '[ip:port] [ID client-id] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB | PEER>] ' +
      '[USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]',
    run: clientKill,
  },
  {
    name: 'setname',
    arity: 3,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '2.6.9',
    complexity: 'O(1)',
    summary: 'Names this connection; an empty name takes it away.',
    syntax: 'connection-name',
    run: clientSetName,
  },
  {
    name: 'getname',
    arity: 2,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '2.6.9',
    complexity: 'O(1)',
    summary: 'Returns the name of this connection, nil when it has none.',
    run: clientGetName,
  },
  {
    name: 'setinfo',
    arity: 4,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '7.2.0',
    complexity: 'O(1)',
    summary: 'Tells which client library speaks here, for CLIENT LIST.',
    syntax: '<LIB-NAME libname | LIB-VER libver>',
    run: clientSetInfo,
  },
  {
    name: 'no-evict',
    arity: 3,
    flags: aboutOthers,
    keys: noKeys,
    group: 'connection',
    since: '7.0.0',
    complexity: 'O(1)',
    summary: 'Exempts this connection from being closed for the memory it takes.',
    syntax: '<ON | OFF>',
    argumentNotes: { on_off: { as: 'enabled' } },
    run: clientNoEvict,
  },
  {
    name: 'no-touch',
    arity: 3,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '7.2.0',
    complexity: 'O(1)',
    summary: 'Lets this connection read keys without counting as an access.',
    syntax: '<ON | OFF>',
    run: clientNoTouch,
  },
  {
    name: 'reply',
    arity: 3,
    flags: aboutOneself,
    keys: noKeys,
    group: 'connection',
    since: '3.2.0',
    complexity: 'O(1)',
    summary: 'Sends replies, keeps silent, or is silent about the next command only.',
    syntax: '<ON | OFF | SKIP>',
    run: clientReply,
  },
  ...pauseRows,
  ...trackingRows,
  helpRow({ container: 'client', group: 'connection', since: '5.0.0' }),
] as const satisfies readonly Command[]

export const connectionCommands = [
  {
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    keys: noKeys,
    group: 'connection',
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Answers PONG, or the message.',
    syntax: '[message]',
    run: ping,
  },
  {
    name: 'echo',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'connection',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Answers the message.',
    syntax: 'message',
    run: echo,
  },
  {
    name: 'hello',
    arity: -1,
    flags: beforeAuth,
    keys: noKeys,
    group: 'connection',
    since: '6.0.0',
    history: [
      [
        '6.2.0',
        "`protover` made optional; when called without arguments the command reports the current connection's context.",
      ],
    ],
    complexity: 'O(1)',
    summary:
      'Chooses the version of the protocol, may authenticate and name the connection on the way, and describes the server.',
    syntax: '[protover [AUTH username password] [SETNAME clientname]]',
    argumentNotes: { protover_username_password_clientname: { as: 'arguments' } },
    secrets: helloSecrets,
    run: hello,
  },
  {
    name: 'auth',
    arity: -2,
    flags: beforeAuth,
    keys: noKeys,
    group: 'connection',
    since: '1.0.0',
    history: [['6.0.0', 'Added ACL style (username and password).']],
    complexity: 'O(1)',
    summary: 'Authenticates the connection with the password.',
    syntax: '[username] password',
    argumentNotes: { username: { since: '6.0.0' } },
    secrets: ({ count }) => (count === 2 ? [1] : [1, 2]),
    run: auth,
  },
  {
    name: 'select',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'connection',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Chooses the database that this connection reads and writes.',
    syntax: 'index',
    run: select,
  },
  {
    name: 'quit',
    arity: -1,
    flags: beforeAuth,
    keys: noKeys,
    group: 'connection',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Closes the connection after the replies that are under way.',
    run: quit,
  },
  {
    name: 'reset',
    arity: 1,
    flags: beforeAuth,
    keys: noKeys,
    group: 'connection',
    since: '6.2.0',
    complexity: 'O(1)',
    summary: 'Puts the connection back into the state of a fresh one.',
    run: reset,
  },
  {
    name: 'client',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'connection',
    since: '2.4.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about client connections.',
    subcommands: clientRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
