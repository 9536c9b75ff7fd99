/*
 * The claims: a snapshot is written nearly as fast as the disk takes bytes, comes back at over 1 GB/s
 * when the file is in the page cache, and while it is written nobody waits long.
 *
 * A store of 1 GiB is filled with keys of 16 and values of 100 bytes. In each round `dd conv=fsync`
 * writes as many bytes into the same folder as the snapshot has, and the snapshot is written, the one
 * first and the other second by turns: disks differ from minute to minute, so only the ratio within
 * a round counts. Then it is loaded into a store that is laid out alike (a copy of memory), into the
 * same once more, and into one with a tenth less memory (entry by entry). The first of these writes
 * to memory that nobody touched before, which the system first has to give: what that takes alone is
 * measured in the same round.
 *
 * Pauses: sets and gets go on, a hundred in each turn of the event loop, as clients of a server would
 * have them, once without a save and once during one. A pause is the time from the end of one such
 * batch to the end of the next; by the clock, and by the CPU time of the thread: on a machine that
 * others use too, only that tells how long the server's own work held it up.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { Databases } from '../../server/databases.ts'
import { Gate } from '../../server/gate.ts'
import { createLog } from '../../server/log.ts'
import { loadChecksum } from '../../server/snapshots/snapshot-file.ts'
import { findSnapshot, Snapshots, type SnapshotsParts } from '../../server/snapshots/snapshots.ts'
import { Store } from '../../server/store/store.ts'
import { createSystemWorld } from '../../server/system.ts'
import { SeededRandom } from '../sim/random.ts'
import { describeMachine } from './machine.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/snapshot.js [options]
  --rounds N       5
  --megabytes N    size of the store (1024)
  --folder PATH    where the files go (the system's folder for temporary files)`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '1024' },
    folder: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
})

const MB = 1024 * 1024
const KEY_BYTES = 16
const VALUE_BYTES = 100
/** What an entry takes in a full store, at least. */
const ENTRY_BYTES_MIN = 125
const BATCH = 100
const DATABASES = 16
const SYSTEM_PAGE_BYTES = 4096

const world = createSystemWorld()
const maxMemory = Number(values.megabytes) * MB
const keys = Math.ceil(maxMemory / ENTRY_BYTES_MIN)

/** Keys and values as a client would send them, in the store's own memory. */
class Traffic {
  readonly #store: Store
  readonly #random = new SeededRandom(1)
  readonly #at: number
  readonly #reply: number

  constructor(store: Store) {
    this.#store = store
    this.#at = store.io.scratch
    this.#reply = store.io.replies[0]!
    store.io.bytes.fill(0x78, this.#at, this.#at + KEY_BYTES + VALUE_BYTES)
  }

  fill(): void {
    for (let id = 0; id < keys; id++) this.#set(id)
  }

  batch(): void {
    this.#store.now = world.clock.now()
    for (let i = 0; i < BATCH; i += 2) {
      this.#set(this.#random.below(keys))
      this.#key(this.#random.below(keys))
      this.#store.get(0, this.#store.io.bytes, this.#at, KEY_BYTES, { reserve: () => this.#reply })
    }
  }

  #set(id: number): void {
    this.#key(id)
    const value = this.#at + KEY_BYTES
    this.#store.set(0, this.#store.io.bytes, this.#at, KEY_BYTES, value, VALUE_BYTES, 0)
  }

