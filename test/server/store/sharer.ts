/* A thread that shares a store with others (sharing.ts): it runs one job, and posts what comes out. */
import { parentPort, workerData } from 'node:worker_threads'
import { Args } from '../../../protocol/args.ts'
import type { StoreOptions } from '../../../server/store/store.ts'
import { MISS, STORED, Store, WATCHED } from '../../../server/store/store.ts'
import { Stress } from './stress.ts'
import { loadTwins, moveTwins, watchTwins } from './twins.ts'

export interface Job {
  readonly name: JobName
  readonly store: StoreOptions
  readonly seed: number
  readonly rounds: number
}

export type JobName = keyof typeof jobs

/** Keys that are written and read together. */
const KEYS = 50

/** Their names, in an order of its own for each seed: forwards for even ones, else backwards. */
function names(seed: number): Buffer[] {
  const list = Array.from({ length: KEYS }, (_, i) => Buffer.from(`key:${i}`))
  return seed % 2 === 0 ? list : list.reverse()
}

/** Sets all keys to one stamp, again and again. @returns how often memory did not hold all */
function writeTogether(store: Store, { seed, rounds }: Job, valueBytes: number): number {
  const keys = names(seed)
  let refused = 0
  for (let round = 0; round < rounds; round++) {
    const stamp = Buffer.from(`${seed}:${round}`.padEnd(valueBytes, '.'))
    const args = Args.of(['MSET', ...keys.flatMap((key) => [key, stamp])])
    store.lockKeys(0, args, 1, args.count, 2)
    for (let i = 1; i < args.count; i += 2) {
      const [key, value] = [args.pos(i), args.pos(i + 1)]
      const result = store.set(0, args.bytes, key, args.length(i), value, valueBytes, 0)
      if (result !== STORED) refused++
    }
    store.unlockKeys()
  }
  return refused
}

/** Reads all keys together. @returns how often there was one; throws when two had different stamps */
function readTogether(store: Store, { seed, rounds }: Job): number {
  const keys = names(seed)
  const args = Args.of(['MGET', ...keys])
  const [to] = store.io.replies
  const sink = { reserve: () => to! }
  let found = 0
  for (let round = 0; round < rounds; round++) {
    const stamps = new Set<string>()
    store.lockKeys(0, args, 1, args.count, 1)
    for (let i = 1; i < args.count; i++) {
      const length = store.get(0, args.bytes, args.pos(i), args.length(i), sink)
      if (length === MISS) continue
      found++
      stamps.add(text(store.io.bytes.subarray(to, to! + length)))
    }
    store.unlockKeys()
    if (stamps.size > 1) throw new Error(`stamps that were written apart: ${[...stamps].join()}`)
  }
  return found
}

/** Adds one to counters, each time in a transaction that is tried until nobody came between. */
function raiseByWatching(store: Store, { seed, rounds }: Job): number {
  const [to] = store.io.replies
  const sink = { reserve: () => to! }
  for (let round = 0; round < rounds;) {
    const key = Buffer.from(`counter:${(round + seed) % 3}`)
    const watch = store.watch(WATCHED, 0, key, 0, key.length)
    const length = Math.max(0, store.get(0, key, 0, key.length, sink))
    const value = Number(text(store.io.bytes.subarray(to, to! + length))) + 1
    const args = Args.of([key, `${value}`])
    store.lockKeys(0, args, 0, 1, 1)
    if (store.isUntouched(watch)) {
      round++
      store.set(0, args.bytes, args.pos(0), args.length(0), args.pos(1), args.length(1), 0)
    }
    store.unlockKeys()
    store.unwatch(watch)
  }
  return rounds
}

/** Without what it is filled up with. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString().replace(/\.+$/, '')
}

const jobs = {
  'move twins': moveTwins,
  'watch twins': watchTwins,
  'load twins': loadTwins,
  'write together': (store: Store, job: Job) => writeTogether(store, job, 20),
  'write together what does not fit': (store: Store, job: Job) => writeTogether(store, job, 60_000),
  'read together': readTogether,
  'raise by watching': raiseByWatching,
  stress: (_store: Store, { store, seed, rounds }: Job) => new Stress(store, seed).run(rounds),
}

const job = workerData as Job
parentPort!.postMessage(jobs[job.name](new Store(job.store), job), [])
