/** What a client watches, on the node that it speaks to. */
import type { Args } from '../../protocol/args.ts'
import { type Store, type Watch, WATCHED } from '../store/store.ts'

/** Each key costs some memory, for as long as the client likes. */
export const WATCHES_MAX = 65_536
/** Their names together. */
const BYTES_MAX = 16 * 1024 * 1024

export class WatchedKeys {
  readonly #store: Store
  /** By database and key. */
  readonly #watches = new Map<string, Watch>()
  #bytes = 0

  constructor(store: Store) {
    this.#store = store
  }

  get count(): number {
    return this.#watches.size
  }

  /** Of their names. */
  get bytes(): number {
    return this.#bytes
  }

  /** Watches the keys that the arguments from `first` on are. False: they would be too many. */
  add(db: number, args: Args, first: number): boolean {
    let bytes = this.#bytes
    for (let i = first; i < args.count; i++) bytes += args.length(i)
    if (this.count + args.count - first > WATCHES_MAX || bytes > BYTES_MAX) return false
    for (let i = first; i < args.count; i++) {
      const name = `${db}:${args.text(i)}`
      if (this.#watches.has(name)) continue
      this.#bytes += args.length(i)
      const watch = this.#store.watch(WATCHED, db, args.bytes, args.pos(i), args.length(i))
      this.#watches.set(name, watch)
    }
    return true
  }

  /** Two databases have been exchanged: what was in the one is another one's, so all there has changed. */
  exchange(one: number, two: number): void {
    this.#spoil((watch) => watch.db === one || watch.db === two)
  }

  /** Any of them may have changed where this node did not see it. */
  spoil(): void {
    this.#spoil(() => true)
  }

  #spoil(isMeant: (watch: Watch) => boolean): void {
    for (const [name, watch] of this.#watches) {
      if (isMeant(watch)) this.#watches.set(name, { ...watch, count: NaN })
    }
  }

  /** Was one of them written? As far as can be told without locks, for who only shows it. */
  get areTouched(): boolean {
    for (const watch of this.#watches.values()) if (this.#store.wasTouched(watch)) return true
    return false
  }

  /** All of them, which are watched no more: the caller's to end. */
  take(): readonly Watch[] {
    const watches = [...this.#watches.values()]
    this.#watches.clear()
    this.#bytes = 0
    return watches
  }

  /** Watches nothing any more. */
  end(): void {
    for (const watch of this.take()) this.#store.unwatch(watch)
  }
}
