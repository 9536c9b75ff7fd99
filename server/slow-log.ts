/**
 * SLOWLOG: the last commands that took longer than `slowlog-log-slower-than`, newest first. What an
 * entry keeps of its arguments is bounded, so that a log of slow commands with huge values stays
 * small. As in Redis.
 */
import type { Args } from '../protocol/args.ts'

/** Arguments an entry shows, and the bytes of each. */
const argsMax = 32
const argBytesMax = 128
/** What stands for an argument that nobody should read in a log. */
export const REDACTED = Buffer.from('(redacted)')

/** A slow command. It may be posted from thread to thread. */
export interface SlowCommand {
  /** When it had run: seconds since 1970. */
  readonly seconds: number
  readonly micros: number
  readonly args: readonly Uint8Array[]
  /** 'host:port' */
  readonly address: string
  /** CLIENT SETNAME's, '' where there is none. */
  readonly clientName: string
}

export interface SlowEntry extends SlowCommand {
  /** Counts up from 0, and is not set back by `reset`. */
  readonly id: number
}

export class SlowLog {
  /** Oldest first. */
  #entries: SlowEntry[] = []
  #nextId = 0
  readonly #entriesMax: () => number

  /** `entriesMax` is read at each entry. */
  constructor(entriesMax: () => number) {
    this.#entriesMax = entriesMax
  }

  get length(): number {
    return this.#entries.length
  }

  add(command: SlowCommand): void {
    this.#entries.push({ ...command, id: this.#nextId++ })
    const surplus = this.#entries.length - this.#entriesMax()
    if (surplus > 0) this.#entries.splice(0, surplus)
  }

  /** So many came of which nothing is known: their ids are used up. */
  skip(count: number): void {
    this.#nextId += count
  }

  /** Up to `count` entries, newest first. */
  newest(count: number): readonly SlowEntry[] {
    return this.#entries.slice(Math.max(0, this.#entries.length - count)).reverse()
  }

  reset(): void {
    this.#entries = []
  }
}

/**
 * What a log shows of arguments: the first 32, or 31 and how many more there are, of each the first
 * 128 bytes, and none of those at the indices `secrets`.
 */
export function shownArgs(args: Args, secrets: readonly number[]): Uint8Array[] {
  const shown: Uint8Array[] = []
  const whole = args.count <= argsMax ? args.count : argsMax - 1
  for (let i = 0; i < whole; i++) shown.push(secrets.includes(i) ? REDACTED : shownArg(args, i))
  if (whole < args.count) shown.push(Buffer.from(`... (${args.count - whole} more arguments)`))
  return shown
}

function shownArg(args: Args, i: number): Uint8Array {
  const length = args.length(i)
  const end = length > argBytesMax ? Buffer.from(`... (${length - argBytesMax} more bytes)`) : ''
  const begin = args.head(i, argBytesMax)
  return end === '' ? begin : Buffer.concat([begin, end])
}
