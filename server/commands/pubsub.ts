/*
 * Publish and subscribe (pubsub.ts has how it works).
 *
 * In a cluster PUBLISH goes to all nodes, and its answer counts those who are subscribed on the node
 * that was asked, as Redis Cluster has it. A shard channel is of one node, as a key is: SPUBLISH is
 * passed on to it, and who subscribes elsewhere is told where to go (MOVED).
 */
import * as errors from '../../protocol/errors.ts'
import type { Args } from '../../protocol/args.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import type { IoThread } from '../io-thread.ts'
import { globMatches } from '../glob.ts'
import {
  CHANNEL,
  type Kind,
  nameBytesMax,
  PATTERN,
  patternBytesMax,
  SHARD,
  Subscriber,
} from '../pubsub.ts'
import { helpRow, noSubcommand } from './container.ts'

/** Of one SUBSCRIBE or UNSUBSCRIBE: clients that reconnect subscribe to all they had at once. */
const namesMax = 65_536

const subscribeWords = ['subscribe', 'psubscribe', 'ssubscribe'] as const
const unsubscribeWords = ['unsubscribe', 'punsubscribe', 'sunsubscribe'] as const

/* ---- subscribing ---- */

const subscribe =
  (kind: Kind) =>
  (client: Client): void => {
    const { args, reply, server } = client
    const names = namesOf(args, kind)
    const refusal = names === null ? errors.ERR_CHANNEL_TOO_LONG : refusalOf(client, kind)
    if (names === null || refusal !== null) return reply.error(refusal!)
    if (kind === SHARD && client.transaction !== null)
      return reply.error(errors.ERR_SSUBSCRIBE_IN_MULTI)
    const subscriber = (client.subscriber ??= new Subscriber(client))
    const had = subscriber.names[kind]
    const [fresh, isFresh] = firsts(names, (name) => !had.has(name))
    if (!server.pubsub.hasRoom(subscriber, fresh)) {
      return reply.error(errors.ERR_TOO_MANY_SUBSCRIPTIONS)
    }
    let count = subscriber.count(kind)
    server.pubsub.subscribe(subscriber, kind, fresh)
    client.judgeSpecial()
    answer(client, (to) => {
      for (const [i, name] of names.entries()) {
        confirm(to, subscribeWords[kind], name, (count += isFresh[i]!))
      }
    })
  }

/** The names that are meant, each once; and of all of them 1 where such a one stands first, else 0. */
function firsts(
  names: readonly string[],
  isMeant: (name: string) => boolean,
): [names: string[], isFirst: Uint8Array] {
  const seen = new Set<string>()
  const isFirst = new Uint8Array(names.length)
  for (const [i, name] of names.entries()) {
    if (!isMeant(name) || seen.has(name)) continue
    seen.add(name)
    isFirst[i] = 1
  }
  return [[...seen], isFirst]
}

/** As in Redis, what is subscribed to is answered also after CLIENT REPLY OFF or SKIP. */
function answer(client: Client, write: (reply: Reply) => void): void {
  if (client.replyMode === 'on') write(client.reply)
  else client.pushReply(write)
}

/** The names from argument 1 on; null: one is too long. */
function namesOf(args: Args, kind: Kind): string[] | null {
  const bytesMax = kind === PATTERN ? patternBytesMax : nameBytesMax
  for (let i = 1; i < args.count; i++) if (args.length(i) > bytesMax) return null
  return Array.from({ length: args.count - 1 }, (_, i) => args.text(i + 1))
}

/** The error of a subscription to shard channels that are not this node's, else null. */
function refusalOf({ args, server: { routing } }: Client, kind: Kind): string | null {
  if (kind !== SHARD || !routing.enabled) return null
  const slot = routing.slotOf(args, 1)
  for (let i = 2; i < args.count; i++) {
    if (routing.slotOf(args, i) !== slot) return errors.ERR_CROSSSLOT
  }
  return routing.router!.isHere(slot) ? null : errors.moved(slot, routing.ownerOfSlot(slot))
}

/** `name` null: there was nothing to leave. */
function confirm(reply: Reply, word: string, name: string | null, count: number): void {
  reply.push(3)
  reply.text(word)
  if (name === null) reply.null()
  else reply.text(name, true)
  reply.integer(count)
}

