import { resolve } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { flagBits } from '../../../server/command.ts'
import type { Log } from '../../../server/log.ts'
import { Databases } from '../../../server/databases.ts'
import { Gate } from '../../../server/gate.ts'
import {
  loadChecksum,
  MOVED_MAX,
  RECORD_HEAD_BYTES,
} from '../../../server/snapshots/snapshot-file.ts'
import { findSnapshot, Snapshots } from '../../../server/snapshots/snapshots.ts'
import { ABSENT, ERROR_ONLY, FRESH, NEGATIVE, STALE } from '../../../server/store/store.ts'
import { Store, type StoreOptions } from '../../../server/store/store.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { type InProcess, startInProcess } from '../in-process.ts'
import { type Faults, MemoryFiles } from './memory-files.ts'

const MB = 1024 * 1024
const PATH = resolve('dump.ringtier')
const checksum = await loadChecksum()

/** What was logged, of all levels. */
class Lines implements Pick<Log, 'notice' | 'warning'> {
  readonly all: string[] = []
  readonly notice = (first: object | string, message?: string): void => this.#add(first, message)
  readonly warning = (first: object | string, message?: string): void => this.#add(first, message)

  get log(): Log {
    return this as unknown as Log
  }

  has(pattern: RegExp): boolean {
    return this.all.some((line) => pattern.test(line))
  }

  #add(first: object | string, message?: string): void {
    this.all.push(typeof first === 'string' ? first : message!)
  }
}

/** A store with snapshots on a disk in memory. */
class Host {
  readonly clock: VirtualClock
  readonly files: MemoryFiles
  readonly lines = new Lines()
  readonly store: Store
  readonly snapshots: Snapshots
  readonly gate = new Gate()
  readonly databases = new Databases(64)
  databaseCount = 64
  readonly path: () => string

  constructor(
    options: Partial<StoreOptions> & {
      files?: MemoryFiles
      clock?: VirtualClock
      path?: string
    } = {},
  ) {
    const { files, clock, path, ...rest } = options
    this.files = files ?? new MemoryFiles()
    this.clock = clock ?? new VirtualClock()
    this.path = () => path ?? 'dump.ringtier'
    this.store = new Store({ maxMemory: 2 * MB, seed: 5, ...rest })
    this.store.now = this.clock.now()
    this.snapshots = new Snapshots({
      gate: this.gate,
      databases: this.databases,
      ...{ store: this.store, files: this.files, clock: this.clock, checksum },
      ...{ random: new SeededRandom(3), log: this.lines.log, path: this.path },
    })
  }

  set(key: string, value: string | Buffer, expireAt = 0, db = 0): void {
    const bytes = Buffer.concat([Buffer.from(key), Buffer.from(value)])
    const length = Buffer.byteLength(key)
    this.store.set(db, bytes, 0, length, length, bytes.length - length, expireAt)
  }

  get(key: string, db = 0): string | null {
    const name = Buffer.from(key)
    this.store.now = this.clock.now()
    const from = this.store.io.replies[0]!
    const length = this.store.get(db, name, 0, name.length, { reserve: () => from })
    if (length === -2) return this.#pinned(name, db)
    return length < 0
      ? null
      : Buffer.from(this.store.io.bytes.slice(from, from + length)).toString()
  }

  #pinned(name: Buffer, db: number): string {
    this.store.open(db, name, 0, name.length)
    const pages = this.store.pin()
    const value = pages.toBuffer().toString()
    pages.release()
    this.store.close()
    return value
  }

  /** Loads what is on its disk. False: there is nothing. */
  async load(): Promise<boolean> {
    const { files, path } = this
    const reader = await findSnapshot({
      files,
      log: this.lines.log,
      checksum,
      path,
      databaseCount: this.databaseCount,
    })
    if (reader === null) return false
    const done = this.snapshots.load(reader)
    const settled = done.then(() => true)
    while (!(await Promise.race([settled, this.clock.settle().then(() => false)])));
    return true
  }
}

/** Keys whose values say what they are, in all sizes. */
function fill(host: Host, keys: number): void {
  for (let i = 0; i < keys; i++) host.set(`key ${i}`, valueOf(i))
}

function valueOf(i: number): string {
  return `${i} `.repeat(i % 50 === 0 ? 200 + i : i % 20)
}

test('a snapshot brings back keys, databases and times', async (t) => {
  const one = new Host()
  const now = one.clock.now()
  fill(one, 300)
  one.set('in 5 s', 'x', now + 5_000)
  one.set('key', 'of 3', 0, 3)
  await one.snapshots.save()
  t.deepEqual([...one.files.files.keys()], [PATH])
  const other = new Host({ files: one.files })
  t.true(await other.load())
  for (let i = 0; i < 300; i++) t.is(other.get(`key ${i}`), valueOf(i))
  t.is(other.get('key', 3), 'of 3')
  t.is(other.store.size(0), 301)
  t.deepEqual(
    { ...other.snapshots.loaded },
    { keys: 302, expired: 0, lostKeys: 0, damagedRecords: 0, isCutOff: false, replayed: 0 },
  )
  t.is(other.snapshots.changes, 0)
  t.true(other.lines.has(/DB loaded from disk: 0\.000 seconds/))
  await other.clock.advance(4_999)
  t.is(other.get('in 5 s'), 'x')
  await other.clock.advance(1)
  t.is(other.get('in 5 s'), null)
})

