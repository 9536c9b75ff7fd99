/*
 * Callers who share a connection, each with one GET at a time.
 *
 * By Little's law they get callers / latency answers a second, whatever the server does: a hundred
 * callers of a server that could answer 35,000 a second have latencies of 3 ms where nothing misses,
 * and if the wait for a miss adds 5 ms to nearly each of them, since in a hundred requests there is
 * nearly always a miss, they get 100 / 8 ms. A thousand callers have 28 ms without, and 33 with it.
 */
export interface Asked {
  get(key: string): Promise<string | null>
}

export interface Measured {
  readonly client: Asked
  readonly callers: number
  /** They are there. */
  readonly keys: readonly string[]
  /** One GET in so many is of a key that is not; Infinity: none. */
  readonly missEvery: number
  /** Another one each time. */
  readonly missingKey: () => string
  readonly ms: number
}

export interface Figures {
  readonly asked: number
  readonly hitsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly misses: number
  /** Of these, those that got a value. */
  readonly missesAnswered: number
}

/** Rejects if a key that is there has no value. */
export async function measure(how: Measured): Promise<Figures> {
  const { client, keys, missEvery, ms } = how
  const times: number[] = []
  let asked = 0
  let misses = 0
  let missesAnswered = 0
  const begin = performance.now()
  const end = begin + ms
  const call = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      if (++asked % missEvery === 0) {
        misses++
        if ((await client.get(how.missingKey())) !== null) missesAnswered++
        now = performance.now()
        continue
      }
      const value = await client.get(keys[asked % keys.length]!)
      if (value === null) throw new Error('a key that was set is missing')
      const before = now
      now = performance.now()
      times.push(now - before)
    }
  }
  await Promise.all(Array.from({ length: how.callers }, call))
  const seconds = (performance.now() - begin) / 1000
  times.sort((a, b) => a - b)
  return {
    hitsPerSecond: times.length / seconds,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    misses,
    missesAnswered,
    asked,
  }
}

/** Of sorted numbers. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

export function median(numbers: readonly number[]): number {
  return quantile(
    [...numbers].sort((a, b) => a - b),
    0.5,
  )
}
