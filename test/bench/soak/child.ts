/* One scenario against a store in a process of its own: `child.js OPTIONS`, the options as JSON. */
import { OUT_OF_MEMORY, Store } from '../../../server/store/store.ts'
import { SeededRandom } from '../../sim/random.ts'
import { peakRssOf, type SoakFigures, type SoakOptions } from './figures.ts'
import { type Operation, SCENARIOS, VALUE_BYTES_MAX } from './scenarios.ts'

const KEY_BYTES = 16

/** How often expired entries are swept, and how many slots one sweep looks at: a server does more. */
const SWEEP_MS = 100
const SWEEP_SLOTS = 20_000

const SCAN_SLOTS = 10_000

/** How often the clock is read. */
const OPERATIONS_PER_TURN = 64

/** The process before: it wrote ten times as much to a store of this size. */
const SMALL_MEMORY = 4 * 2 ** 20

class Soak {
  readonly store: Store
  /** A key, and behind it a value as long as any. */
  readonly #record: Uint8Array
  readonly #sink: { reserve(length: number): number }
  written = 0
  refused = 0
  leastNotDead = 1

  constructor(maxMemory: number, record: Uint8Array) {
    this.store = new Store({ maxMemory, seed: 1 })
    this.#record = record
    const at = this.store.io.replies[0]!
    this.#sink = { reserve: () => at }
  }

  run(next: () => Operation, bytes: number): void {
    const start = performance.now()
    let swept = 0
    let looked = 0
    while (this.written < bytes) {
      const now = Math.floor(performance.now() - start)
      this.store.now = now
      if (now - swept >= SWEEP_MS) {
        this.store.sweep(SWEEP_SLOTS)
        swept = now
      }
      for (let i = 0; i < OPERATIONS_PER_TURN; i++) this.#step(next())
      // Once it was filled, a hundred times.
      if (this.written - looked < bytes / 100) continue
      looked = this.written
      if (this.written > bytes / 5) this.#look()
    }
  }

  #step({ verb, key, bytes, ttlMs }: Operation): void {
    const record = this.#record
    for (let at = KEY_BYTES - 1, rest = key; at >= 0; at--) {
      record[at] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    if (verb === 'get') {
      this.store.get(0, record, 0, KEY_BYTES, this.#sink)
    } else if (verb === 'delete') {
      this.store.delete(0, record, 0, KEY_BYTES)
    } else {
      const expireAt = ttlMs === 0 ? 0 : this.store.now + ttlMs
      const result = this.store.set(0, record, 0, KEY_BYTES, KEY_BYTES, bytes, expireAt)
      if (result === OUT_OF_MEMORY) this.refused++
      this.written += KEY_BYTES + bytes
    }
  }

  #look(): void {
    const { usedBytes, deadBytes, paddingBytes } = this.store.stats
    this.leastNotDead = Math.min(this.leastNotDead, 1 - (deadBytes + paddingBytes) / usedBytes)
  }

  /** Bytes that the entries occupy, asked for one by one. */
  occupied(): number {
    const { store } = this
    let bytes = 0
    let cursor = 0
    do {
      const keys: Buffer[] = []
      cursor = store.scan(0, cursor, SCAN_SLOTS, (from, pos, length) => {
        keys.push(Buffer.from(from.subarray(pos, pos + length)))
      })
      for (const key of keys) {
        if (store.peek(0, key, 0, key.length)) bytes += store.occupiedBytes
        store.close()
      }
    } while (cursor !== 0)
    return bytes
  }
}

function main(options: SoakOptions): SoakFigures {
  const scenario = SCENARIOS.find(({ name }) => name === options.scenario)!
  const record = new Uint8Array(KEY_BYTES + VALUE_BYTES_MAX).fill(0x78)
  const collect = (globalThis as { gc?: () => void }).gc!
  const small = new Soak(SMALL_MEMORY, record)
  small.run(scenario.operations(SMALL_MEMORY, new SeededRandom(1)), 10 * SMALL_MEMORY)
  collect()
  const baseline = process.memoryUsage.rss() - small.store.stats.touchedBytes
  const soak = new Soak(options.maxMemory, record)
  soak.run(scenario.operations(options.maxMemory, new SeededRandom(2)), options.bytes)
  const { entries, usedBytes, evicted } = soak.store.stats
  return {
    baseline,
    peakRss: peakRssOf(process.pid) - small.store.stats.touchedBytes,
    entries,
    usedBytes,
    evicted,
    refused: soak.refused,
    live: { notDead: soak.leastNotDead, ofEntries: soak.occupied() / usedBytes },
  }
}

process.stdout.write(JSON.stringify(main(JSON.parse(process.argv[2]!) as SoakOptions)))