test('databases that were exchanged are so when they come back, where there are as many', async (t) => {
  const one = new Host()
  one.set('key', 'of 0')
  for (const [a, b] of [
    [0, 5],
    [5, 44],
    [7, 8],
    [8, 7],
  ] as const) {
    one.databases.swap(a, b)
  }
  const moved = [
    { number: 0, database: 5 },
    { number: 5, database: 44 },
    { number: 44, database: 0 },
  ]
  t.deepEqual(one.databases.moved, moved)
  await one.snapshots.save()
  t.is(one.files.files.get(PATH)!.readUInt32LE(8), 3)
  const other = new Host({ files: one.files })
  t.true(await other.load())
  t.deepEqual(other.databases.moved, moved)
  t.is(other.get('key', other.databases.behind(44)), 'of 0')
  const fewer = new Host({ files: one.files })
  fewer.databaseCount = 44
  await t.throwsAsync(() => fewer.load(), { message: /there are 44 now: set databases to 45/ })
  fewer.databaseCount = 45
  t.true(await fewer.load())
  one.databases.swap(0, 5)
  one.databases.swap(0, 44)
  t.deepEqual(one.databases.moved, [])
  await one.snapshots.save()
  t.is(one.files.files.get(PATH)!.readUInt32LE(8), 2)
})

test('as many databases as the header has room for can be elsewhere', async (t) => {
  const one = new Host()
  for (let n = 0; n < MOVED_MAX - 1; n++) one.databases.swap(n, n + 1)
  t.is(one.databases.moved.length, MOVED_MAX)
  t.is(one.databases.movedAfter(60, 61), MOVED_MAX + 2)
  t.is(one.databases.movedAfter(0, 60), MOVED_MAX + 1)
  t.is(one.databases.movedAfter(0, MOVED_MAX - 1), MOVED_MAX - 1)
  t.is(one.databases.movedAfter(1, 2), MOVED_MAX - 1)
  t.is(one.databases.movedAfter(2, 4), MOVED_MAX)
  await one.snapshots.save()
  const other = new Host({ files: one.files })
  t.true(await other.load())
  t.deepEqual(other.databases.moved, one.databases.moved)
})

test('who holds saves off waits for the one that is written, and one that is due waits for it', async (t) => {
  const host = new Host()
  fill(host, 10)
  let open!: () => void
  host.files.gate = new Promise((resolve) => (open = resolve))
  const saving = host.snapshots.save()
  const order: string[] = []
  let done!: () => void
  host.snapshots.holdOff((end) => {
    order.push('held off')
    done = end
  })
  host.snapshots.holdOff((end) => {
    order.push('again')
    end()
  })
  await host.clock.settle()
  t.deepEqual(order, [])
  open()
  await saving
  t.deepEqual(order, ['held off'])
  t.true(host.snapshots.inProgress)
  t.false(host.snapshots.backgroundInProgress)
  done()
  t.deepEqual(order, ['held off', 'again'])
  t.false(host.snapshots.inProgress)
  let isHeld = false
  host.snapshots.holdOff((end) => {
    isHeld = true
    end()
  })
  t.true(isHeld)
})

test('times are kept by the wall clock, whatever the clocks of the two processes say', async (t) => {
  const one = new Host()
  one.set('a', '1', one.clock.now() + 60_000)
  one.set('b', '1', one.clock.now() + 9_000)
  one.set('never', '1')
  one.clock.jumpWall(-1_000_000)
  await one.snapshots.save()
  // Ten seconds later, by a process whose own scale began elsewhere.
  const clock = new VirtualClock(5_000)
  clock.jumpWall(one.clock.wall() + 10_000 - clock.wall())
  const other = new Host({ files: one.files, clock })
  await other.load()
  t.is(other.snapshots.loaded.expired, 1)
  t.is(other.get('b'), null)
  t.is(other.get('never'), '1')
  await clock.advance(49_999)
  t.is(other.get('a'), '1')
  await clock.advance(1)
  t.is(other.get('a'), null)
})

test('values of many pages are written in pieces, and come back', async (t) => {
  const one = new Host({ maxMemory: 32 * MB })
  const long = Buffer.alloc(5_000_000, 'abcdefg').toString()
  one.set('long', long)
  fill(one, 100)
  await one.snapshots.save()
  const other = new Host({ maxMemory: 32 * MB, files: one.files })
  await other.load()
  t.true(other.get('long') === long)
  t.is(other.snapshots.loaded.keys, 101)
  const small = new Host({ maxMemory: 16 * MB, files: one.files })
  await small.load()
  t.true(small.get('long') === long)
  t.is(small.get('key 50'), valueOf(50))
})

test('without a file nothing is loaded', async (t) => {
  const host = new Host()
  t.false(await host.load())
  t.deepEqual(host.lines.all, [])
})

test('an empty store makes a file, and it loads', async (t) => {
  const one = new Host()
  await one.snapshots.save()
  t.is(one.files.files.get(PATH)!.length, 512 + 64)
  const other = new Host({ files: one.files })
  t.true(await other.load())
  t.is(other.snapshots.loaded.keys, 0)
  t.false(other.snapshots.loaded.isCutOff)
})

