import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { SeededRandom } from '../sim/random.ts'

/** Keys in the order of access. */
export type Trace = readonly number[]

/** A trace file, gzipped or plain: one access a line, the key as a small number. */
export function readTrace(path: string, accessesMax: number): Trace {
  const file = readFileSync(path)
  const isGzip = file[0] === 0x1f && file[1] === 0x8b
  const text = (isGzip ? gunzipSync(file) : file).toString('latin1')
  const trace: number[] = []
  for (let at = 0; at < text.length && trace.length < accessesMax;) {
    const end = text.indexOf('\n', at)
    const line = text.slice(at, end < 0 ? text.length : end)
    if (line !== '') trace.push(Number(line))
    at = end < 0 ? text.length : end + 1
  }
  return trace
}

/**
 * A made-up trace for where no real one lies: popularity falls with the square root of the rank,
 * so that some keys are hot and most are seen a few times.
 */
function sampleTrace(accesses: number, keys: number, seed: number): Trace {
  const random = new SeededRandom(seed)
  const trace: number[] = []
  for (let i = 0; i < accesses; i++) {
    const share = random.uint32() / 2 ** 32
    trace.push(Math.floor(keys * share * share))
  }
  return trace
}

/** The trace at `path`, or the sample when there is none. */
export function traceOrSample(path: string | undefined, accessesMax: number): Trace {
  if (path !== undefined && existsSync(path)) return readTrace(path, accessesMax)
  return sampleTrace(Math.min(accessesMax, 200_000), 40_000, 1)
}
