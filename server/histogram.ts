/*
 * How long the runs of a command took: counts by logarithmic buckets, as HdrHistogram's (and so as
 * Redis's) with two significant digits from 1 ns to 1 s.
 *
 *     below 256 ns a bucket a nanosecond; from there on 128 buckets for each doubling:
 *     256..511 by 2 ns, 512..1,023 by 4 ns, ... 2^29..2^30 by 4 ms
 *
 * So a bucket is less than 1 % wide, two histograms are merged by adding cell to cell, and a
 * percentile is found by one walk. A histogram is a range of cells in somebody else's array: those
 * of all commands and threads lie in one, see stats.ts. The buckets are the same as those of
 * redis-server's `hdr_init(1, 1000000000, 2)`, so the figures can be compared with a real one.
 *
 * http://hdrhistogram.org, hdr_histogram.c
 */

/** Cells of one histogram. */
export const histogramCells = 24 * 128

/** Longer runs count as so long. As in Redis. */
const nanosMax = 1_000_000_000

/** The cell of a run that took so many nanoseconds (0 <= nanos < 2^31; a fraction is cut off). */
export function cellOf(nanos: number): number {
  const n = nanos >= nanosMax ? nanosMax : nanos < 1 ? 1 : nanos | 0
  const shift = 24 - Math.clz32(n | 255)
  return (shift << 7) + (n >>> shift)
}

/** The longest time, in nanoseconds, that counts in the same cell as this one. */
function highestLike(nanos: number): number {
  const shift = 24 - Math.clz32(nanos | 255)
  return ((nanos >>> shift) + 1) * 2 ** shift - 1
}

/** The shortest time that counts in this cell. */
function lowestOf(cell: number): number {
  const shift = Math.max(0, (cell >> 7) - 1)
  return (cell - (shift << 7)) * 2 ** shift
}

/** Nanoseconds within which `percent` of the runs were done; 0 where there are none. */
export function percentile(counts: Float64Array, percent: number): number {
  const total = sum(counts)
  if (total === 0) return 0
  const wanted = Math.max(1, Math.floor((percent / 100) * total + 0.5))
  let seen = 0
  for (let cell = 0; cell < histogramCells; cell++) {
    seen += counts[cell]!
    if (seen >= wanted) return percent === 0 ? lowestOf(cell) : highestLike(lowestOf(cell))
  }
  return highestLike(nanosMax)
}

/** A step of `steps`. */
export interface HistogramStep {
  readonly micros: number
  /** Runs that took so long or less. */
  readonly runs: number
}

/** The first step, in nanoseconds; each further one is twice the one before. As in Redis. */
const firstStep = 1024

/** How many runs took 1, 2, 4 ... microseconds or less; steps at which none is added are left out. */
export function steps(counts: Float64Array): HistogramStep[] {
  const total = sum(counts)
  const found: HistogramStep[] = []
  let cell = 0
  let seen = 0
  for (let nanos = firstStep; seen < total; nanos *= 2) {
    const before = seen
    for (const end = Math.min(cellOf(nanos) + 1, histogramCells); cell < end; cell++) {
      seen += counts[cell]!
    }
    if (seen > before) found.push({ micros: Math.floor(highestLike(nanos) / 1000), runs: seen })
  }
  return found
}

/** All runs of a histogram. */
export function sum(counts: Float64Array): number {
  return counts.reduce((total, count) => total + count, 0)
}
