/**
 * Which commands may run now. While the snapshot is read at the start nearly all are refused
 * (LOADING), after a failed save writes are (MISCONF), and while too few nodes of the cluster are there
 * (CLUSTERDOWN); during a pause clients' commands are held (server/clients/pauses.ts), a node of a cluster that
 * may have been down for others holds those for keys (server/cluster/owned-slots.ts), and while the last snapshot is
 * written none runs: then requests wait.
 *
 * The state lies in words that all threads share. One of them, the hub, writes it; dispatch looks at
 * it before each command, which costs a plain read.
 */
import { ERR_CLUSTER_READS_ONLY, ERR_LOADING, ERR_MISCONF } from '../protocol/errors.ts'
import { type CommandEntry, flagBits } from './command.ts'

/** The words, as index of an Int32Array. */
const word = {
  ...{ loading: 0, deniesWrites: 1, restricts: 2, frozen: 3, paused: 4 },
  ...{ minority: 5, doubts: 6, settled: 7, forgets: 8 },
} as const

/** Which commands of clients a pause holds: none, those that write, all. */
export type PauseMode = 'none' | 'write' | 'all'
const pauseModes: readonly PauseMode[] = ['none', 'write', 'all']

/** The part of an entry of the command table on which a refusal depends. */
type Asked = Pick<CommandEntry, 'flags' | 'fullName'>

export class Gate {
  /** For the Gate of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(shared = new SharedArrayBuffer(Object.keys(word).length * 4)) {
    this.shared = shared
    this.#words = new Int32Array(shared)
  }

  /** Are some commands refused or held now? Then `refusalOf` and `holds` tell which. */
  get restricts(): boolean {
    return this.#words[word.restricts] !== 0
  }

  /** The line with which a command is refused now, null: it is not. */
  refusalOf({ flags, fullName }: Asked): string | null {
    const words = this.#words
    if (words[word.loading] !== 0) return (flags & flagBits.loading) === 0 ? ERR_LOADING : null
    const writes = (flags & flagBits.write) !== 0
    if (words[word.minority] !== 0 && writes) return ERR_CLUSTER_READS_ONLY
    if (words[word.deniesWrites] === 0) return null
    return writes || fullName === 'ping' ? ERR_MISCONF : null
  }

  restrict(state: { readonly loading: boolean; readonly deniesWrites: boolean }): void {
    const words = this.#words
    Atomics.store(words, word.loading, state.loading ? 1 : 0)
    Atomics.store(words, word.deniesWrites, state.deniesWrites ? 1 : 0)
    this.#settle()
  }

  /** During a pause: is this command to wait for its end, if it is a client's? */
  holds({ flags, fullName }: Asked): boolean {
    const mode = pauseModes[this.#words[word.paused]!]
    if (mode !== 'write') return mode === 'all'
    // Redis: those that write, and those that replicas would hear of.
    return (flags & flagBits.write) !== 0 || fullName === 'publish' || fullName === 'spublish'
  }

  pause(mode: PauseMode): void {
    Atomics.store(this.#words, word.paused, pauseModes.indexOf(mode))
    this.#settle()
  }

  /** Fewer nodes of the cluster are there than are to be for a write. */
  get minority(): boolean {
    return this.#words[word.minority] !== 0
  }

  set minority(minority: boolean) {
    Atomics.store(this.#words, word.minority, minority ? 1 : 0)
    this.#settle()
  }

  #settle(): void {
    const words = this.#words
    const { deniesWrites, forgets, loading, minority, paused } = word
    const states = [loading, deniesWrites, paused, minority, forgets]
    const restricts = this.isInDoubt || states.some((i) => words[i] !== 0)
    Atomics.store(words, word.restricts, restricts ? 1 : 0)
    // Another thread may have begun a doubt in between.
    if (!restricts && this.isInDoubt) Atomics.store(words, word.restricts, 1)
  }

  /* ---- doubts of a node of a cluster ---- */

  /** Are commands for keys to wait? */
  get doubtsKeys(): boolean {
    return this.isInDoubt || this.#words[word.forgets] !== 0
  }

  /** Is it to be found out whether others missed this node? */
  get isInDoubt(): boolean {
    return this.#words[word.doubts] !== this.#words[word.settled]
  }

  /** Any thread may say so. Returns the number of the doubt. */
  beginDoubt(): number {
    const number = Atomics.add(this.#words, word.doubts, 1) + 1
    Atomics.store(this.#words, word.restricts, 1)
    return number
  }

  /** The doubts up to this one are settled. */
  endDoubt(number: number): void {
    Atomics.store(this.#words, word.settled, number)
    this.#settle()
  }

  /** Must something be forgotten before any key is answered for? */
  set forgets(forgets: boolean) {
    Atomics.store(this.#words, word.forgets, forgets ? 1 : 0)
    this.#settle()
  }

  /** No command runs: the last snapshot is being written. */
  get frozen(): boolean {
    return this.#words[word.frozen] !== 0
  }

  set frozen(frozen: boolean) {
    Atomics.store(this.#words, word.frozen, frozen ? 1 : 0)
  }
}
