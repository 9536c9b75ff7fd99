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
 * Nothing is told amid a reply, nor while one that is written may yet be taken back: a command over many
 * keys, and one that gives the old value, hold what they and the store tell to their end (`hold`,
 * `release`; `holding`).
 */
import type { Client } from './clients/client.ts'
import type { Databases } from './databases.ts'
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
  if (notifier === null || !notifier.hears(event)) return
  notifier.tell(event, db, client.args.buffer(i))
  client.keepPace()
}

/** Runs (a part of) a command that holds what is told until it has answered. */
export function holding(client: Client, run: (client: Client) => void): void {
  const { notifier } = client.server
  notifier?.hold()
  run(client)
  notifier?.release()
}

interface NotifierParts {
  readonly pubsub: PubSub
  readonly databases: Databases
}

/** Publishes events of keys; one each thread, while some are asked for. */
export class Notifier {
  readonly #pubsub: PubSub
  readonly #databases: Databases
  readonly #events: ReadonlySet<KeyEvent>
  readonly #byKey: boolean
  readonly #byEvent: boolean
  /** How many hold what is told. */
  #holds = 0
  #held: (() => void)[] = []

  private constructor(
    { pubsub, databases }: NotifierParts,
    given: string,
    events: ReadonlySet<KeyEvent>,
  ) {
    this.#pubsub = pubsub
    this.#databases = databases
    this.#events = events
    this.#byKey = given.includes('K')
    this.#byEvent = given.includes('E')
  }

  /** Null: these letters ask for nothing. */
  static of(given: string, parts: NotifierParts): Notifier | null {
    if (!/[KE]/.test(given)) return null
    const kinds = given.replace('A', () => lettersOfA)
    const events = (Object.keys(letters) as KeyEvent[]).filter((event) =>
      kinds.includes(letters[event]),
    )
    return events.length === 0 ? null : new Notifier(parts, given, new Set(events))
  }

  hears(event: KeyEvent): boolean {
    return this.#events.has(event)
  }

  /** Is the store to tell of what it removes? */
  get hearsRemovals(): boolean {
    return this.hears('expired') || this.hears('evicted')
  }

  /** Nobody may change `key` any more. `db`: the store's. */
  tell(event: KeyEvent, db: number, key: Buffer): void {
    if (!this.hears(event) || this.#pubsub.isQuiet) return
    const number = this.#databases.numberOf(db)
    // One that clients cannot choose.
    if (number < 0) return
    if (this.#holds === 0) this.#publish(event, number, key)
    else this.#held.push(() => this.#publish(event, number, key))
  }

  /** `number`: of the database, as clients call it. */
  #publish(event: KeyEvent, number: number, key: Buffer): void {
    const pubsub = this.#pubsub
    // A longer name would be none that somebody may have subscribed to.
    if (this.#byKey && key.length <= nameBytesMax) {
      const name = `__keyspace@${number}__:${key.toString('latin1')}`
      pubsub.publish(CHANNEL, name, Buffer.from(event))
    }
    if (this.#byEvent) pubsub.publish(CHANNEL, `__keyevent@${number}__:${event}`, key)
  }

  /** Keeps what it is told until as many `release`, which must come in the same turn. */
  hold(): void {
    this.#holds++
  }

  release(): void {
    if (--this.#holds > 0) return
    for (const publish of this.#held.splice(0)) publish()
  }
}