test('the file is written aside, synced, put in place, and the folder synced', async (t) => {
  const host = new Host()
  fill(host, 10)
  await host.snapshots.save()
  t.deepEqual(host.files.steps, [
    'create temp-4711.dump.ringtier',
    'sync temp-4711.dump.ringtier',
    'close temp-4711.dump.ringtier',
    'rename dump.ringtier',
    `sync folder ${resolve('.').split('/').at(-1)!}`,
  ])
})

test('dbfilename may have a path', async (t) => {
  const host = new Host({ path: '/var/lib/x/my.snapshot' })
  await host.snapshots.save()
  t.deepEqual([...host.files.files.keys()], ['/var/lib/x/my.snapshot'])
})

/* ---- damage ---- */

/** A file with 150 keys, one of them of pages. */
async function sound(): Promise<Buffer> {
  const host = new Host()
  fill(host, 150)
  host.set('big', Buffer.alloc(3_000, 'big '))
  await host.snapshots.save()
  return host.files.files.get(PATH)!
}

/** Loads a file, and says which keys came back; never with a wrong value. */
async function keysOf(t: ExecutionContext, bytes: Buffer): Promise<{ host: Host; keys: number }> {
  const files = new MemoryFiles()
  files.files.set(PATH, bytes)
  const host = new Host({ files })
  await host.load()
  let keys = 0
  for (let i = 0; i < 150; i++) {
    const value = host.get(`key ${i}`)
    if (value !== null) keys++
    if (value !== null && value !== valueOf(i)) t.fail(`key ${i} has a wrong value`)
  }
  const big = host.get('big')
  if (big !== null) keys++
  if (big !== null && big !== 'big '.repeat(750)) t.fail('big has a wrong value')
  return { host, keys }
}

test('whatever bit is wrong, only the record it stands in is lost, and that is counted', async (t) => {
  const bytes = await sound()
  const roll = new SeededRandom(1)
  let lost = 0
  for (let at = 0; at < bytes.length; at += 1 + roll.below(400)) {
    const spoilt = Buffer.from(bytes)
    spoilt[at]! ^= 1 << roll.below(8)
    const { host, keys } = await keysOf(t, spoilt)
    const { loaded } = host.snapshots
    t.true(keys >= 151 - 6, `${at}: ${keys}`)
    t.is(loaded.keys, keys)
    if (keys < 151) {
      lost++
      t.true(loaded.damagedRecords === 1, `${at}`)
      t.true(host.lines.has(/damage in the snapshot: .* lost/))
      t.true(host.lines.has(/did not come back as a whole/))
    }
    host.store.check()
  }
  t.true(lost > 20, `${lost}`)
})

test('a damaged header is read from its copy', async (t) => {
  const bytes = await sound()
  bytes.fill(0x55, 0, 256)
  const { host, keys } = await keysOf(t, bytes)
  t.is(keys, 151)
  t.true(host.lines.has(/header of the snapshot is damaged; its copy is used/))
})

test('zeros over several records lose these, and the rest comes back', async (t) => {
  const bytes = await sound()
  const at = Math.floor(bytes.length / 3)
  bytes.fill(0, at, at + 5_000)
  const { host, keys } = await keysOf(t, bytes)
  t.true(keys > 120 && keys < 151, `${keys}`)
  t.true(host.snapshots.loaded.damagedRecords >= 1)
  t.false(host.snapshots.loaded.isCutOff)
})

test('of two damaged records both are counted', async (t) => {
  const bytes = await sound()
  bytes[2_000]! ^= 1
  bytes[Math.floor(bytes.length / 2)]! ^= 1
  const { host, keys } = await keysOf(t, bytes)
  t.is(host.snapshots.loaded.damagedRecords, 2)
  t.is(host.snapshots.loaded.lostKeys, 151 - keys)
})

test('a file that was cut off anywhere gives what stands before the cut', async (t) => {
  const bytes = await sound()
  let before = -1
  for (let length = 512; length < bytes.length; length += 1_500) {
    const { host, keys } = await keysOf(t, bytes.subarray(0, length))
    t.true(keys >= before, `${length}`)
    before = keys
    t.true(host.snapshots.loaded.isCutOff, `${length}`)
    t.true(host.lines.has(/the snapshot was cut off/))
  }
  const { host, keys } = await keysOf(t, bytes.subarray(0, bytes.length - RECORD_HEAD_BYTES))
  t.is(keys, 151)
  t.true(host.snapshots.loaded.isCutOff)
})

test('bytes behind the end are not looked at', async (t) => {
  const bytes = Buffer.concat([await sound(), Buffer.alloc(1_000, 1)])
  const { host, keys } = await keysOf(t, bytes)
  t.is(keys, 151)
  t.false(host.snapshots.loaded.isCutOff)
  t.is(host.snapshots.loaded.damagedRecords, 0)
})

test('a record of another snapshot is none of this one', async (t) => {
  const bytes = await sound()
  const host = new Host()
  fill(host, 150)
  await host.snapshots.save()
  const random = new SeededRandom(99)
  const other = new Snapshots({
    gate: new Gate(),
    databases: host.databases,
    ...{ store: host.store, files: host.files, clock: host.clock, checksum },
    ...{ random, log: host.lines.log, path: () => 'other' },
  })
  await other.save()
  const foreign = host.files.files.get(resolve('other'))!
  foreign.copy(bytes, 512, 512, 512 + 1_024)
  const { keys } = await keysOf(t, bytes)
  t.true(keys < 151 && keys > 140, `${keys}`)
})

