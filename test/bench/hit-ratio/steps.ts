/*
 * From S3-FIFO to S3A step by step, each step on top of those before it, and a few variants of the
 * last: what each is worth on a trace, and what it copies. Simulated and unsharded.
 */
import type { Trace } from '../../replay/trace.ts'
import { hitRatio } from '../policies/policy.ts'
import { S3, s3a, s3Fifo, type S3Options } from '../policies/s3.ts'

interface Step {
  readonly name: string
  readonly options: S3Options
}

const window: S3Options = { ...s3Fifo, smallWindow: s3a.smallWindow }
const filled: S3Options = { ...window, fill: 'leave' }
const remembering: S3Options = { ...filled, ghost: { factor: 2 } }
const aged: S3Options = { ...remembering, lookback: 1 }
const twoBytes = { factor: 2, tagBits: 10, stampBits: 6, unitsPerCapacity: 8 }

const STEPS: readonly Step[] = [
  { name: 'S3-FIFO', options: s3Fifo },
  { name: '+ window of small', options: window },
  { name: '+ main is filled', options: filled },
  { name: '+ ghosts 2x', options: remembering },
  { name: '+ age rule', options: aged },
  { name: '+ window of main', options: { ...aged, mainWindow: s3a.mainWindow } },
  { name: '+ ghosts of 3 bytes (S3A)', options: s3a },
  { name: 'S3A, ghosts of 2 bytes', options: { ...s3a, ghost: twoBytes } },
  { name: 'S3A, ghosts 1x', options: { ...s3a, ghost: { ...twoBytes, factor: 1 } } },
  { name: 'S3A, new keys fill main', options: { ...s3a, fill: 'direct' } },
  { name: 'S3A, main is not filled', options: { ...s3a, fill: 'none' } },
]

export function stepColumns(capacities: readonly number[]): string[] {
  return ['', ...capacities.map(String), 'mean', 'copied per miss']
}

/** A row for each step: hit ratios by capacity, their mean, and entries copied forward per miss. */
export function stepRows(trace: Trace, keys: number, capacities: readonly number[]): string[][] {
  return STEPS.map(({ name, options }) => {
    let copied = 0
    const ratios = capacities.map((capacity) => {
      const policy = new S3(capacity, keys, options)
      const ratio = hitRatio(policy, trace)
      const misses = (1 - ratio / 100) * trace.length
      copied += (policy.promoted + policy.reinserted) / misses / capacities.length
      return ratio
    })
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length
    return [name, ...[...ratios, mean, copied].map((figure) => figure.toFixed(2))]
  })
}
