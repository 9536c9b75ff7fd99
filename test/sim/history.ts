/*
 * What clients did and heard, key by key, for the invariants to judge. Every value names its key and
 * is written once only, so that a value that is read tells which write it came from.
 */

/** A command that changes a key, as its client saw it. Moments in virtual ms. */
export interface Write {
  readonly key: string
  readonly kind: 'set' | 'del' | 'expire' | 'setnx'
  /** What the key has afterwards; null: nothing. */
  readonly value: string | null
  readonly node: string
  readonly start: number
  /** Infinity: its outcome is not known, so it may be run at any time. */
  end: number
  /** It was answered, and has done what it was to do. */
  acked: boolean
  /** When its effect is there, at the latest: later than `end` for EXPIRE. */
  effectAt: number
  /** Of a DEL of a group's key: the origin's version when it began. */
  readonly version: number
}

export interface Read {
  readonly key: string
  readonly node: string
  readonly start: number
  readonly end: number
  /** Null: there is none. */
  readonly value: string | null
  /** The node that was asked owned the key then. */
  readonly atOwner: boolean
}

/** INCRBY of a power of four, once per digit, so that what was counted twice shows. */
export interface Count {
  readonly key: string
  readonly digit: number
  readonly start: number
  end: number
  acked: boolean
}

/** One command of a client, whatever it was. */
export interface Step {
  readonly client: string
  readonly node: string
  readonly words: string
  readonly start: number
  end: number
  /** 'open' until it ends. */
  outcome: 'open' | 'value' | 'error' | 'lost'
  /** The error line. */
  line: string
  /** Within which time it must end. */
  readonly limitMs: number
  /** For how long its node had been one of too few to write (minority.ts). */
  readonly aloneMs: number
}

export interface Disturbance {
  readonly kind: 'cut' | 'freeze' | 'crash' | 'leave' | 'join' | 'stall'
  /** Those whose link was cut or stalled, or the one it befell. */
  readonly nodes: readonly string[]
  readonly start: number
  end: number
  readonly text: string
  /** Of a cut: between two nodes only, which others hear both. */
  readonly isOneLink?: boolean
}

export class History {
  readonly writes = new Map<string, Write[]>()
  readonly reads = new Map<string, Read[]>()
  readonly counts = new Map<string, Count[]>()
  /** GETs of counters and answers of INCRBY, as digits; -1: no digit was just written. */
  readonly sums: { key: string; value: bigint; own: number; start: number; end: number }[] = []
  readonly steps: Step[] = []
  readonly disturbances: Disturbance[] = []

  addWrite(write: Write): Write {
    addTo(this.writes, write)
    return write
  }

  addRead(read: Read): void {
    addTo(this.reads, read)
  }

  addCount(count: Count): Count {
    addTo(this.counts, count)
    return count
  }

  /** Was it the only one for so long before and after? */
  isAlone(one: Disturbance, marginMs: number): boolean {
    return this.disturbances.every(
      (other) =>
        other === one || other.start > one.end + marginMs || other.end + marginMs < one.start,
    )
  }
}

function addTo<T extends { readonly key: string }>(map: Map<string, T[]>, item: T): void {
  const list = map.get(item.key)
  if (list === undefined) map.set(item.key, [item])
  else list.push(item)
}