test('an error while it is read ends the load, and what came before stays', async (t) => {
  const files = new MemoryFiles()
  const bytes = await sound()
  files.files.set(PATH, bytes)
  files.faults = { read: { code: 'EIO', from: bytes.length / 2 } }
  const host = new Host({ files })
  await host.load()
  t.true(host.snapshots.loaded.keys > 10)
  t.true(host.snapshots.loaded.isCutOff)
  t.is(host.snapshots.loading, null)
  t.true(host.lines.has(/cannot be read any further/))
})

test('a file of format 1 is read', async (t) => {
  const bytes = Buffer.from(await sound())
  for (const at of [0, 256]) {
    t.is(bytes.readUInt32LE(at + 8), 2)
    bytes.writeUInt32LE(1, at + 8)
    bytes.writeBigUInt64LE(checksum(bytes.subarray(at, at + 248)), at + 248)
  }
  const { host, keys } = await keysOf(t, bytes)
  t.is(keys, 151)
  t.is(host.snapshots.loaded.lostKeys, 0)
})

test('what was loaded keeps its state by the wall clock', async (t) => {
  const one = new Host()
  const now = one.clock.now()
  const load = (key: string, value: Buffer | null, freshMs: number): void => {
    const name = Buffer.from(key)
    one.store.open(0, name, 0, name.length)
    const token = one.store.lease()
    one.store.close()
    const times = { freshUntil: now + freshMs, visibleUntil: now + 40_000, loadedAt: now }
    const extras = { ...times, costMs: 3, group: -1, birth: one.store.birth(), tags: [], idleMs: 0 }
    t.true(one.store.fill(0, name, token, value, now + 60_000, { ...extras, etag: name }))
  }
  load('fresh', Buffer.from('v'), 30_000)
  load('stale', Buffer.from('v'), 15_000)
  load('none', null, 30_000)
  await one.snapshots.save()
  const clock = new VirtualClock(5_000_000)
  clock.jumpWall(one.clock.wall() + 20_000 - clock.wall())
  const other = new Host({ files: one.files, clock })
  await other.load()
  t.is(other.snapshots.loaded.keys, 2)
  const state = (key: string): number => {
    other.store.now = clock.now()
    return other.store.state(0, Buffer.from(key), 0, key.length)
  }
  t.deepEqual(['fresh', 'stale', 'none'].map(state), [FRESH, STALE, NEGATIVE])
  t.is(state('fresh'), FRESH)
  t.is(other.store.freshUntil, clock.now() + 10_000)
  t.is(Math.round(other.store.loadedAtMs / 1_000), Math.round(clock.now() / 1_000) - 20)
  await clock.advance(20_000)
  t.deepEqual(['fresh', 'stale', 'none'].map(state), [ERROR_ONLY, ERROR_ONLY, NEGATIVE])
  await clock.advance(20_000)
  t.deepEqual(['fresh', 'stale', 'none'].map(state), [ABSENT, ABSENT, ABSENT])
})

const refusals: [title: string, spoil: (bytes: Buffer) => Buffer, says: RegExp][] = [
  ['of Redis', () => Buffer.from('REDIS0009\xfa'), /it is a file of Redis \(RDB\)/],
  ['of somebody else', () => Buffer.alloc(5_000, 'x'), /it is not a snapshot of ringtier/],
  ['that is empty', () => Buffer.alloc(0), /it is empty/],
  ['that ends in its header', (bytes) => bytes.subarray(0, 255), /it ends within its header/],
  [
    'of a newer version',
    (bytes) => {
      for (const at of [8, 264]) bytes.writeUInt32LE(4, at)
      return bytes
    },
    /a newer ringtier wrote it \(format 4\)/,
  ],
  [
    'of another byte order',
    (bytes) => {
      for (const at of [12, 268]) bytes.subarray(at, at + 4).reverse()
      return bytes
    },
    /another byte order/,
  ],
  [
    'with both headers damaged',
    (bytes) => {
      for (const at of [60, 316]) bytes[at]! ^= 1
      return bytes
    },
    /both copies of its header are damaged/,
  ],
]
for (const [title, spoil, says] of refusals) {
  test(`a file ${title} is refused with what to do`, async (t) => {
    const files = new MemoryFiles()
    files.files.set(PATH, spoil(Buffer.from(await sound())))
    const error = await t.throwsAsync(() => new Host({ files }).load())
    t.regex(error.message, says)
    t.true(error.message.startsWith(`the snapshot ${PATH}: `))
    t.regex(error.message, /move it away, or name another file with dbfilename$/)
  })
}

test('a header of 256 bytes, and the copy missing, is enough', async (t) => {
  const { host } = await keysOf(t, (await sound()).subarray(0, 256))
  t.is(host.snapshots.loaded.keys, 0)
})

test('a file that cannot be opened is refused with the reason', async (t) => {
  for (const [code, reason] of [
    ['EISDIR', /it cannot be read: Is a directory; move/],
    ['EACCES', /it cannot be read: Permission denied; move/],
  ] as const) {
    const files = new MemoryFiles()
    files.faults = { open: code }
    t.regex((await t.throwsAsync(() => new Host({ files }).load())).message, reason)
  }
})

