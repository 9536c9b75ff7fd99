/*
 * Commands of very many keys over several nodes: MGET, MSET, DEL, UNLINK, EXISTS, TOUCH of 200,000.
 *
 * They are cut into commands of some thousand keys, one after the other, and everything else has its turn
 * in between; each is split by owner as a short command is. What MGET has got is kept, encoded, until all
 * is there, for an error must be able to take the place of it all. After an error no further part is run.
 */
import type { EncodedList } from '../../cluster/routes/fan-out.ts'
import type { ScatterRequest } from '../../cluster/routes/scatter.ts'
import { PeerError, PeerStatus, type PeerValue } from '../../cluster/peers/replies.ts'
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import type { CommandEntry } from '../command.ts'
import type { Slot } from '../clients/slot.ts'

/** Of a part: two or three milliseconds on each node. */
export const KEYS_PER_PART = 2048

/** Bytes of a reply that are handed over at a time. */
const BYTES_PER_STEP = 256 * 1024

export interface LongScatter {
  readonly client: Client
  readonly entry: CommandEntry
  /** Its own. */
  readonly args: Args
  readonly slot: Slot
  readonly gather: ScatterRequest['gather']
  /** Runs a part, a command of its own. */
  readonly run: (words: readonly Buffer[], done: (value: PeerValue) => void) => void
  /** Values as a client in this protocol gets them. */
  readonly encode: (values: readonly PeerValue[], protocol: number) => Buffer
}

export function scatterLong(command: LongScatter): void {
  const { client, entry, args, slot, gather } = command
  const { firstKey, keyStep } = entry
  const { clock } = client.server.world
  const head = Array.from({ length: firstKey }, (_, i) => args.buffer(i))
  const lists: Buffer[] = []
  let sum = 0
  let next = firstKey
  const finish = (): void => {
    if (gather === 'list') streamList(client, slot, { count: args.count - firstKey, lists })
    else if (gather === 'sum') slot.settle((to) => to.integer(sum))
    else slot.settle((to) => to.ok())
  }
  const accept = (value: PeerValue): void => {
    if (value instanceof PeerError) return slot.settle((to) => to.error(value.line))
    if (typeof value === 'number') sum += value
    else if (!(value instanceof PeerStatus)) {
      lists.push(command.encode(value as readonly PeerValue[], slot.protocol))
    }
    if (next < args.count) clock.soon(runPart)
    else finish()
  }
  const runPart = (): void => {
    const end = Math.min(args.count, next + KEYS_PER_PART * keyStep)
    const words = [...head]
    for (; next < end; next++) words.push(args.buffer(next))
    command.run(words, accept)
  }
  runPart()
}

/** Answers a list whose elements are encoded already, in as many steps as it takes. */
export function streamList(client: Client, slot: Slot, { count, lists }: EncodedList): void {
  const { reply, server } = client
  let list = 0
  let at = 0
  slot.stream(() => reply.array(count))
  const step = (): void => {
    const bytes = lists[list]
    if (bytes === undefined) return slot.finish()
    const piece = bytes.subarray(at, at + BYTES_PER_STEP)
    slot.stream(() => reply.raw(piece))
    at += piece.length
    if (at === bytes.length) {
      list++
      at = 0
    }
    if (slot.hasRoom) server.world.clock.soon(step)
    else slot.whenRoom(step)
  }
  step()
}
