/*
 * What happened, as a hash over all of it, and its last lines for people. Two runs with the same hash
 * have sent the same bytes at the same moments.
 */
const FNV_PRIME = 0x01000193

/** Lines that are shown of a run that failed. */
const LINES_MAX = 40

export class Trace {
  #low = 0x811c9dc5 | 0
  #high = 0x5bd1e995 | 0
  readonly #now: () => number
  readonly #startMs: number
  readonly #lines: { readonly at: number; readonly text: string }[] = []
  /** Each event is told as it happens. */
  readonly #tell: ((line: string) => void) | null

  constructor(now: () => number, tell: ((line: string) => void) | null) {
    this.#now = now
    this.#startMs = now()
    this.#tell = tell
  }

  /** Bytes that arrived. */
  bytes(from: string, to: string, bytes: Uint8Array): void {
    this.#time()
    for (let i = 0; i < bytes.length; i++) this.#add(bytes[i]!)
    if (this.#tell !== null) {
      const text = Buffer.from(bytes).toString('latin1')
      // Signs of life would be most of it.
      if (!/PING|^:\d+\r\n\+PONG/.test(text)) this.line(`${from} > ${to} ${JSON.stringify(text)}`)
    }
  }

  note(what: string, from: string, to: string, number: number): void {
    this.#time()
    this.#add(number)
    for (let i = 0; i < what.length; i++) this.#add(what.charCodeAt(i))
    if (this.#tell !== null) this.line(`${from} > ${to} ${what} ${number}`)
  }

  /** What people want to see: what clients asked and heard, faults, loads. */
  say(line: string): void {
    this.#time()
    for (let i = 0; i < line.length; i++) this.#add(line.charCodeAt(i))
    this.line(line)
  }

  /** For people only. */
  line(text: string): void {
    const line = { at: this.#now(), text }
    this.#tell?.(this.#format(line))
    this.#lines.push(line)
  }

  /** The last lines up to a moment that a person wants to see: faults, and what a text stands in. */
  until(at: number, about: string): string[] {
    const wanted = this.#lines.filter((line) => {
      return line.at <= at && (line.text.startsWith('*** ') || line.text.includes(about))
    })
    return wanted.slice(-LINES_MAX).map((line) => this.#format(line))
  }

  #format({ at, text }: { at: number; text: string }): string {
    return `${((at - this.#startMs) / 1000).toFixed(4)} ${text}`
  }

  get hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')
    return hex(this.#high) + hex(this.#low)
  }

  #time(): void {
    const micros = Math.round((this.#now() - this.#startMs) * 1000)
    this.#add(micros)
    this.#add(micros >>> 16)
  }

  #add(word: number): void {
    this.#low = Math.imul(this.#low ^ word, FNV_PRIME)
    this.#high = Math.imul(this.#high ^ (word + (this.#low >>> 15)), FNV_PRIME)
  }
}