test('a newer header in the first place and an older copy: the copy counts', async (t) => {
  const bytes = await sound()
  bytes.writeUInt32LE(7, 8)
  const { keys } = await keysOf(t, bytes)
  t.is(keys, 151)
})

/* ---- disks that fail ---- */

const failures: [title: string, faults: Faults, reason: RegExp][] = [
  ['the folder takes no file', { create: 'EACCES' }, /Permission denied/],
  ['the disk is full at once', { write: { code: 'ENOSPC', after: 0 } }, /No space left on device/],
  ['the disk is full later', { write: { code: 'ENOSPC', after: 30_000 } }, /No space left/],
  ['fsync fails', { sync: 'EIO' }, /EIO/],
  ['close fails', { close: 'EIO' }, /EIO/],
  ['a folder has the name of the file', { rename: 'EISDIR' }, /Is a directory/],
  ['the folder cannot be synced', { syncFolder: 'EIO' }, /EIO/],
]
for (const [title, faults, reason] of failures) {
  test(`${title}: the error is told, the file before stays, and nothing is left behind`, async (t) => {
    const host = new Host()
    host.set('key', 'old')
    await host.snapshots.save()
    const before = host.files.files.get(PATH)!
    fill(host, 150)
    host.files.faults = faults
    await t.throwsAsync(() => host.snapshots.save(), { message: /^E/ })
    t.true(host.lines.has(/the snapshot cannot be written: .*; the one before stays/))
    t.true(host.lines.has(reason))
    t.deepEqual([...host.files.files.keys()], [PATH])
    if (faults.syncFolder === undefined) t.deepEqual(host.files.files.get(PATH), before)
    // SAVE leaves the status of background saves alone, as in Redis.
    t.is(host.snapshots.lastStatus, 'ok')
    t.is(host.snapshots.changes, 150)
    host.snapshots.saveInBackground()
    await host.clock.settle()
    t.is(host.snapshots.lastStatus, 'err')
    t.false(host.snapshots.inProgress)
    t.is(host.store.stats.pinnedBytes, 0)
    host.files.faults = {}
    host.snapshots.saveInBackground()
    await host.clock.settle()
    t.is(host.snapshots.lastStatus, 'ok')
    t.is(host.snapshots.changes, 0)
    const other = new Host({ files: host.files })
    await other.load()
    t.is(other.snapshots.loaded.keys, 151)
  })
}

test('a save that fails and cannot even remove its file is told all the same', async (t) => {
  const host = new Host()
  host.files.faults = { sync: 'EIO', close: 'EIO', remove: 'EIO' }
  await t.throwsAsync(() => host.snapshots.save(), { message: /^EIO/ })
})

test('leftovers of saves are removed at the start, but for those of a process that runs', async (t) => {
  const files = new MemoryFiles()
  const names = [
    ...['temp-1.dump.ringtier', 'temp-4711.dump.ringtier', 'temp-22.dump.ringtier'],
    ...['temp-1.other.ringtier', 'temp-x.dump.ringtier', 'temp-1.dump.ringtier.bak', 'temp-.dump'],
  ]
  for (const name of names) files.files.set(resolve(name), Buffer.from('x'))
  files.running.add(22).add(4711)
  const host = new Host({ files })
  t.false(await host.load())
  t.deepEqual(
    [...files.files.keys()].map((path) => path.split('/').at(-1)!),
    [
      ...['temp-22.dump.ringtier', 'temp-1.other.ringtier', 'temp-x.dump.ringtier'],
      ...['temp-1.dump.ringtier.bak', 'temp-.dump'],
    ],
  )
  t.is(host.lines.all.filter((line) => line.startsWith('removed temp-')).length, 2)
})

test('a folder that cannot be listed does not keep the snapshot from being loaded', async (t) => {
  const files = new MemoryFiles()
  files.files.set(PATH, await sound())
  files.faults = { list: 'EACCES' }
  const host = new Host({ files })
  t.true(await host.load())
  t.is(host.snapshots.loaded.keys, 151)
  t.true(host.lines.has(/cannot look for leftovers of saves: Permission denied/))
})

/* ---- when ---- */

test('a save point is reached when time and changes both are', async (t) => {
  const host = new Host()
  host.snapshots.configure([{ seconds: 10, changes: 3 }], false)
  host.snapshots.start()
  fill(host, 2)
  await host.clock.advance(60_000)
  t.is(host.snapshots.saves, 0)
  fill(host, 1)
  await host.clock.advance(100)
  t.is(host.snapshots.saves, 1)
  t.is(host.snapshots.changes, 0)
  t.true(host.lines.has(/^3 changes in 10 seconds\. Saving\.\.\.$/))
  fill(host, 3)
  await host.clock.advance(9_900)
  t.is(host.snapshots.saves, 1)
  await host.clock.advance(200)
  t.is(host.snapshots.saves, 2)
  host.snapshots.stop()
  fill(host, 30)
  await host.clock.advance(60_000)
  t.is(host.snapshots.saves, 2)
  t.is(host.clock.timers, 0)
})

