/** What an owner says to the node that keeps copies of its keys: see copies/keeper.ts. */
import { ERR_PEER_NO_STREAM, ERR_PEER_NOT_YET, ERR_PEER_ONLY } from '../../protocol/errors.ts'
import type { Keeper } from '../copies/keeper.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { MATCHER_BYTES_MAX, type Matcher, SLOT_SET_BYTES } from '../store/store.ts'
import { amongNodes } from './handoff.ts'

/** What is asked for cannot be done at this moment, or is none of this stream's. */
type Refusal = typeof ERR_PEER_NOT_YET | typeof ERR_PEER_NO_STREAM

/** Answers with the number of the answer, or why not. */
function answering(run: (client: Client, keeper: Keeper, node: string) => Refusal | null) {
  return (client: Client): void => {
    const { hub, peer, reply } = client
    const { keeper } = hub
    if (peer === null || keeper === null) return reply.error(ERR_PEER_ONLY)
    const refusal = run(client, keeper, peer)
    if (refusal !== null) reply.error(refusal)
    else reply.integer(keeper.trust.answers(peer))
  }
}

/** PEER COPY stream heard key line value [key line value ...] */
function copy({ args }: Client, keeper: Keeper, node: string): Refusal | null {
  if (!keeper.trust.hears(node, args.text(2), args.integer(3))) return ERR_PEER_NO_STREAM
  for (let i = 4; i + 2 < args.count; i += 3) {
    if (!keeper.take(node, args.buffer(i), args.buffer(i + 1), args.buffer(i + 2))) {
      return ERR_PEER_NO_STREAM
    }
  }
  return null
}

/** PEER COPIES verb stream heard [...] */
function copies({ args, store }: Client, keeper: Keeper, node: string): Refusal | null {
  const stream = args.text(3)
  if (args.is(2, 'open')) {
    const lastsMs = args.count > 7 ? args.integer(5) : NaN
    if (!(lastsMs > 0) || args.length(7) !== SLOT_SET_BYTES) return ERR_PEER_NO_STREAM
    const opening = { id: stream, lastsMs, isFresh: args.is(6, '1') }
    if (!keeper.open(node, opening, args.buffer(7))) return ERR_PEER_NOT_YET
  }
  if (!keeper.trust.hears(node, stream, args.integer(4))) return ERR_PEER_NO_STREAM
  if (args.is(2, 'close') && args.count > 5 && args.length(5) === SLOT_SET_BYTES) {
    keeper.close(node, args.buffer(5))
  } else if (args.is(2, 'purge') && args.count > 6 && args.length(6) <= MATCHER_BYTES_MAX) {
    const matcher: Matcher = args.is(5, 'prefix')
      ? { kind: 'prefix', db: 0, bytes: args.buffer(6) }
      : { kind: 'group', db: 0, name: args.text(6) }
    if (!keeper.purge(matcher)) return ERR_PEER_NOT_YET
  } else if (args.is(2, 'tag') && args.count > 5) {
    store.invalidateTag(args.integer(5) >>> 0)
  }
  return null
}

const common = {
  onHub: true,
  flags: [...amongNodes, 'skip_monitor', 'skip_slowlog'],
  keys: [0, 0, 0],
  group: 'cluster',
  since: '0.1.0',
} as const

export const copiesRows = [
  {
    ...common,
    name: 'copy',
    arity: -7,
    complexity: 'O(1) for every key.',
    summary: 'Gives another node copies of entries as they are now; an empty line: there is none.',
    syntax: 'stream heard key line value [key line value ...]',
    run: answering(copy),
  },
  {
    ...common,
    name: 'copies',
    arity: -5,
    complexity: 'O(N) where N is the number of slots',
    summary: 'Begins, changes or keeps alive a stream of copies of entries to another node.',
    syntax: 'verb stream heard [argument ...]',
    run: answering(copies),
  },
] as const satisfies readonly Command[]