const unsubscribe =
  (kind: Kind) =>
  (client: Client): void => {
    const { args, reply, server } = client
    const names = namesOf(args, kind)
    if (names === null) return reply.error(errors.ERR_CHANNEL_TOO_LONG)
    const { subscriber } = client
    const had = subscriber?.names[kind] ?? new Set<string>()
    const isAll = args.count === 1
    if (isAll) for (const name of had) names.push(name)
    const [left, isLeft] = isAll ? [names, null] : firsts(names, (name) => had.has(name))
    let count = subscriber?.count(kind) ?? 0
    const confirmAll = (to: Reply): void => {
      if (names.length === 0) confirm(to, unsubscribeWords[kind], null, count)
      for (const [i, name] of names.entries()) {
        confirm(to, unsubscribeWords[kind], name, (count -= isLeft?.[i] ?? 1))
      }
    }
    if (subscriber === null || left.length === 0 || server.pubsub.isAlone) {
      if (subscriber !== null) server.pubsub.unsubscribe(subscriber, kind, left, null)
      client.judgeSpecial()
      return answer(client, confirmAll)
    }
    // Other threads may be sending what they counted it for: that comes before the answer.
    const slot = client.hold()
    const isHeard = client.replyMode === 'on'
    const leaving = { slot, until: Infinity }
    if (isHeard) subscriber.leaving.push(leaving)
    leaving.until = server.pubsub.unsubscribe(subscriber, kind, left, () => {
      if (isHeard) subscriber.leaving.splice(subscriber.leaving.indexOf(leaving), 1)
      if (isHeard) slot.stream(() => confirmAll(reply))
      else client.pushReply(confirmAll)
      slot.finish()
    })
    client.judgeSpecial()
  }

/** Nodes came or went: whoever is subscribed to shard channels of other nodes is told that it is no more. */
export function leaveForeignShards({ pubsub, routing }: IoThread): void {
  for (const name of pubsub.namesHere(SHARD)) {
    const bytes = Buffer.from(name, 'latin1')
    if (routing.isHere(bytes)) continue
    for (const subscriber of pubsub.subscribers(SHARD, name)) {
      pubsub.unsubscribe(subscriber, SHARD, [name], null)
      const { client } = subscriber
      const count = subscriber.count(SHARD)
      client.pushReply((to) => confirm(to, unsubscribeWords[SHARD], name, count))
      client.judgeSpecial()
    }
  }
}

/* ---- publishing ---- */

const publish =
  (kind: typeof CHANNEL | typeof SHARD) =>
  (client: Client): void => {
    const { args, reply, server } = client
    const { pubsub, routing } = server
    if (args.length(1) > nameBytesMax) return reply.error(errors.ERR_CHANNEL_TOO_LONG)
    if (pubsub.isQuiet && !routing.enabled) return reply.integer(0)
    const message = args.buffer(2)
    // As in Redis: of what was changed before clients hear before.
    if (client.transaction === null) server.tracking.settle()
    const count = pubsub.publish(kind, args.text(1), message)
    if (kind === CHANNEL && routing.enabled && client.peer === null) {
      routing.tellAll([PUBLISH, args.buffer(1), message])
    }
    reply.integer(count)
    client.keepPace()
  }

const PUBLISH = Buffer.from('PUBLISH')

/* ---- PUBSUB ---- */

const channels =
  (kind: Kind) =>
  ({ args, reply, server }: Client): void => {
    if (args.count > 3) return reply.error(errors.subcommandSyntax(args.text(1), 'pubsub'))
    const pattern = args.count === 3 ? args.buffer(2) : null
    if (pattern !== null && pattern.length > patternBytesMax) {
      return reply.error(errors.ERR_CHANNEL_TOO_LONG)
    }
    const names = [...server.pubsub.names(kind)].filter(
      (name) => pattern === null || globMatches(pattern, Buffer.from(name, 'latin1')),
    )
    reply.array(names.length)
    for (const name of names) reply.text(name, true)
  }

const subscribers =
  (kind: Kind) =>
  ({ args, reply, server }: Client): void => {
    reply.array(2 * (args.count - 2))
    for (let i = 2; i < args.count; i++) {
      reply.bulk(args.bytes, args.pos(i), args.length(i))
      const isName = args.length(i) <= nameBytesMax
      reply.integer(isName ? server.pubsub.count(kind, args.text(i)) : 0)
    }
  }

function patterns({ reply, server }: Client): void {
  reply.integer(server.pubsub.size(PATTERN))
}

/* ---- the table ---- */

const noKeys = [0, 0, 0] as const
const aboutOneself = ['pubsub', 'noscript', 'loading', 'stale'] as const
const aboutAll = ['pubsub', 'loading', 'stale'] as const