test('of several save points each counts', async (t) => {
  const host = new Host()
  const points = [
    { seconds: 1_000, changes: 1 },
    { seconds: 10, changes: 100 },
  ]
  host.snapshots.configure(points, false)
  host.snapshots.start()
  fill(host, 100)
  await host.clock.advance(10_200)
  t.is(host.snapshots.saves, 1)
  fill(host, 1)
  await host.clock.advance(999_000)
  t.is(host.snapshots.saves, 1)
  await host.clock.advance(2_000)
  t.is(host.snapshots.saves, 2)
})

test('after a failure it is tried again five seconds later', async (t) => {
  const host = new Host()
  host.files.faults = { create: 'EACCES' }
  host.snapshots.configure([{ seconds: 1, changes: 1 }], false)
  host.snapshots.start()
  fill(host, 1)
  await host.clock.advance(1_100)
  t.is(host.snapshots.saves, 1)
  await host.clock.advance(5_000)
  t.is(host.snapshots.saves, 1)
  await host.clock.advance(200)
  t.is(host.snapshots.saves, 2)
})

test('changes made while a save is under way are not in it', async (t) => {
  const host = new Host()
  fill(host, 5)
  let open = (): void => {}
  host.files.gate = new Promise((resume) => (open = resume))
  host.snapshots.saveInBackground()
  t.true(host.snapshots.inProgress)
  t.true(host.snapshots.backgroundInProgress)
  await host.clock.advance(7_900)
  t.is(host.snapshots.durationSeconds, 7)
  fill(host, 2)
  open()
  await host.clock.settle()
  t.false(host.snapshots.inProgress)
  t.is(host.snapshots.changes, 2)
  t.is(host.snapshots.lastDurationSeconds, 7)
  t.is(host.snapshots.durationSeconds, -1)
  t.is(host.snapshots.lastSaveSeconds, Math.floor(host.clock.wall() / 1000))
})

test('a save that is called off leaves nothing behind', async (t) => {
  const host = new Host({ maxMemory: 32 * MB })
  for (let i = 0; i < 100; i++) host.set(`${i}`, Buffer.alloc(200_000))
  let open = (): void => {}
  host.files.gate = new Promise((resume) => (open = resume))
  host.snapshots.saveInBackground()
  await host.clock.settle()
  const aborted = host.snapshots.abort()
  open()
  await aborted
  t.false(host.snapshots.inProgress)
  t.deepEqual([...host.files.files.keys()], [])
  t.true(host.lines.has(/the save was called off/))
  t.is(host.store.stats.pinnedBytes, 0)
  for (let i = 0; i < 100; i++) host.store.delete(0, Buffer.from(`${i}`), 0, `${i}`.length)
  host.store.check()
  await host.snapshots.save()
  t.is(host.files.files.size, 1)
})

test('what is refused: nothing, until a background save fails and that is to stop writes', async (t) => {
  const host = new Host()
  const { gate, snapshots } = host
  const write = { flags: flagBits.write, fullName: 'set' }
  const read = { flags: flagBits.readonly, fullName: 'get' }
  const ping = { flags: 0, fullName: 'ping' }
  const points = [{ seconds: 1, changes: 1 }]
  snapshots.configure(points, true)
  t.false(gate.restricts)
  host.files.faults = { create: 'EROFS' }
  snapshots.saveInBackground()
  await host.clock.settle()
  t.true(gate.restricts)
  t.regex(gate.refusalOf(write)!, /^MISCONF /)
  t.regex(gate.refusalOf(ping)!, /^MISCONF /)
  t.is(gate.refusalOf(read), null)
  snapshots.configure(points, false)
  t.false(gate.restricts)
  snapshots.configure([], true)
  t.false(gate.restricts)
  snapshots.configure(points, true)
  t.true(gate.restricts)
  host.files.faults = {}
  await snapshots.save()
  t.false(gate.restricts)
})

/* ---- a whole server ---- */

/** Lets time stand still, and all that was asked for `soon` happen, until a reply is there. */
async function driven<T>(host: InProcess, promise: Promise<T>): Promise<T> {
  const settled = promise.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([settled, host.clock.settle().then(() => false)])));
  return promise
}

/** Until the server has stopped, which waits for clients as long as `shutdown-timeout` says. */
async function stopped(host: InProcess, ending: Promise<unknown>): Promise<void> {
  ending.catch(() => {})
  let done = false
  void host.server.stopped.then(() => (done = true))
  await host.clock.until(() => done)
}

async function filled(files: MemoryFiles, args: readonly string[] = []): Promise<void> {
  const host = await startInProcess(args, { files })
  const client = host.connect()
  for (let i = 0; i < 20; i++) await client.command('SET', `${i}`, `value ${i}`)
  await client.command('SELECT', '2')
  await client.command('SET', 'other', 'x', 'EX', '100')
  t_ok(await driven(host, client.command('SAVE')))
  host.server.shutdown()
}

function t_ok(reply: string): void {
  if (reply !== '+OK\r\n') throw new Error(reply)
}

