/*
 * Stores that several threads share, for tests: real threads, each of which runs one job of
 * sharer.ts on the same arenas. Not on Node 20, which has one memory a module.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { multiMemory } from '../../../server/store/memory.ts'
import type { StoreOptions } from '../../../server/store/store.ts'
import { Store } from '../../../server/store/store.ts'
import type { Job, JobName } from './sharer.ts'

const program = new URL(`./sharer${extname(import.meta.url)}`, import.meta.url)

/** Can threads share a store here? */
export const canShare = multiMemory

/** The first of several threads; the others are its workers. */
export class Sharing {
  readonly store: Store
  readonly #options: StoreOptions

  constructor(options: Partial<StoreOptions> & { readonly threads: number }) {
    this.#options = { maxMemory: 8 * 1024 * 1024, seed: 1, ...options }
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
