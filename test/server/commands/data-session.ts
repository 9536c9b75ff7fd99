import { Args } from '../../../protocol/args.ts'
import { Reply } from '../../../protocol/reply.ts'
import type { Client } from '../../../server/clients/client.ts'
import type { Command } from '../../../server/command.ts'
import { counterCommands } from '../../../server/commands/counter.ts'
import { keyCommands } from '../../../server/commands/key.ts'
import { keyspaceCommands } from '../../../server/commands/keyspace.ts'
import { stringCommands } from '../../../server/commands/string.ts'
import { shareStats, Stats } from '../../../server/stats.ts'
import { checkInvariants, type Pages, Store } from '../../../server/store/store.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'

const rows: readonly Command[] = [
  ...stringCommands,
  ...counterCommands,
  ...keyCommands,
  ...keyspaceCommands,
]

/** Bulks longer than this arrive in pages. */
const BIG_BYTES_MIN = 64 * 1024

/** Checking the store's invariants takes time by its keys. */
const CHECKED_KEYS_MAX = 100

const MAX_MEMORY = 16 * 1024 * 1024

/** An argument. */
export type Word = string | number | Buffer

export interface DataSessionOptions {
  readonly maxMemory?: number
  readonly protocol?: 2 | 3
}

/**
 * Commands on a real store and a real encoder, without a connection around them: time is virtual, and
 * large arguments arrive in pages as they do from a socket.
 */
export class DataSession {
  readonly clock = new VirtualClock()
  readonly stats = new Stats(shareStats([]))
  readonly store: Store
  db = 0
  /** Off: large arguments come as bytes, as those of forwarded commands do. */
  receivesPages = true
  'proto-max-bulk-len' = 512 * 1024 * 1024
  /** How often the reply area was emptied in the middle of a command. */
  flushes = 0
  /** Steps that long commands took. */
  steps = 0
  readonly #reply: Reply
  readonly #random = new SeededRandom(1)
  #sent: Buffer[] = []

  constructor(options: DataSessionOptions = {}) {
    this.store = new Store({ maxMemory: options.maxMemory ?? MAX_MEMORY, seed: 1, databases: 16 })
    this.#reply = new Reply({ overflow: (_reply, need) => this.#overflow(need) })
    this.#reply.protocol = options.protocol ?? 2
    this.#useArea()
  }

  /** Runs a command and gives its reply as it would stand on the wire, in latin1. */
  run(...words: readonly Word[]): string {
    return this.pipeline([words])
  }

  /** Runs commands one after the other with nothing sent in between, unless room is needed. */
  pipeline(commands: readonly (readonly Word[])[]): string {
    for (const words of commands) this.#run(words)
    this.#flush()
    const reply = Buffer.concat(this.#sent).toString('latin1')
    this.#sent = []
    return reply
  }

  #run(words: readonly Word[]): void {
    const args = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))))
    const row = rows.find(({ name }) => name === args[0]!.toString().toLowerCase())
    if (row === undefined) throw new Error(`no command ${args[0]!.toString()}`)
    const pages: Pages[] = []
    this.store.now = this.clock.now()
    const bigs = args.map(
      ({ length }, i) =>
        this.receivesPages && row.takesPages === true && length > BIG_BYTES_MIN && !isKey(row, i),
    )
    row.run(this.#client(this.#place(args, bigs, pages)))
    for (const each of pages) each.release()
    if (this.store.size(this.db) <= CHECKED_KEYS_MAX) checkInvariants(this.store)
  }

  /** The arguments, those marked as big in pages. */
  #place(args: readonly Buffer[], bigs: readonly boolean[], pages: Pages[]): Args {
    const short = args.filter((_arg, i) => !bigs[i])
    const bytes = new Uint8Array(Buffer.concat(short))
    const table = new Int32Array(2 * args.length)
    let pos = 0
    for (const [i, arg] of args.entries()) {
      if (bigs[i]) {
        table[2 * i] = -1 - pages.length
        table[2 * i + 1] = -1
        const big = this.store.pages()
        big.write(arg, 0, arg.length)
        pages.push(big)
      } else {
        table[2 * i] = pos
        table[2 * i + 1] = arg.length
        pos += arg.length
      }
    }
    const placed = new Args()
    placed.point(bytes, 0, table, args.length, pages)
    return placed
  }

  #client(args: Args): Client {
    const { clock, stats, store } = this
    const random = this.#random
    const config = { 'proto-max-bulk-len': this['proto-max-bulk-len'] }
    const client = {
      server: {
        copying: { enabled: false },
        ...{ world: { clock, random }, stats, config, notifier: null },
        tracking: { flushed: () => {} },
        routing: { hides: () => false, hidesAny: false, size: (db: number) => store.size(db) },
      },
      tracker: null,
      store,
      db: this.db,
      args,
      reply: this.#reply,
      flushReplies: () => this.#flush(),
      replyPages: (pages: Pages, from = 0, length = pages.length - from) => {
        this.#flush()
        this.#sent.push(Buffer.from(`$${length}\r\n`))
        this.#sent.push(pages.toBuffer().subarray(from, from + length), Buffer.from('\r\n'))
        pages.release()
      },
      queuedBytes: 0,
      inSteps: (step: () => boolean) => {
        do this.steps++
        while (!step())
      },
    }
    return client as unknown as Client
  }

  #useArea(): void {
    const { bytes, replies, replyBytes } = this.store.io
    this.#reply.use(bytes, replies[0]!, replies[0]! + replyBytes)
  }

  #overflow(need: number): void {
    this.#flush()
    if (need > this.store.io.replyBytes) this.#reply.use(new Uint8Array(need), 0, need, false)
  }

  #flush(): void {
    if (this.#reply.pos > this.#reply.start) {
      this.flushes++
      this.#sent.push(this.#reply.take())
    }
    this.#useArea()
  }
}

/** Is argument i a key of the command? Dispatch gives keys as bytes, however long they are. */
function isKey({ keys: [first, last, step] }: Command, i: number): boolean {
  return first > 0 && i >= first && (last < 0 || i <= last) && (i - first) % step === 0
}

/** A bulk string as it stands on the wire. */
export function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`
}