test('a server begins with its snapshot, with the seed it was made with', async (t) => {
  const files = new MemoryFiles()
  await filled(files)
  const host = await startInProcess([], { files, seed: 77 })
  await host.server.loaded
  const client = host.connect()
  t.is(await client.command('GET', '7'), '$7\r\nvalue 7\r\n')
  t.is(await client.command('DBSIZE'), ':20\r\n')
  await client.command('SELECT', '2')
  t.is(await client.command('TTL', 'other'), ':100\r\n')
  const info = await client.command('INFO', 'persistence')
  t.regex(info, /\r\nloading:0\r\n/)
  t.regex(info, /\r\nrdb_changes_since_last_save:0\r\n/)
  t.regex(info, /\r\nrdb_last_load_keys_loaded:21\r\n/)
  t.regex(info, /\r\nsnapshot_last_load_records_replayed:0\r\n/)
  host.server.shutdown()
})

test('a server of another size loads the same snapshot', async (t) => {
  const files = new MemoryFiles()
  await filled(files)
  const host = await startInProcess(['--maxmemory', '64mb'], { files })
  await driven(host, host.server.loaded)
  const client = host.connect()
  t.is(await client.command('GET', '7'), '$7\r\nvalue 7\r\n')
  t.notRegex(await client.command('INFO', 'persistence'), /records_replayed:0\r/)
  host.server.shutdown()
})

test('while it loads, everything but what Redis allows hears LOADING', async (t) => {
  const files = new MemoryFiles()
  await filled(files)
  const inner = files.open.bind(files)
  let open = (): void => {}
  const gate = new Promise<void>((resume) => (open = resume))
  files.open = async (path) => {
    const file = await inner(path)
    return {
      size: file!.size,
      read: async (target, position) => {
        if (position >= 512) await gate
        return file!.read(target, position)
      },
      close: () => file!.close(),
    }
  }
  const host = await startInProcess(['--requirepass', 'secret'], { files })
  const client = host.connect()
  const loading = '-LOADING Redis is loading the dataset in memory\r\n'
  t.regex(await client.command('GET', '7'), /^-NOAUTH/)
  t.is(await client.command('AUTH', 'secret'), '+OK\r\n')
  for (const words of [
    'GET 7',
    'SET a b',
    'PING',
    'SAVE',
    'BGSAVE',
    'DBSIZE',
    'SCAN 0',
    'FLUSHALL',
  ]) {
    t.is(await client.command(...words.split(' ')), loading, words)
  }
  t.regex(await client.command('GET'), /^-ERR wrong number/)
  t.regex(await client.command('HELLO', '3'), /^%/)
  t.regex(await client.command('LASTSAVE'), /^:\d+/)
  t.regex(await client.command('CONFIG', 'GET', 'save'), /^%/)
  const info = await client.command('INFO', 'persistence')
  t.regex(info, /\r\nloading:1\r\n/)
  t.regex(info, new RegExp(`\r\nloading_total_bytes:${files.files.get(PATH)!.length}\r\n`))
  t.regex(info, /\r\nloading_loaded_bytes:0\r\n/)
  open()
  await driven(host, host.server.loaded)
  t.is(await client.command('GET', '7'), '$7\r\nvalue 7\r\n')
  t.notRegex(await client.command('INFO', 'persistence'), /loading_total_bytes/)
  host.server.shutdown()
})

test('SHUTDOWN while it loads writes nothing', async (t) => {
  const files = new MemoryFiles()
  await filled(files)
  const before = files.files.get(PATH)
  const host = await startInProcess(['--save', '1 1'], { files })
  const client = host.connect()
  await stopped(host, client.command('SHUTDOWN', 'SAVE'))
  t.deepEqual(files.files.get(PATH), before)
})

test('a node of a cluster does not load its snapshot', async (t) => {
  const files = new MemoryFiles()
  await filled(files)
  const lines = new Lines()
  const peers = ['--cluster-self', '127.0.0.1:1', '--cluster-peers', '127.0.0.1:2']
  const host = await startInProcess(peers, { files, log: lines.log })
  t.is(host.server.store.size(0), 0)
  t.true(lines.has(/the snapshot is not loaded: other nodes/))
  host.server.shutdown()
})

test('SHUTDOWN saves where there are save points, or is told to; not where it is told not to', async (t) => {
  const cases: [args: string[], words: string[], saves: boolean][] = [
    [[], [], false],
    [[], ['SAVE'], true],
    [['--save', '900 1'], [], true],
    [['--save', '900 1'], ['NOSAVE'], false],
    [['--save', '900 1', '--save', ''], [], false],
    [['--save', ''], ['NOW'], false],
  ]
  for (const [args, words, saves] of cases) {
    const files = new MemoryFiles()
    const host = await startInProcess(args, { files })
    const client = host.connect()
    await client.command('SET', 'a', '1')
    await stopped(host, client.command('SHUTDOWN', ...words))
    t.is(files.files.has(PATH), saves, [...args, ...words].join(' '))
  }
})

test('a shutdown whose snapshot fails is none, unless it is forced', async (t) => {
  const files = new MemoryFiles()
  files.faults = { sync: 'ENOSPC' }
  const host = await startInProcess(['--save', '900 1'], { files })
  const client = host.connect()
  const other = host.connect()
  await client.command('SET', 'a', '1')
  t.is(
    await driven(host, client.command('SHUTDOWN')),
    '-ERR Errors trying to SHUTDOWN. Check logs.\r\n',
  )
  t.is(await client.command('GET', 'a'), '$1\r\n1\r\n')
  t.is(await other.command('SET', 'b', '1'), '+OK\r\n')
  await stopped(host, client.command('SHUTDOWN', 'FORCE'))
  t.deepEqual([...files.files.keys()], [])
})

