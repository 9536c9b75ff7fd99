import type { Landing } from '../../cluster/loads/loads.ts'
import type { Clock } from '../../cluster/world.ts'
import { textOf } from '../../protocol/args.ts'
import { cellOf, histogramCells } from '../histogram.ts'

/** Keys whose last load is remembered; the oldest goes. */
const KEYS_MAX = 4096
/** Of a longer key nothing is remembered. */
const KEY_BYTES_MAX = 1024

/** The same note on a group is logged so often. */
const NOTE_MS = 60_000

/** How a key's last load ended. */
export interface LastLoad {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly tookMs: number
  /** 'value', 'unchanged', 'missing', or the kind of error. */
  readonly outcome: string
}

/** How loads ended: times by group, and the last one of each key that was loaded lately. */
export class Landings {
  readonly #clock: Clock
  /** By the group's name: nanoseconds at the origin, in the cells of histogram.ts. */
  readonly #histograms = new Map<string, Float64Array>()
  /** By database and key in latin1, the oldest first. */
  readonly #last = new Map<string, LastLoad>()

  /** By the group's name: why a value of it was not kept, and when that was said. */
  readonly #notes = new Map<string, { readonly note: string; readonly at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  hear({ miss, outcome, error, tookMs }: Landing): void {
    // Where the breaker is open nobody is asked, which takes no time.
    if (error?.kind !== 'breaker') this.#histogramOf(miss.group.name)[cellOf(tookMs * 1e6)]!++
    if (miss.key.length > KEY_BYTES_MAX) return
    const name = nameOf(miss.db, miss.key)
    this.#last.delete(name)
    this.#last.set(name, { at: this.#clock.wall(), tookMs, outcome: error?.kind ?? outcome })
    if (this.#last.size > KEYS_MAX) {
      for (const oldest of this.#last.keys()) {
        this.#last.delete(oldest)
        break
      }
    }
  }

  /** Was this not said of the group within the last minute? */
  isNew(note: string, group: string): boolean {
    const now = this.#clock.now()
    const before = this.#notes.get(group)
    if (before !== undefined && before.note === note && now - before.at < NOTE_MS) return false
    this.#notes.set(group, { note, at: now })
    return true
  }

  /** Of a group's loads; see histogram.ts. */
  times(group: string): Float64Array {
    return this.#histogramOf(group)
  }

  lastOf(db: number, key: Uint8Array): LastLoad | null {
    return this.#last.get(nameOf(db, key)) ?? null
  }

  #histogramOf(group: string): Float64Array {
    let counts = this.#histograms.get(group)
    if (counts === undefined) {
      counts = new Float64Array(histogramCells)
      this.#histograms.set(group, counts)
    }
    return counts
  }
}

function nameOf(db: number, key: Uint8Array): string {
  return `${db} ${textOf(key)}`
}
