/*
 * Stores that several threads share, for tests: real threads, each of which runs one job of
 * sharer.ts on the same arenas. Not on Node 20, which has one memory a module.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { shareInvalidations } from '../../../server/store/invalidation.ts'
import { multiMemory } from '../../../server/store/memory.ts'
import type { StoreOptions } from '../../../server/store/store.ts'
import { checkInvariants, shareWatches, Store } from '../../../server/store/store.ts'
import { shareGroupUsage } from '../../../server/store/usage.ts'
import type { Job, JobName } from './sharer.ts'
import type { StressResult } from './stress.ts'
import { Stress } from './stress.ts'

const MB = 1024 * 1024
const MAX_MEMORY = 8 * MB

const program = new URL(`./sharer${extname(import.meta.url)}`, import.meta.url)

/** Can threads share a store here? */
export const canShare = multiMemory

/** The first of several threads; the others are its workers. */
export class Sharing {
  readonly store: Store
  readonly #options: StoreOptions

  constructor(options: Partial<StoreOptions> & { readonly threads: number }) {
    const invalidations = shareInvalidations()
    const shared = { invalidations, groupUsage: shareGroupUsage(2), watches: shareWatches() }
    this.#options = { maxMemory: MAX_MEMORY, seed: 1, ...shared, ...options }
    this.store = new Store(this.#options)
  }

  /** Runs a job in a thread of its own. Resolves to what it returns, rejects with what it throws. */
  run(name: JobName, seed: number, rounds: number): Promise<unknown> {
    const store = { ...this.#options, attach: this.store.shared }
    const job: Job = { name, store, seed, rounds }
    const worker = new Worker(program, { workerData: job })
    return new Promise((resolve, reject) => {
      worker.on('message', resolve)
      worker.on('error', reject)
      worker.on('exit', (code) => {
        reject(new Error(`a thread ended with code ${code}`))
      })
    })
  }
}

/** Small stores: of many buckets and of few, of one arena and of several. */
export const shapes: readonly Partial<StoreOptions>[] = [
  { maxMemory: 8 * MB },
  { maxMemory: 8 * MB, buckets: 16 },
  { maxMemory: 9 * MB, buckets: 64, arenaShareMax: 3 * MB },
]

/** Threads that share a store with whoever checks it. */
const THREADS = 3

/** Has threads do everything at once to a store. Throws when something is wrong during it or after. */
export async function hammer(
  shape: Partial<StoreOptions>,
  seed: number,
  rounds: number,
): Promise<StressResult[]> {
  const sharing = new Sharing({ seed, ...shape, threads: THREADS + 1 })
  const { store } = sharing
  const runs = Array.from({ length: THREADS }, (_, i) =>
    sharing.run('stress', seed * THREADS + i, rounds),
  )
  const results = (await Promise.all(runs)) as StressResult[]
  store.setMaxMemory(shape.maxMemory ?? MAX_MEMORY)
  checkInvariants(store)
  const sum = (field: 'added' | 'removed'): number =>
    results.reduce((total, result) => total + result[field], 0)
  const lost = sum('added') - sum('removed') - Stress.counted(store)
  if (lost !== 0) throw new Error(`counters have lost ${lost} of ${sum('added')}`)
  return results
}
