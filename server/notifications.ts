/*
 * Keyspace notifications: what happens to keys is published, as in Redis, when the operator asks for
 * it with `notify-keyspace-events`.
 *
 *     SET news hello   ──>  __keyspace@0__:news   'set'      (K)
 *                           __keyevent@0__:set    'news'     (E)
 *
 * A command tells of what it did with one line, after it did it and when no record of the store is
 * open: `notify(client, 'set', 1)`, argument 1 being the key. It costs one comparison while nobody
 * asked. Keys that expire or are evicted are told of by the store (`Store.listen`), on whichever thread
 * its verb made them end.
 *
 * Nothing is told amid a reply of several parts: a command over many keys holds what it tells until it
 * has answered all of them (`hold`, `release`).
 */
import type { Client } from './client.ts'
import { CHANNEL, nameBytesMax, type PubSub } from './pubsub.ts'

/** Every event there is, and the letter of its kind in `notify-keyspace-events`. */
const letters = {
  set: '$',
  setrange: '$',
  append: '$',
  incrby: '$',
  incrbyfloat: '$',
  setbit: '$',
  del: 'g',
  expire: 'g',
  persist: 'g',
  copy_to: 'g',
  rename_from: 'g',
  rename_to: 'g',
  move_from: 'g',
  move_to: 'g',
  restore: 'g',
  expired: 'x',
  evicted: 'e',
  new: 'n',
  keymiss: 'm',
} as const

export type KeyEvent = keyof typeof letters

/** The letters that A stands for, as far as there are events for them. */
const lettersOfA = 'g$xe'


/**
 * Tells of an event of the key that argument `i` is, in the client's database unless said. To be called
 * when the change is done and the record is closed, before the reply is begun or after it is written.
 */
export function notify(client: Client, event: KeyEvent, i: number, db = client.db): void {
  const { notifier } = client.server
  if (notifier !== null && notifier.hears(event)) notifier.tell(event, db, client.args.buffer(i))
}

/** Publishes events of keys; one each thread, while some are asked for. */
export class Notifier {
  readonly #pubsub: PubSub
  readonly #events: ReadonlySet<KeyEvent>
  readonly #byKey: boolean
  readonly #byEvent: boolean
  #holds = false
  #held: (() => void)[] = []

  private constructor(pubsub: PubSub, given: string, events: ReadonlySet<KeyEvent>) {
    this.#pubsub = pubsub
    this.#events = events
    this.#byKey = given.includes('K')
    this.#byEvent = given.includes('E')
  }

  /** Null: these letters ask for nothing. */
  static of(given: string, pubsub: PubSub): Notifier | null {
    if (!/[KE]/.test(given)) return null
    const kinds = given.replace('A', () => lettersOfA)
    const events = (Object.keys(letters) as KeyEvent[]).filter((event) =>
      kinds.includes(letters[event]),
    )
    return events.length === 0 ? null : new Notifier(pubsub, given, new Set(events))
  }

  hears(event: KeyEvent): boolean {
    return this.#events.has(event)
  }

  /** Is the store to tell of what it removes? */
  get hearsRemovals(): boolean {
    return this.hears('expired') || this.hears('evicted')
  }

  /** Nobody may change `key` any more. */
  tell(event: KeyEvent, db: number, key: Buffer): void {
    if (!this.hears(event) || this.#pubsub.isQuiet) return
    if (!this.#holds) this.#publish(event, db, key)
    else this.#held.push(() => this.#publish(event, db, key))
  }

  #publish(event: KeyEvent, db: number, key: Buffer): void {
    const pubsub = this.#pubsub
    // A longer name would be none that somebody may have subscribed to.
    if (this.#byKey && key.length <= nameBytesMax) {
      const name = `__keyspace@${db}__:${key.toString('latin1')}`
      pubsub.publish(CHANNEL, name, Buffer.from(event))
    }
    if (this.#byEvent) pubsub.publish(CHANNEL, `__keyevent@${db}__:${event}`, key)
  }

  /** Keeps what it is told until `release`, which must come in the same turn. */
  hold(): void {
    this.#holds = true
  }

  release(): void {
    this.#holds = false
    for (const publish of this.#held.splice(0)) publish()
  }
}
