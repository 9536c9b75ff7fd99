/*
 * Reads of keys of other nodes that are answered with a copy (cluster/hot/copies.ts): GET, STRLEN, EXISTS
 * of one key, and the keys of an MGET. Everything else, and whoever might draw conclusions from the
 * moment of a read (WATCH, transactions), asks the owner.
 */
import { HotCopies, type CopiesOptions } from '../../cluster/hot/copies.ts'
import { Sample } from '../../cluster/hot/sample.ts'
import type { Stamps } from '../../cluster/hot/stamps.ts'
import { PeerError, type PeerValue } from '../../cluster/peers/replies.ts'
import type { Args } from '../../protocol/args.ts'
import { nodeNonsense } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { CommandEntry } from '../command.ts'
import { HOT_KEY_BYTES_MAX } from './hot-keys.ts'
import type { Call } from '../clients/slot.ts'
import { counter } from '../stats.ts'

/** A longer value is sent from where it is. */
const COPIED_BYTES_MAX = 16 * 1024

export interface CopiedReadsOptions extends CopiesOptions {
  /** May there be copies at all? Read each time. */
  readonly isOn: () => boolean
}

export class CopiedReads {
  readonly copies: HotCopies
  readonly #stamps: Stamps
  readonly #isOn: () => boolean
  readonly #sample = new Sample()

  constructor(options: CopiedReadsOptions) {
    this.copies = new HotCopies(options)
    this.#stamps = options.stamps
    this.#isOn = options.isOn
  }

  /** Answers a read of one key of another node, if it can. False: the owner is to be asked. */
  answers(client: Client, entry: CommandEntry, call: Call, owner: string, slot: number): boolean {
    const { args } = call
    const isGet = entry.fullName === 'get'
    if (!isGet && entry.fullName !== 'strlen') return false
    if (!this.#isOn() || isConcluding(client) || args.length(1) > HOT_KEY_BYTES_MAX) return false
    const times = this.#sample.next()
    if (times === 0 && this.copies.isEmpty) return false
    const value = this.copies.read(args.text(1), owner, slot, times)
    if (value === null) return false
    client.server.stats.row[counter.keyspaceHits]!++
    if (!isGet) replyInteger(client, call, value.length)
    else if (call.slot !== undefined) call.slot.settleBulk(bufferOf(value))
    else if (value.length <= COPIED_BYTES_MAX) client.reply.bulk(value)
    else client.defer().settleBulk(bufferOf(value))
    return true
  }

  /** The same for EXISTS of one key. */
  answersExists(client: Client, call: Call): boolean {
    const { args } = call
    if (args.count !== 2 || this.copies.isEmpty || isConcluding(client)) return false
    if (args.length(1) > HOT_KEY_BYTES_MAX || this.copies.find(args.text(1)) === null) return false
    replyInteger(client, call, 1)
    return true
  }

  /** The keys of an MGET of which there are copies; null: of none. */
  ofMany(client: Client, args: Args): Gathered | null {
    if (this.copies.isEmpty || isConcluding(client)) return null
    const values: (Buffer | null)[] = []
    const rest: Buffer[] = [args.buffer(0)]
    for (let i = 1; i < args.count; i++) {
      const isShort = args.length(i) <= HOT_KEY_BYTES_MAX
      const value = isShort ? this.copies.find(args.text(i)) : null
      values.push(value === null ? null : bufferOf(value))
      if (value === null) rest.push(args.buffer(i))
    }
    return rest.length === args.count ? null : new Gathered(rest, values)
  }

  /** A command that may write keys of these slots is sent to another node, or its answer is there. */
  wrote(slots: readonly number[]): void {
    for (const slot of slots) this.#stamps.wrote(slot)
  }

  wroteAll(): void {
    this.#stamps.wroteAll()
  }
}

/** An MGET that is answered with copies in part. */
export class Gathered {
  /** MGET of all other keys; without one if there is no other. */
  readonly rest: readonly Buffer[]
  readonly #values: readonly (Buffer | null)[]

  constructor(rest: readonly Buffer[], values: readonly (Buffer | null)[]) {
    this.rest = rest
    this.#values = values
  }

  get isWhole(): boolean {
    return this.rest.length === 1
  }

  /** The reply to the whole command, from the one to the rest. */
  joined(rest: PeerValue): PeerValue {
    if (rest instanceof PeerError) return rest
    const others = Array.isArray(rest) ? (rest as readonly PeerValue[]) : []
    if (others.length !== this.rest.length - 1) return new PeerError(nodeNonsense('a node'))
    let next = 0
    return this.#values.map((value) => value ?? others[next++]!)
  }
}

/** Does something follow from when it reads? */
function isConcluding(client: Client): boolean {
  return client.isSpecial || client.watches > 0
}

function replyInteger(client: Client, { slot }: Call, n: number): void {
  if (slot === undefined) client.reply.integer(n)
  else slot.settle((reply) => reply.integer(n))
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