  #key(id: number): void {
    const bytes = this.#store.io.bytes
    for (let i = 0, left = id; i < KEY_BYTES; i++) {
      bytes[this.#at + i] = 0x30 + (left % 10)
      left = Math.floor(left / 10)
    }
  }
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`snapshots on Node ${process.version}`)
  console.log(describeMachine())
  const folder = mkdtempSync(join(values.folder, 'ringtier-bench-'))
  try {
    await compare(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(folder: string): Promise<void> {
  const checksum = await loadChecksum()
  const log = createLog({ level: 'nothing' })
  const path = join(folder, 'dump.ringtier')
  const open = (memory: number): SnapshotsParts => {
    const store = new Store({ maxMemory: memory, seed: 1 })
    const databases = new Databases(16)
    return { ...world, store, log, checksum, gate: new Gate(), databases, path: () => path }
  }
  const parts = open(maxMemory)
  const traffic = new Traffic(parts.store)
  traffic.fill()
  const snapshots = new Snapshots(parts)
  await snapshots.save()
  const bytes = statSync(path).size
  const { entries } = parts.store.stats
  console.log(`a store of ${values.megabytes} MB, ${entries} entries, a file of ${gb(bytes)} GB`)

  const rounds: Round[] = []
  for (let round = 0; round < Number(values.rounds); round++) {
    let dd = 0
    if (round % 2 === 0) dd = ddSeconds(folder, bytes)
    let cpu = cpuSeconds()
    const save = await secondsOf(() => snapshots.save())
    const saveCpu = (cpuSeconds() - cpu) / (bytes / 1e9)
    if (round % 2 === 1) dd = ddSeconds(folder, bytes)
    cpu = cpuSeconds()
    const fresh = open(maxMemory)
    const images = await loadSeconds(fresh)
    const loadCpu = (cpuSeconds() - cpu) / (bytes / 1e9)
    for (let db = 0; db < DATABASES; db++) fresh.store.flush(db)
    const again = await loadSeconds(fresh)
    const touch = touchSeconds(bytes)
    const entryByEntry = await loadSeconds(open(Math.floor(maxMemory * 0.9)))
    const quiet = await longestPause(traffic, (done) => setTimeout(done, save * 1000))
    const saving = await longestPause(traffic, (done) => void snapshots.save().then(done))
    rounds.push({ dd, save, images, again, touch, entryByEntry, quiet, saving, saveCpu, loadCpu })
  }
  report(rounds, bytes)
}

interface Round {
  /** Seconds. */
  readonly dd: number
  readonly save: number
  readonly images: number
  /** Into memory that was in use before. */
  readonly again: number
  /** The first touch of as many bytes. */
  readonly touch: number
  readonly entryByEntry: number
  readonly quiet: Pauses
  readonly saving: Pauses
  /** Of all threads, by bytes of the file. */
  readonly saveCpu: number
  readonly loadCpu: number
}

/** The longest one, in milliseconds: by the clock, and of CPU time of the main thread. */
interface Pauses {
  readonly clock: number
  readonly cpu: number
}

function ddSeconds(folder: string, bytes: number): number {
  const target = join(folder, 'dd')
  const count = Math.round(bytes / MB)
  const started = performance.now()
  const args = ['if=/dev/zero', `of=${target}`, 'bs=1M', `count=${count}`, 'conv=fsync']
  execFileSync('dd', args, { stdio: 'ignore' })
  const seconds = (performance.now() - started) / 1000
  rmSync(target)
  return seconds
}

/** The system gives memory page by page when it is first written: what that alone takes. */
function touchSeconds(bytes: number): number {
  const touched = new Uint8Array(new SharedArrayBuffer(bytes))
  const started = performance.now()
  for (let at = 0; at < touched.length; at += SYSTEM_PAGE_BYTES) touched[at] = 1
  return (performance.now() - started) / 1000
}

async function secondsOf(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await run()
  return (performance.now() - started) / 1000
}

async function loadSeconds(parts: SnapshotsParts): Promise<number> {
  const snapshots = new Snapshots(parts)
  const seconds = await secondsOf(async () => {
    const reader = await findSnapshot({ ...parts, databaseCount: 16 })
    await snapshots.load(reader!)
  })
  if (snapshots.loaded.lostKeys > 0) throw new Error('keys were lost')
  return seconds
}

/** Batches go on until `begin` says that it is done. */
async function longestPause(traffic: Traffic, begin: (done: () => void) => void): Promise<Pauses> {
  let isDone = false
  let clock = 0
  let cpu = 0
  const thread = new ThreadTime()
  begin(() => (isDone = true))
  let last = performance.now()
  let lastCpu = thread.milliseconds()
  while (!isDone) {
    traffic.batch()
    const now = performance.now()
    const nowCpu = thread.milliseconds()
    clock = Math.max(clock, now - last)
    cpu = Math.max(cpu, nowCpu - lastCpu)
    last = now
    lastCpu = nowCpu
    await new Promise((resolve) => setImmediate(resolve))
  }
  thread.close()
  return { clock, cpu }
}

/** CPU time of the main thread, which has the process's number. */
class ThreadTime {
  readonly #file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
  readonly #text = Buffer.alloc(64)

  milliseconds(): number {
    const length = readSync(this.#file, this.#text, 0, this.#text.length, 0)
    return Number(this.#text.toString('latin1', 0, length).split(' ')[0]) / 1e6
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Seconds of CPU time of all threads. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function gb(bytes: number): string {
  return (bytes / 1e9).toFixed(2)
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!
}

function report(rounds: readonly Round[], bytes: number): void {
  const row = (name: string, figures: readonly number[], digits = 2): string[] => [
    name,
    median(figures).toFixed(digits),
    Math.min(...figures).toFixed(digits),
    Math.max(...figures).toFixed(digits),
  ]
  const speed = (pick: (round: Round) => number): number[] =>
    rounds.map((round) => bytes / pick(round) / 1e9)
  const pauses = (name: string, pick: (round: Round) => Pauses): string[][] => [
    row(
      `longest pause ${name}, ms`,
      rounds.map((round) => pick(round).clock),
      1,
    ),
    row(
      `the same, of CPU time`,
      rounds.map((round) => pick(round).cpu),
      1,
    ),
  ]
  console.log(
    table(
      ['', 'median', 'lowest', 'highest'],
      [
        row(
          'dd conv=fsync, GB/s',
          speed(({ dd }) => dd),
        ),
        row(
          'save, GB/s',
          speed(({ save }) => save),
        ),
        row(
          'save / dd',
          rounds.map(({ dd, save }) => dd / save),
        ),
        row(
          'CPU of a save, s a GB',
          rounds.map(({ saveCpu }) => saveCpu),
        ),
        row(
          'load, GB/s',
          speed(({ images }) => images),
        ),
        row(
          'first touch of fresh memory, GB/s',
          speed(({ touch }) => touch),
        ),
        row(
          'load into memory used before, GB/s',
          speed(({ again }) => again),
        ),
        row(
          'CPU of a load, s a GB',
          rounds.map(({ loadCpu }) => loadCpu),
        ),
        row(
          'load entry by entry, GB/s',
          speed(({ entryByEntry }) => entryByEntry),
        ),
        ...pauses('while saving', ({ saving }) => saving),
        ...pauses('without', ({ quiet }) => quiet),
      ],
    ),
  )
}

await main()
