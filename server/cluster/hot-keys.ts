/*
 * HOTKEYS: the keys that other nodes ask this one for most, counted by each thread for the links that
 * it serves (cluster/hot/counter.ts). What this node's own clients read is not counted: it never
 * leaves the node, and a local read has no time for it.
 *
 *     HOTKEYS GET ──> every node ──> every thread of it: its counter's keys
 *                 <── [key, node, rate] of all, the hottest first
 */
import type { FanOutPart } from '../../cluster/routes/fan-out.ts'
import { HotCounter, type HotKey, hottest } from '../../cluster/hot/counter.ts'
import { Sample } from '../../cluster/hot/sample.ts'
import type { PeerValue } from '../../cluster/peers/replies.ts'
import type { Clock } from '../../cluster/world.ts'
import type { Args } from '../../protocol/args.ts'
import type { Reply } from '../../protocol/reply.ts'
import { type CommandEntry, lastKeyOf } from '../command.ts'

/** A longer key is never hot: names are kept in the heap. */
export const HOT_KEY_BYTES_MAX = 1024

/** Of one answer. */
const SHOWN_MAX = 32

/** A hot key and the node that has it. */
export interface HotKeyAt extends HotKey {
  readonly node: string
}

/** What other nodes read of this thread. */
export class HotReads {
  readonly counter = new HotCounter()
  readonly #clock: Clock
  readonly #sample = new Sample()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Another node's command that reads: counted if it is of one key. */
  asked(args: Args, entry: CommandEntry): void {
    const at = entry.firstKey
    if (at === 0 || lastKeyOf(entry, args) !== at || args.length(at) > HOT_KEY_BYTES_MAX) return
    const times = this.#sample.next()
    if (times > 0) this.counter.add(args.text(at), this.#clock.now(), times)
  }

  /** Another node has answered so many reads of a key with its copy. */
  reported(key: string, times: number): void {
    this.counter.add(key, this.#clock.now(), times)
  }

  /** See HotCounter.rate. */
  rateOf(key: string): number {
    return this.counter.rate(key, this.#clock.now())
  }

  /** Its hottest keys. */
  get top(): HotKey[] {
    return this.counter.top(SHOWN_MAX, this.#clock.now())
  }
}

/** Those of all threads of the node. */
export function hotKeysOf(node: string, threads: readonly (readonly HotKey[])[]): HotKeyAt[] {
  return hottest(threads.flat(), SHOWN_MAX).map((hot) => ({ ...hot, node }))
}

/** Those of all nodes that answered. */
export function joinedHotKeys(parts: readonly FanOutPart[]): HotKeyAt[] {
  const all: HotKeyAt[] = []
  for (const { name, value } of parts) {
    for (const element of Array.isArray(value) ? (value as readonly PeerValue[]) : []) {
      const words: readonly PeerValue[] = Array.isArray(element) ? element : []
      const [, key, , , , rate] = words
      if (!Buffer.isBuffer(key) || typeof rate !== 'number') continue
      all.push({ key: key.toString('latin1'), node: name, rate })
    }
  }
  return all.sort((a, b) => b.rate - a.rate || (a.key < b.key ? -1 : 1)).slice(0, SHOWN_MAX)
}

/** Each is a map: key, node, rate. */
export function writeHotKeys(reply: Reply, all: readonly HotKeyAt[]): void {
  reply.array(all.length)
  for (const { key, node, rate } of all) {
    reply.map(3)
    reply.text('key')
    reply.text(key, true)
    reply.text('node')
    reply.text(node)
    reply.text('rate')
    reply.integer(Math.round(rate))
  }
}
