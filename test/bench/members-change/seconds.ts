/** What a load has seen, by slices of time: who was answered how, and how often the origin was asked. */

/** Of one slice. */
export interface Slice {
  requests: number
  /** Requests that asked the origin. */
  loads: number
  errors: number
  /** Answers with something else than the key's value. */
  wrong: number
  slowestMs: number
}

export interface Happening {
  readonly label: string
  /** Since the beginning. */
  readonly ms: number
}

export class Seconds {
  readonly sliceMs: number
  readonly slices: Slice[] = []
  readonly happenings: Happening[] = []
  readonly #now: () => number
  readonly #beganAt: number

  constructor(sliceMs: number, now: () => number) {
    this.sliceMs = sliceMs
    this.#now = now
    this.#beganAt = now()
  }

  get ms(): number {
    return this.#now() - this.#beganAt
  }

  /** The slice in which something happens now. */
  get slice(): Slice {
    const at = Math.floor(this.ms / this.sliceMs)
    while (this.slices.length <= at) {
      this.slices.push({ requests: 0, loads: 0, errors: 0, wrong: 0, slowestMs: 0 })
    }
    return this.slices[at]!
  }

  happens(label: string): void {
    this.happenings.push({ label, ms: this.ms })
  }

  /** Slices from so many milliseconds on, up to others; one that both are in belongs to what comes later. */
  between(fromMs: number, toMs: number): readonly Slice[] {
    return this.slices.slice(Math.floor(fromMs / this.sliceMs), Math.floor(toMs / this.sliceMs))
  }
}

/** In percent, of all requests of these slices; NaN: there were none. */
export function hitRatioOf(slices: readonly Slice[]): number {
  const requests = sumOf(slices, 'requests')
  return 100 * (1 - sumOf(slices, 'loads') / requests)
}

export function sumOf(slices: readonly Slice[], field: keyof Slice): number {
  return slices.reduce((sum, slice) => sum + slice[field], 0)
}