const pubsubRows = [
  {
    name: 'channels',
    arity: -2,
    flags: aboutAll,
    keys: noKeys,
    group: 'pubsub',
    since: '2.8.0',
    complexity:
      'O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)',
    summary: 'Lists the channels that somebody is subscribed to, all or those that match.',
    syntax: '[pattern]',
    argumentTypes: { pattern: 'pattern' },
    run: channels(CHANNEL),
  },
  {
    name: 'numsub',
    arity: -2,
    flags: aboutAll,
    keys: noKeys,
    group: 'pubsub',
    since: '2.8.0',
    complexity: 'O(N) for the NUMSUB subcommand, where N is the number of requested channels',
    summary: 'Counts the subscribers of channels, those by pattern left out.',
    syntax: '[channel [channel ...]]',
    run: subscribers(CHANNEL),
  },
  {
    name: 'numpat',
    arity: 2,
    flags: aboutAll,
    keys: noKeys,
    group: 'pubsub',
    since: '2.8.0',
    complexity: 'O(1)',
    summary: 'Counts the patterns that somebody is subscribed to.',
    run: patterns,
  },
  {
    name: 'shardchannels',
    arity: -2,
    flags: aboutAll,
    keys: noKeys,
    group: 'pubsub',
    since: '7.0.0',
    complexity:
      'O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).',
    summary: "Lists this node's shard channels that somebody is subscribed to.",
    syntax: '[pattern]',
    argumentTypes: { pattern: 'pattern' },
    run: channels(SHARD),
  },
  {
    name: 'shardnumsub',
    arity: -2,
    flags: aboutAll,
    keys: noKeys,
    group: 'pubsub',
    since: '7.0.0',
    complexity:
      'O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels',
    summary: "Counts the subscribers of this node's shard channels.",
    syntax: '[shardchannel [shardchannel ...]]',
    run: subscribers(SHARD),
  },
  helpRow({ container: 'pubsub', group: 'pubsub', since: '6.2.0' }),
] as const satisfies readonly Command[]

export const pubsubCommands = [
  {
    name: 'subscribe',
    arity: -2,
    flags: aboutOneself,
    keys: noKeys,
    wordsMax: namesMax,
    group: 'pubsub',
    since: '2.0.0',
    complexity: 'O(N) where N is the number of channels to subscribe to.',
    summary: 'Lets this connection hear what is published to channels.',
    syntax: 'channel [channel ...]',
    run: subscribe(CHANNEL),
  },
  {
    name: 'unsubscribe',
    arity: -1,
    flags: aboutOneself,
    keys: noKeys,
    wordsMax: namesMax,
    group: 'pubsub',
    since: '2.0.0',
    complexity: 'O(N) where N is the number of clients already subscribed to a channel.',
    summary: 'Leaves channels, or all of them.',
    syntax: '[channel [channel ...]]',
    run: unsubscribe(CHANNEL),
  },
  {
    name: 'psubscribe',
    arity: -2,
    flags: aboutOneself,
    keys: noKeys,
    wordsMax: namesMax,
    group: 'pubsub',
    since: '2.0.0',
    complexity: 'O(N) where N is the number of patterns the client is already subscribed to.',
    summary: 'Lets this connection hear what is published to channels that match patterns.',
    syntax: 'pattern [pattern ...]',
    argumentTypes: { pattern: 'pattern' },
    run: subscribe(PATTERN),
  },
  {
    name: 'punsubscribe',
    arity: -1,
    flags: aboutOneself,
    keys: noKeys,
    wordsMax: namesMax,
    group: 'pubsub',
    since: '2.0.0',
    complexity:
      'O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns subscribed in the system (by any client).',
    summary: 'Leaves patterns, or all of them.',
    syntax: '[pattern [pattern ...]]',
    argumentTypes: { pattern: 'pattern' },
    run: unsubscribe(PATTERN),
  },
  {
    name: 'publish',
    arity: 3,
    flags: ['pubsub', 'loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'pubsub',
    since: '2.0.0',
    complexity:
      'O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).',
    summary: 'Sends a message to the subscribers of a channel, and counts those on this node.',
    syntax: 'channel message',
    run: publish(CHANNEL),
  },
  {
    name: 'ssubscribe',
    arity: -2,
    flags: aboutOneself,
    keys: [1, -1, 1],
    keyFlags: ['not_key'],
    wordsMax: namesMax,
    placement: 'here',
    group: 'pubsub',
    since: '7.0.0',
    complexity: 'O(N) where N is the number of shard channels to subscribe to.',
    summary: 'Lets this connection hear what is published to shard channels of this node.',
    syntax: 'shardchannel [shardchannel ...]',
    run: subscribe(SHARD),
  },
  {
    name: 'sunsubscribe',
    arity: -1,
    flags: aboutOneself,
    keys: [1, -1, 1],
    keyFlags: ['not_key'],
    wordsMax: namesMax,
    placement: 'here',
    group: 'pubsub',
    since: '7.0.0',
    complexity: 'O(N) where N is the number of clients already subscribed to a shard channel.',
    summary: 'Leaves shard channels, or all of them.',
    syntax: '[shardchannel [shardchannel ...]]',
    run: unsubscribe(SHARD),
  },
  {
    name: 'spublish',
    arity: 3,
    flags: ['pubsub', 'loading', 'stale', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['not_key'],
    group: 'pubsub',
    since: '7.0.0',
    complexity: 'O(N) where N is the number of clients subscribed to the receiving shard channel.',
    summary: 'Sends a message to the subscribers of a shard channel, on the node that has it.',
    syntax: 'shardchannel message',
    run: publish(SHARD),
  },
  {
    name: 'pubsub',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'pubsub',
    since: '2.8.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about channels and their subscribers.',
    subcommands: pubsubRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
