/*
 * DEBUG: what tests and tools ask of a server that nobody else should. It is refused unless
 * enable-debug-command says otherwise, as in Redis; and of Redis's subcommands there are those that
 * tools rely on.
 */
import * as errors from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import { isLocal } from '../address.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { peekKey } from './lookup.ts'
import { encodingOf } from './object.ts'

/** Up to so long DEBUG SLEEP sleeps: an hour. */
const SLEEP_MS_MAX = 3_600_000

/** By name: how many arguments each has, the two names included, and what it does. */
const subcommands: Readonly<Record<string, { count: number; run: (client: Client) => void }>> = {
  sleep: { count: 3, run: sleep },
  'set-active-expire': { count: 3, run: setActiveExpire },
  object: { count: 3, run: object },
  protocol: { count: 3, run: protocol },
  help: { count: 2, run: help },
}

function debug(client: Client): void {
  const { args, reply, hub } = client
  const allowed = hub.config['enable-debug-command']
  if (allowed === 'no' || (allowed === 'local' && !isLocal(client.address))) {
    reply.error(errors.ERR_DEBUG_NOT_ALLOWED)
    return
  }
  if (args.is(1, 'reload')) return reload(client)
  const found = Object.entries(subcommands).find(([name]) => args.is(1, name))?.[1]
  if (found?.count === args.count) found.run(client)
  else reply.error(errors.subcommandSyntax(args.text(1), 'debug'))
}

/**
 * Holds the commands of all clients, where Redis's thread sleeps: other nodes hear that this one is
 * alive.
 */
function sleep(client: Client): void {
  const { args, hub } = client
  const seconds = parseFloat(args.text(2))
  const forMs = Math.min(SLEEP_MS_MAX, Math.max(0, seconds * 1000))
  if (!(forMs > 0)) return client.reply.ok()
  hub.pauses.sleep(forMs)
  const slot = client.hold()
  hub.world.clock.after(forMs, () => slot.settle((reply) => reply.ok()))
}

function setActiveExpire({ args, hub, reply }: Client): void {
  hub.sweeper.isIdle = !truthOf(args.text(2))
  reply.ok()
}

/** As C's atoi reads it: what is no number is 0. */
function truthOf(text: string): boolean {
  return (parseInt(text, 10) || 0) !== 0
}

/** The line that Redis prints, with what is known here. */
function object(client: Client): void {
  const { store, reply } = client
  const found = peekKey(client, 2)
  const fields = found
    ? [
        'Value at:0x0 refcount:1',
        `encoding:${encodingOf(store)}`,
        `serializedlength:${lengthBytes(store.valueLength) + store.valueLength}`,
        `lru:0 lru_seconds_idle:${Math.max(0, Math.floor(store.idleMs / 1000))}`,
      ]
    : []
  store.close()
  if (found) reply.simple(fields.join(' '))
  else reply.error(errors.ERR_NO_SUCH_KEY)
}

/** Bytes of a length in Redis's snapshots. */
function lengthBytes(length: number): number {
  if (length < 1 << 6) return 1
  return length < 1 << 14 ? 2 : 5
}

/** A save and a load in one, for which nothing may be under way on any thread: there is no such moment. */
function reload({ args, reply }: Client): void {
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, 'merge') || args.is(i, 'noflush') || args.is(i, 'nosave')) continue
    reply.error(errors.ERR_RELOAD_OPTIONS)
    return
  }
  reply.error(errors.ERR_RELOAD)
}

/** One reply of each type. */
const replies: Readonly<Record<string, (reply: Reply) => void>> = {
  string: (reply) => reply.text('Hello World'),
  integer: (reply) => reply.integer(12345),
  double: (reply) => reply.double(3141 / 1000),
  null: (reply) => reply.null(),
  array: (reply) => {
    reply.array(3)
    for (let i = 0; i < 3; i++) reply.integer(i)
  },
  set: (reply) => {
    reply.set(3)
    for (let i = 0; i < 3; i++) reply.integer(i)
  },
  map: (reply) => {
    reply.map(3)
    for (let i = 0; i < 3; i++) {
      reply.integer(i)
      reply.boolean(i === 1)
    }
  },
  attrib: (reply) => {
    // RESP2 has no attributes.
    if (reply.protocol === 3) {
      reply.raw(ONE_ATTRIBUTE)
      reply.text('key-popularity')
      reply.array(2)
      reply.text('key:123')
      reply.integer(90)
    }
    reply.text('Some real reply following the attribute')
  },
  push: (reply) => {
    if (reply.protocol !== 3) return reply.error(errors.ERR_RESP2)
    reply.push(2)
    reply.text('server-cpu-usage')
    reply.integer(42)
    // Clients do not take it for the answer.
    reply.text('Some real reply following the push reply')
  },
  true: (reply) => reply.boolean(true),
  false: (reply) => reply.boolean(false),
  verbatim: (reply) => reply.verbatim('This is a verbatim\nstring'),
  bignum: (reply) => {
    if (reply.protocol === 3) reply.raw(Buffer.from(`(${BIG_NUMBER}\r\n`))
    else reply.text(BIG_NUMBER)
  },
}

const ONE_ATTRIBUTE = Buffer.from('|1\r\n')
const BIG_NUMBER = '1234567999999999999999999999999999999'

function protocol({ args, reply }: Client): void {
  const write = Object.entries(replies).find(([name]) => args.is(2, name))?.[1]
  if (write === undefined) reply.error(errors.ERR_PROTOCOL_TYPE)
  else write(reply)
}

function help({ reply }: Client): void {
  const lines = [
    'DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
    'OBJECT <key>',
    '    Shows what is known of a key beside its value.',
    `PROTOCOL <${Object.keys(replies).join('|')}>`,
    '    Replies with a value of this type.',
    'SET-ACTIVE-EXPIRE <0|1>',
    '    Leaves expired keys until somebody asks for them, or removes them as usual.',
    'SLEEP <seconds>',
    '    Holds the commands of all clients for so long.',
    'HELP',
    '    Prints this help.',
  ]
  reply.array(lines.length)
  for (const line of lines) reply.simple(line)
}

export const debugCommands = [
  {
    name: 'debug',
    onHub: true,
    arity: -2,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    keys: [0, 0, 0],
    group: 'server',
    isForDevelopers: true,
    since: '1.0.0',
    complexity: 'Depends on subcommand.',
    differs:
      '`SLEEP`, `SET-ACTIVE-EXPIRE`, `OBJECT`, `PROTOCOL` and `HELP`; the others are unknown',
    summary:
      'For tests and tools: SLEEP, SET-ACTIVE-EXPIRE, OBJECT and PROTOCOL, where enable-debug-command allows it.',
    run: debug,
  },
] as const satisfies readonly Command[]