test('while the last snapshot is written no command runs', async (t) => {
  const files = new MemoryFiles()
  let open = (): void => {}
  files.gate = new Promise((resume) => (open = resume))
  const host = await startInProcess(['--save', '900 1'], { files })
  const client = host.connect()
  const other = host.connect()
  await client.command('SET', 'a', '1')
  const before = other.command('SET', 'b', '1')
  t.is(await before, '+OK\r\n')
  const ended = client.command('SHUTDOWN')
  const late = Promise.all([other.command('SET', 'c', '1'), other.command('GET', 'c')])
  ended.catch(() => {})
  late.catch(() => {})
  await host.clock.settle()
  t.is(host.server.store.size(0), 2)
  open()
  await stopped(host, ended)
  t.is(host.server.store.size(0), 2)
})

test('commands that waited for a last snapshot that failed run then', async (t) => {
  const files = new MemoryFiles()
  files.faults = { sync: 'EIO' }
  let open = (): void => {}
  files.gate = new Promise((resume) => (open = resume))
  const host = await startInProcess(['--save', '900 1'], { files })
  const client = host.connect()
  const other = host.connect()
  t.is(await other.command('PING'), '+PONG\r\n')
  const ended = client.command('SHUTDOWN')
  const behind = client.command('SET', 'd', '1')
  const late = Promise.all([other.command('SET', 'c', '1'), other.command('GET', 'c')])
  await host.clock.settle()
  t.is(host.server.store.size(0), 0)
  open()
  t.regex(await driven(host, ended), /^-ERR Errors trying to SHUTDOWN/)
  t.deepEqual(await driven(host, late), ['+OK\r\n', '$1\r\n1\r\n'])
  t.is(await driven(host, behind), '+OK\r\n')
  host.server.shutdown()
})

test('SAVE and BGSAVE stand in each other’s way, and answer as Redis', async (t) => {
  const files = new MemoryFiles()
  let open = (): void => {}
  files.gate = new Promise((resume) => (open = resume))
  const host = await startInProcess([], { files })
  const client = host.connect()
  const other = host.connect()
  const busy = '-ERR Background save already in progress\r\n'
  t.is(await client.command('BGSAVE'), '+Background saving started\r\n')
  for (const words of [['SAVE'], ['BGSAVE'], ['BGSAVE', 'SCHEDULE']]) {
    t.is(await other.command(...words), busy)
  }
  t.regex(await client.command('INFO', 'persistence'), /rdb_bgsave_in_progress:1\r\n/)
  open()
  await host.clock.settle()
  t.regex(await client.command('INFO', 'persistence'), /rdb_bgsave_in_progress:0\r\n/)
  files.gate = new Promise((resume) => (open = resume))
  const saved = client.command('SAVE')
  t.is(await other.command('SET', 'a', '1'), '+OK\r\n')
  t.is(await other.command('BGSAVE'), busy)
  t.regex(await other.command('INFO', 'persistence'), /rdb_bgsave_in_progress:0\r\n/)
  open()
  t.is(await driven(host, saved), '+OK\r\n')
  files.faults = { write: { code: 'ENOSPC', after: 100 } }
  t.is(
    await driven(host, client.command('SAVE')),
    '-ERR the snapshot cannot be written: No space left on device\r\n',
  )
  host.server.shutdown()
})

test('BGSAVE in a transaction begins behind it, as in Redis', async (t) => {
  const files = new MemoryFiles()
  let open = (): void => {}
  files.gate = new Promise((resume) => (open = resume))
  const host = await startInProcess([], { files })
  const client = host.connect()
  t.is(await client.command('MULTI'), '+OK\r\n')
  for (const words of [['BGSAVE'], ['BGSAVE', 'SCHEDULE'], ['PING']]) await client.send(words)
  const scheduled = '+Background saving scheduled\r\n'
  t.is(await client.command('EXEC'), `*3\r\n${scheduled}${scheduled}+PONG\r\n`)
  await host.clock.settle()
  t.regex(await client.command('INFO', 'persistence'), /rdb_bgsave_in_progress:1\r\n/)
  open()
  await host.clock.settle()
  t.regex(await client.command('INFO', 'persistence'), /rdb_bgsave_in_progress:0\r\n/)
  host.server.shutdown()
})

test('stop-writes-on-bgsave-error and save can be changed while it runs', async (t) => {
  const files = new MemoryFiles()
  files.faults = { create: 'EACCES' }
  const host = await startInProcess([], { files })
  const client = host.connect()
  await client.command('BGSAVE')
  await host.clock.settle()
  t.is(await client.command('SET', 'a', '1'), '+OK\r\n')
  await client.command('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'yes')
  t.is(await client.command('SET', 'a', '1'), '+OK\r\n')
  await client.command('CONFIG', 'SET', 'save', '3600 1')
  t.regex(await client.command('SET', 'a', '1'), /^-MISCONF Redis is configured to save/)
  t.regex(await client.command('PING'), /^-MISCONF/)
  t.is(await client.command('GET', 'a'), '$1\r\n1\r\n')
  await client.command('CONFIG', 'SET', 'save', '')
  t.is(await client.command('SET', 'a', '1'), '+OK\r\n')
  host.server.shutdown()
})
