import { resolve } from 'node:path'
import test from 'ava'
import {
  Cache,
  type CacheOptions,
  CacheStateError,
  createCache,
  type LoadResult,
  OutOfMemoryError,
  type RemovalReason,
} from '../../../server/embedded/cache.ts'
import { loadChecksum } from '../../../server/snapshots/snapshot-file.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startInProcess } from '../in-process.ts'
import { MemoryFiles } from '../snapshots/memory-files.ts'

const MB = 1024 * 1024
const PATH = resolve('cache.ringtier')

/** A cache on virtual time and a disk in memory. */
class Host {
  readonly clock = new VirtualClock()
  readonly files: MemoryFiles
  readonly cache: Cache
  readonly told: string[] = []

  constructor(options: Partial<CacheOptions> = {}, files = new MemoryFiles()) {
    this.files = files
    const world = { clock: this.clock, random: new SeededRandom(7), files }
    this.cache = new Cache({ maxMemory: '4mb', ...options }, world)
  }

  /** The last argument of createCache for who wants to hear what went. */
  static listening(options: Partial<CacheOptions> = {}): Host {
    const host: Host = new Host({
      ...options,
      onEvicted: (key, value, reason) => {
        host.told.push(`${reason} ${key.toString()} ${value.length}`)
      },
    })
    return host
  }
}

/* ---- keys and values ---- */

test('strings and bytes are one: what is set as one is got as the other', (t) => {
  const { cache } = new Host()
  t.is(cache.set('key', 'value'), cache)
  t.deepEqual(cache.get(Buffer.from('key')), Buffer.from('value'))
  cache.set(new Uint8Array([107, 101, 121]), new Uint8Array([1, 2]))
  t.deepEqual(cache.get('key'), Buffer.from([1, 2]))
  t.is(cache.size, 1)
  t.is(cache.get('other'), undefined)
  t.is(cache.getString('other'), undefined)
  t.is(cache.getView('other'), undefined)
  t.is(cache.peek('other'), undefined)
})

test('the empty key and the empty value are some, of every type', (t) => {
  const { cache } = new Host()
  cache.set('', '')
  t.true(cache.has(''))
  t.is(cache.getString(''), '')
  t.deepEqual(cache.get(new Uint8Array()), Buffer.alloc(0))
  t.deepEqual(cache.peek(''), Buffer.alloc(0))
  t.true(cache.delete(''))
  t.false(cache.has(''))
})

test('any text and any byte comes back, of every length around the ways it goes', (t) => {
  const { cache } = new Host({ maxMemory: '16mb' })
  const lengths = [1, 19, 20, 21, 300, 4095, 4096, 43_690, 43_691, 65_535, 65_536, 65_537]
  for (const length of [...lengths, 131_071, 131_072, 131_073, 1_000_000]) {
    for (const unit of ['a', 'é', '\u{1F600}']) {
      const text = `${unit}${'b'.repeat(length - 1)}`
      cache.set('value', text)
      t.true(cache.getString('value') === text, `${length}`)
      t.true(cache.get('value')!.equals(Buffer.from(text)))
      t.true(cache.peek('value')!.equals(Buffer.from(text)))
      t.true(cache.getView('value')!.equals(Buffer.from(text)))
      cache.set(text, unit)
      t.is(cache.getString(text), unit)
      t.true([...cache.keys()].includes(text))
      t.is(cache.getString(Buffer.from(text)), unit)
      t.true(cache.delete(text))
    }
  }
})

test('a value is copied in and out: nobody can change it from outside', (t) => {
  const { cache } = new Host()
  for (const length of [10, 100_000]) {
    const value = Buffer.alloc(length, 1)
    cache.set('key', value)
    value.fill(2)
    cache.get('key')!.fill(3)
    cache.getView('key')!.fill(4)
    t.true(cache.get('key')!.equals(Buffer.alloc(length, 1)))
  }
})

test('a view becomes another value at the next call; a copy stays', (t) => {
  const { cache } = new Host()
  cache.set('a', 'first').set('b', 'other')
  const copy = cache.get('a')!
  const peeked = cache.peek('a')!
  const view = cache.getView('a')!
  t.is(view.toString(), 'first')
  cache.getView('b')
  t.is(view.toString(), 'other')
  t.is(copy.toString(), 'first')
  t.is(peeked.toString(), 'first')
})

test('a view can be set as the value of another key', (t) => {
  const { cache } = new Host()
  cache.set('a', 'x'.repeat(50_000))
  cache.set('b', cache.getView('a')!)
  t.is(cache.getString('b'), 'x'.repeat(50_000))
  // A key that is longer in bytes than in characters stays clear of where the view is.
  const key = 'é'.repeat(70_000)
  cache.set(key, cache.getView('a')!.subarray(0, 50_000))
  t.is(cache.getString(key), 'x'.repeat(50_000))
})

/* ---- time to live ---- */

test('an entry lives exactly as long as set says', async (t) => {
  const { cache, clock } = new Host()
  cache.set('key', 'value', { ttl: 250 })
  t.is(cache.ttl('key'), 250)
  await clock.advance(249)
  t.is(cache.ttl('key'), 1)
  t.is(cache.getString('key'), 'value')
  await clock.advance(1)
  t.is(cache.ttl('key'), undefined)
  t.is(cache.get('key'), undefined)
  t.false(cache.has('key'))
})

test('without ttl an entry lives for ever, or as long as the cache says', async (t) => {
  const { cache } = new Host()
  cache.set('key', 'value')
  t.is(cache.ttl('key'), Infinity)
  const short = new Host({ ttl: 100 })
  short.cache.set('a', '1').set('b', '2', { ttl: Infinity }).set('c', '3', { ttl: 200 })
  t.deepEqual([short.cache.ttl('a'), short.cache.ttl('b')], [100, Infinity])
  await short.clock.advance(100)
  t.deepEqual([...short.cache.keys()].sort(), ['b', 'c'])
})

test('a fraction of a millisecond is a life: nothing goes early', (t) => {
  let now = 1000.6
  const cache = createCache({ maxMemory: '2mb', now: () => now })
  t.teardown(() => cache.close())
  cache.set('key', 'value', { ttl: 0.5 })
  now = 1001.09
  t.true(cache.has('key'))
  now = 1002
  t.false(cache.has('key'))
})

test('expire gives another time, or none, and tells whether the key is there', async (t) => {
  const { cache, clock } = new Host()
  cache.set('key', 'v'.repeat(100_000)).set('small', 'v')
  for (const key of ['key', 'small']) {
    t.true(cache.expire(key, 100))
    t.is(cache.ttl(key), 100)
    t.true(cache.expire(key, Infinity))
    t.is(cache.ttl(key), Infinity)
    t.true(cache.expire(key, 50))
  }
  t.false(cache.expire('other', 100))
  await clock.advance(50)
  t.false(cache.expire('key', 100))
  t.is(cache.get('small'), undefined)
})

test('what has expired is removed though nobody asks for it', async (t) => {
  const { cache, clock } = new Host()
  for (let i = 0; i < 1000; i++) cache.set(`key:${i}`, 'v', { ttl: 1000 })
  cache.set('stays', 'v')
  await clock.advance(999)
  t.is(cache.size, 1001)
  await clock.advance(1000)
  t.is(cache.size, 1)
  t.is(cache.stats().expired, 1000)
})

/* ---- one key ---- */

test('delete, touch and has tell whether the key was there', (t) => {
  const { cache } = new Host()
  cache.set('key', 'value')
  t.true(cache.touch('key'))
  t.true(cache.has('key'))
  t.true(cache.delete('key'))
  t.false(cache.delete('key'))
  t.false(cache.touch('key'))
  t.false(cache.has('key'))
})

test('get, getString and getView count as hits and misses; peek, has, ttl and touch do not', (t) => {
  const { cache } = new Host()
  cache.set('key', 'value').set('big', 'b'.repeat(70_000))
  for (const key of ['key', 'big', 'none']) {
    cache.get(key)
    cache.getString(key)
    cache.getView(key)
    cache.peek(key)
    cache.has(key)
    cache.ttl(key)
    cache.touch(key)
  }
  const { hits, misses, sets, entries } = cache.stats()
  t.deepEqual({ hits, misses, sets, entries }, { hits: 6, misses: 3, sets: 2, entries: 2 })
})

test('lru evicts what was not asked for; a touch keeps, a peek does not', (t) => {
  for (const [keep, kept] of [
    ['touch', true],
    ['get', true],
    ['peek', false],
    ['has', false],
    ['ttl', false],
  ] as const) {
    const { cache } = new Host({ maxMemory: '2mb', eviction: 'lru' })
    cache.set('old', 'value')
    for (let i = 0; i < 40_000; i++) {
      cache.set(`key:${i}`, 'v'.repeat(50))
      cache[keep]('old')
    }
    t.is(cache.has('old'), kept, keep)
  }
})

test('bytesOf is what the entry takes of bytesUsed, key and index with it', (t) => {
  const { cache } = new Host()
  t.is(cache.bytesOf('key'), undefined)
  cache.set('key', 'v'.repeat(100))
  // 4 of header, 3 and 100, to a multiple of 4, and 8 of index.
  t.is(cache.bytesOf('key'), 116)
  cache.set('key', 'v'.repeat(100), { ttl: 1000 })
  t.is(cache.bytesOf('key'), 124)
})

/* ---- all of them ---- */

test('keys and entries visit each once while the cache changes', (t) => {
  const { cache } = new Host()
  for (let i = 0; i < 5000; i++) cache.set(`key:${i}`, `value:${i}`)
  const seen = new Set<string>()
  for (const [key, value] of cache) {
    if (!key.startsWith('key:')) continue
    t.is(value.toString(), key.replace('key', 'value'))
    t.false(seen.has(key))
    seen.add(key)
    cache.delete(key)
    cache.set(`new:${key}`, 'x')
  }
  t.is(seen.size, 5000)
  t.is(cache.size, 5000)
  t.is([...cache.keys()].length, 5000)
})

test('keys and entries come as bytes where they are asked for', (t) => {
  const { cache } = new Host()
  const key = Buffer.from([0xff, 0x00, 0xfe])
  cache.set(key, 'value')
  t.deepEqual([...cache.keys('buffer')], [key])
  t.deepEqual([...cache.entries('buffer')], [[key, Buffer.from('value')]])
  t.deepEqual([...cache.entries()], [[key.toString(), Buffer.from('value')]])
})

test('clear removes everything', (t) => {
  const { cache } = new Host()
  for (let i = 0; i < 1000; i++) cache.set(`key:${i}`, 'v'.repeat(i))
  const { bytesUsed } = cache.stats()
  cache.clear()
  t.is(cache.size, 0)
  t.deepEqual([...cache.keys()], [])
  t.true(cache.stats().bytesUsed < bytesUsed)
})

/* ---- memory ---- */

test('memory is never more than maxMemory, and nothing is stored as something else', (t) => {
  const { cache } = new Host({ maxMemory: 2 * MB })
  for (let i = 0; i < 30_000; i++) cache.set(`key:${i}`, `${i}`.repeat(20))
  const stats = cache.stats()
  t.true(stats.evicted > 0)
  t.true(stats.bytesUsed <= 2 * MB)
  t.is(stats.maxMemory, 2 * MB)
  t.is(stats.entries + stats.evicted, 30_000)
  for (const [key, value] of cache) t.is(value.toString(), key.slice(4).repeat(20))
})

test('maxMemory is lowered between events and raised up to the ceiling', async (t) => {
  const { cache, clock } = new Host({ maxMemory: '8mb', maxMemoryCeiling: '16mb' })
  for (let i = 0; i < 40_000; i++) cache.set(`key:${i}`, 'v'.repeat(100))
  t.true(cache.stats().bytesUsed > 4 * MB)
  cache.maxMemory = '4mb'
  t.is(cache.maxMemory, 4 * MB)
  t.true(cache.stats().bytesExcess > 0)
  await clock.until(() => cache.stats().bytesExcess === 0)
  t.true(cache.stats().bytesUsed <= 4 * MB)
  t.true(cache.size > 0)
  const { size } = cache
  cache.maxMemory = 3 * MB
  await clock.until(() => cache.stats().bytesExcess === 0)
  t.true(cache.size < size)
  cache.maxMemory = 16 * MB
  t.is(cache.stats().maxMemory, 16 * MB)
  t.throws(() => (cache.maxMemory = 16 * MB + 1), {
    instanceOf: RangeError,
    message: /maxMemoryCeiling/,
  })
})

test('a value over about half of maxMemory is refused, one over half leaves the key its own', (t) => {
  const { cache } = new Host({ maxMemory: '4mb' })
  const bytes = Buffer.alloc(2 * MB + 1, 7)
  const takes = (length: number): boolean => {
    try {
      cache.set('key', bytes.subarray(0, length))
      return true
    } catch (error) {
      t.true(error instanceof RangeError)
      t.regex((error as Error).message, /half of maxMemory/)
      return false
    }
  }
  let taken = 1
  let refused = bytes.length
  cache.set('key', 'own')
  t.false(takes(refused))
  t.is(cache.getString('key'), 'own')
  while (refused - taken > 1) {
    const middle = (taken + refused) >>> 1
    if (takes(middle)) taken = middle
    else refused = middle
  }
  t.true(taken > 0.4 * cache.maxMemory && taken <= 0.5 * cache.maxMemory)
  t.false(takes(taken + 1))
  t.true(takes(taken))
  t.is(cache.get('key')!.length, taken)
})

test('where nobody may go a write is refused with OUT_OF_MEMORY, until something is deleted', (t) => {
  const { cache } = new Host({ maxMemory: '2mb', eviction: 'noeviction' })
  let stored = 0
  const error = t.throws(
    () => {
      for (;;) cache.set(`key:${stored++}`, 'v'.repeat(400))
    },
    { instanceOf: OutOfMemoryError, message: /noeviction.*raise maxMemory/ },
  )
  t.is(error.code, 'OUT_OF_MEMORY')
  t.is(cache.size, stored - 1)
  t.is(cache.stats().evicted, 0)
  t.throws(() => cache.set('long', Buffer.alloc(MB)), { instanceOf: RangeError, message: /half/ })
  cache.clear()
  t.notThrows(() => cache.set('key', 'v'))
})

test('eviction changes while it runs, but not from or to lru and second-chance', (t) => {
  const { cache } = new Host()
  t.is(cache.eviction, 's3a')
  cache.eviction = 'fifo'
  t.is(cache.eviction, 'fifo')
  t.throws(() => (cache.eviction = 'lru'), { instanceOf: RangeError, message: /createCache only/ })
  t.is(cache.eviction, 'fifo')
  const lru = new Host({ eviction: 'lru' }).cache
  t.throws(() => (lru.eviction = 's3a'), { message: /'lru' keeps bytes/ })
  lru.eviction = 'noeviction'
  t.is(lru.eviction, 'noeviction')
})

/* ---- onEvicted ---- */

test('onEvicted is told why: overwritten, deleted, expired, evicted', async (t) => {
  const host = Host.listening({ maxMemory: '2mb' })
  const { cache, clock, told } = host
  cache.set('a', '1').set('a', '22').set('b', '333', { ttl: 10 }).set('c', '4444', { ttl: 10 })
  cache.delete('a')
  await clock.advance(10)
  cache.get('b')
  await clock.advance(200)
  t.deepEqual(told.splice(0), ['overwritten a 1', 'deleted a 2', 'expired b 3', 'expired c 4'])
  cache.set('d', '55555').clear()
  t.deepEqual(told.splice(0), ['deleted d 5'])
  for (let i = 0; i < 30_000; i++) cache.set(`key:${i}`, 'v'.repeat(60))
  t.true(told.length > 0)
  t.true(told.every((line) => /^evicted key:\d+ 60$/.test(line)))
  t.is(told.length, cache.stats().evicted)
})

test('onEvicted may use the cache', (t) => {
  const reasons: RemovalReason[] = []
  const { cache }: Host = new Host({
    onEvicted: (key, value, reason) => {
      reasons.push(reason)
      if (reason === 'deleted') cache.set(`was:${key.toString()}`, value)
      t.is(cache.getString('other'), 'x')
    },
  })
  cache.set('other', 'x').set('key', 'value')
  t.true(cache.delete('key'))
  t.is(cache.getString('was:key'), 'value')
  cache.set('was:key', 'again')
  t.deepEqual(reasons, ['deleted', 'overwritten'])
})

test('what onEvicted throws is thrown by the call, which has done its work', (t) => {
  const { cache } = new Host({
    onEvicted: (_key, value) => {
      throw new Error(`no ${value.toString()}`)
    },
  })
  cache.set('key', 'one')
  t.throws(() => cache.set('key', 'two'), { message: 'no one' })
  t.is(cache.getString('key'), 'two')
  t.throws(() => cache.delete('key'), { message: 'no two' })
  t.false(cache.has('key'))
  cache.set('a', '1').set('b', '2')
  t.throws(() => cache.clear(), { message: /no [12]/ })
  t.is(cache.size, 0)
})

/** A host whose listener throws while it is told to, with what a process would hear as uncaught. */
function throwing(options: Partial<CacheOptions>, files?: MemoryFiles) {
  const uncaught: string[] = []
  const told: string[] = []
  const how = { throws: true }
  const onEvicted = (key: Buffer, _value: Buffer, reason: RemovalReason): void => {
    told.push(`${reason} ${key.toString()}`)
    if (how.throws) throw new Error(key.toString())
  }
  const host = new Host({ ...options, onEvicted }, files)
  const { clock } = host
  const soon = clock.soon.bind(clock)
  clock.soon = (run) =>
    soon(() => {
      try {
        run()
      } catch (error) {
        uncaught.push((error as Error).message)
      }
    })
  return { ...{ cache: host.cache, clock }, uncaught, told, how }
}

test('what onEvicted throws during a sweep is uncaught, each of it, and the sweep goes on', async (t) => {
  const { cache, clock, uncaught } = throwing({})
  for (const key of ['a', 'b', 'c']) cache.set(key, 'value', { ttl: 10 })
  await clock.advance(300)
  t.deepEqual(uncaught.splice(0).sort(), ['a', 'b', 'c'])
  cache.set('again', 'value', { ttl: 10 })
  await clock.advance(300)
  t.deepEqual(uncaught, ['again'])
  t.is(cache.size, 0)
})

test('what onEvicted throws while memory is lowered is uncaught, and the lowering goes on', async (t) => {
  const { cache, clock, uncaught, told, how } = throwing({ maxMemory: '8mb' })
  how.throws = false
  for (let i = 0; i < 20_000; i++) cache.set(`key:${i}`, 'v'.repeat(300))
  told.length = 0
  how.throws = true
  cache.maxMemory = '5mb'
  await clock.until(() => cache.stats().bytesExcess === 0)
  t.true(told.length > 0)
  t.deepEqual(
    uncaught,
    told.map((line) => line.replace('evicted ', '')),
  )
})

test('onEvicted hears of what has no room during a load; what it throws is uncaught', async (t) => {
  const large = new Host({ maxMemory: '8mb' })
  for (let i = 0; i < 20_000; i++) large.cache.set(`key:${i}`, 'v'.repeat(300))
  const { entries } = await large.cache.save(PATH)
  const { cache, clock, uncaught, told } = throwing({ maxMemory: '4mb' }, large.files)
  let result: LoadResult | undefined
  const loading = cache.load(PATH).then((loaded) => (result = loaded))
  await clock.until(() => result !== undefined)
  await loading
  await clock.settle()
  t.true(told.length > 0)
  t.is(uncaught.length, told.length)
  t.is(result!.entries, entries)
  t.is(cache.size, entries - told.length)
})

/* ---- files ---- */

test('save and load bring entries back with their times, whatever the seed', async (t) => {
  const { cache, files, clock } = new Host()
  for (let i = 0; i < 1000; i++) cache.set(`key:${i}`, `value:${i}`)
  cache.set('big', 'b'.repeat(200_000)).set('short', 'v', { ttl: 500 }).set('gone', 'v', { ttl: 5 })
  const saved = await cache.save('cache.ringtier')
  t.is(saved.entries, 1003)
  t.is(saved.bytes, files.files.get(PATH)!.length)
  for (const options of [{}, { hashSeed: 5 }, { maxMemory: '8mb' }, { eviction: 'lru' as const }]) {
    const other = new Host(options, files)
    await other.clock.advance(clock.now() + 100 - other.clock.now())
    t.deepEqual(await other.cache.load(PATH), {
      ...{ entries: 1002, expired: 1, lost: 0, damagedParts: 0, isCutOff: false },
    })
    t.is(other.cache.size, 1002)
    for (let i = 0; i < 1000; i++) t.is(other.cache.getString(`key:${i}`), `value:${i}`)
    t.is(other.cache.getString('big'), 'b'.repeat(200_000))
    t.is(other.cache.ttl('short'), 400)
    await other.clock.advance(400)
    t.false(other.cache.has('short'))
    other.cache.close()
    t.is(other.clock.timers, 0)
  }
})

test('a load takes over the seed of the file, unless one was given', async (t) => {
  const { cache, files } = new Host({ hashSeed: 12345 })
  cache.set('key', 'value')
  await cache.save(PATH)
  for (const [options, seed] of [
    [{}, 12345],
    [{ hashSeed: 5 }, 5],
  ] as const) {
    const other = new Host(options, files)
    await other.cache.load(PATH)
    await other.cache.save('again')
    // docs/snapshot.md: the seed stands at 60.
    t.is(files.files.get(resolve('again'))!.readUInt32LE(60), seed)
    other.cache.close()
    t.is(other.clock.timers, 0)
  }
})

test('load keeps maxMemory and eviction as they were set', async (t) => {
  const { cache, files } = new Host()
  cache.set('key', 'value')
  await cache.save(PATH)
  const world = { clock: new VirtualClock(), random: new SeededRandom(9), files }
  const other = new Cache({ maxMemory: '4mb', maxMemoryCeiling: '8mb' }, world)
  other.maxMemory = '6mb'
  other.eviction = 'fifo'
  await other.load(PATH)
  t.is(other.getString('key'), 'value')
  t.is(other.maxMemory, 6 * MB)
  t.is(other.eviction, 'fifo')
  other.maxMemory = '8mb'
  t.throws(() => (other.maxMemory = '9mb'), { message: /8388608/ })
})

test('a server starts with what a cache has saved, and a cache with database 0 of a server', async (t) => {
  const { cache, files } = new Host({ maxMemory: '16mb' })
  cache.set('key', 'value').set('short', 'v', { ttl: 10_000 })
  await cache.save('dump.ringtier')
  const { server, clock, connect } = await startInProcess([], { files })
  await server.loaded
  const client = connect()
  t.is(await client.command('GET', 'key'), '$5\r\nvalue\r\n')
  t.is(await client.command('PTTL', 'short'), ':10000\r\n')
  const info = await client.command('INFO', 'persistence')
  t.regex(info, /\r\nsnapshot_last_load_records_replayed:0\r\n/)
  await client.command('SET', 'more', 'of it')
  await client.command('SELECT', '1')
  await client.command('SET', 'elsewhere', 'v')
  let saved = ''
  void client.command('SAVE').then((reply) => (saved = reply))
  await clock.until(() => saved !== '')
  t.is(saved, '+OK\r\n')
  server.shutdown()
  cache.clear()
  t.deepEqual(await cache.load('dump.ringtier'), {
    ...{ entries: 3, expired: 0, lost: 1, damagedParts: 0, isCutOff: false },
  })
  t.is(cache.getString('more'), 'of it')
  t.is(cache.ttl('short'), 10_000)
  t.false(cache.has('elsewhere'))
})

test('there is no file: load gives undefined, and the cache is used as before', async (t) => {
  const { cache } = new Host()
  t.is(await cache.load('none'), undefined)
  cache.set('key', 'value')
  t.is(cache.getString('key'), 'value')
})

test('a file that is none is refused, and the cache is used as before', async (t) => {
  const { cache, files } = new Host()
  files.files.set(PATH, Buffer.from('REDIS0011'))
  await t.throwsAsync(cache.load(PATH), {
    code: 'SNAPSHOT',
    message: /file of Redis.*load another/,
  })
  cache.set('key', 'value')
  t.is(cache.getString('key'), 'value')
})

test('damage costs what it touches, and is counted', async (t) => {
  const { cache, files } = new Host()
  for (let i = 0; i < 1000; i++) cache.set(`key:${i}`, `value:${i}`)
  await cache.save(PATH)
  const bytes = files.files.get(PATH)!
  bytes[700]! ^= 1
  const other = new Host({}, files).cache
  const loaded = (await other.load(PATH))!
  t.is(loaded.damagedParts, 1)
  t.true(loaded.lost > 0)
  t.is(loaded.entries + loaded.lost, 1000)
  t.is(other.size, loaded.entries)
  files.files.set(PATH, bytes.subarray(0, bytes.length / 2))
  t.true((await new Host({}, files).cache.load(PATH))!.isCutOff)
})

test('a load needs an empty cache, and the cache waits for it', async (t) => {
  const { cache } = new Host()
  cache.set('key', 'value')
  await cache.save(PATH)
  await t.throwsAsync(cache.load(PATH), { instanceOf: CacheStateError, message: /clear\(\)/ })
  cache.clear()
  const loading = cache.load(PATH)
  for (const use of [
    () => cache.get('key'),
    () => cache.set('key', 'other'),
    () => cache.size,
    () => cache.keys(),
    () => cache.clear(),
    () => (cache.maxMemory = '4mb'),
  ]) {
    t.throws(use, { instanceOf: CacheStateError, message: /being loaded/ })
  }
  await t.throwsAsync(cache.load(PATH), { message: /being loaded/ })
  await loading
  t.is(cache.getString('key'), 'value')
})

test('saves wait for one another; one that fails leaves the file before', async (t) => {
  const { cache, files } = new Host()
  cache.set('key', 'value')
  const both = Promise.all([cache.save(PATH), cache.save(PATH)])
  t.deepEqual(
    (await both).map(({ entries }) => entries),
    [1, 1],
  )
  const before = Buffer.from(files.files.get(PATH)!)
  files.faults = { write: { code: 'ENOSPC', after: 100 } }
  await t.throwsAsync(cache.save(PATH), { code: 'ENOSPC' })
  t.deepEqual(files.files.get(PATH), before)
  t.is(files.files.size, 1)
  files.faults = {}
  let open = (): void => {}
  files.gate = new Promise((resolve) => (open = resolve))
  files.steps.length = 0
  const first = cache.save(PATH)
  const second = cache.save('second')
  while (files.steps.length === 0) await loadChecksum()
  // As long as the second one would take to begin.
  for (let i = 0; i < 5; i++) await loadChecksum()
  t.is(files.steps.length, 1)
  open()
  await Promise.all([first, second])
  t.true(files.files.has(resolve('second')))
  t.is((await cache.save(PATH)).entries, 1)
})

/* ---- the end ---- */

test('close stops the timers; whatever is called after is refused; a second close is none', async (t) => {
  const { cache, clock } = new Host()
  cache.set('key', 'value')
  const keys = cache.keys()
  cache.close()
  cache.close()
  t.is(clock.timers, 0)
  for (const use of [
    () => cache.get('key'),
    () => cache.set('key', 'value'),
    () => cache.stats(),
    () => cache.entries(),
    () => keys.next(),
  ]) {
    t.throws(use, { instanceOf: CacheStateError, message: 'the cache is closed' })
  }
  await t.throwsAsync(cache.save(PATH), { code: 'CACHE_STATE' })
  await t.throwsAsync(cache.load(PATH), { code: 'CACHE_STATE' })
})

test('close calls a save off, and ends a load', async (t) => {
  const { cache, files } = new Host()
  for (let i = 0; i < 1000; i++) cache.set(`key:${i}`, `value:${i}`)
  await cache.save(PATH)
  let open = (): void => {}
  files.gate = new Promise((resolve) => (open = resolve))
  const saving = cache.save(resolve('other'))
  while (!files.steps.some((step) => step.startsWith('create') && step.endsWith('other'))) {
    await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }
  cache.close()
  open()
  await t.throwsAsync(saving, { code: 'ABORTED' })
  t.deepEqual([...files.files.keys()], [PATH])
  const other = new Host({}, files)
  const loading = other.cache.load(PATH)
  other.cache.close()
  await t.throwsAsync(loading, { code: 'CACHE_STATE' })
  t.is(other.clock.timers, 0)
})

test('close ends the lowering of memory', async (t) => {
  const { cache, clock, told } = Host.listening({ maxMemory: '8mb' })
  for (let i = 0; i < 20_000; i++) cache.set(`key:${i}`, 'v'.repeat(300))
  told.length = 0
  cache.maxMemory = '5mb'
  cache.close()
  await clock.advance(1000)
  t.deepEqual(told, [])
})

/* ---- refusals ---- */

const refused: readonly [title: string, options: unknown, says: RegExp][] = [
  ['no options', undefined, /^createCache wants options: createCache\(\{ maxMemory/],
  ['no maxMemory', {}, /^maxMemory must be bytes or a size like '256mb', but is undefined$/],
  ['a misspelt option', { maxmemory: 1 }, /no option maxmemory: did you mean maxMemory\?$/],
  ['an option of others', { maxMemory: '4mb', dispose: 1 }, /no option dispose: there are max/],
  ['a size that is none', { maxMemory: '4 parsecs' }, /but is '4 parsecs'$/],
  ['an empty size', { maxMemory: '' }, /at least '2mb'.*but is ''$/],
  ['a byte less than the least', { maxMemory: 2 * MB - 1 }, /at least '2mb' \(2097152\).*2097151$/],
  ['not a number', { maxMemory: NaN }, /but is NaN$/],
  ['more than there can be', { maxMemory: '999999gb' }, /^maxMemory can be at most/],
  [
    'a ceiling below',
    { maxMemory: '4mb', maxMemoryCeiling: '3mb' },
    /^maxMemoryCeiling must be at least 4194304/,
  ],
  [
    'an eviction',
    { maxMemory: '4mb', eviction: 'fif' },
    /no eviction 'fif': did you mean 'fifo'\?/,
  ],
  ['another eviction', { maxMemory: '4mb', eviction: 'mostly' }, /there are s3a, s3-fifo/],
  ['a ttl of 0', { maxMemory: '4mb', ttl: 0 }, /ttl must be over 0/],
  ['a ttl in words', { maxMemory: '4mb', ttl: '5s' }, /ttl must be a number.*is string/],
  ['a seed', { maxMemory: '4mb', hashSeed: 2 ** 32 }, /hashSeed must be.*4294967295/],
  ['a listener', { maxMemory: '4mb', onEvicted: 'x' }, /onEvicted must be a function.*string/],
  ['a clock', { maxMemory: '4mb', now: 5 }, /now must be a function.*number/],
]
for (const [title, options, says] of refused) {
  test(`createCache refuses ${title}`, (t) => {
    const error = t.throws(() => createCache(options as CacheOptions), { message: says })
    t.true(error instanceof TypeError || error instanceof RangeError)
  })
}

test('the least maxMemory is taken, and stores', (t) => {
  for (const maxMemory of [2 * MB, '2mb', ' 2MB ', '2097152']) {
    const { cache } = new Host({ maxMemory })
    cache.set('key', 'value')
    t.is(cache.maxMemory, 2 * MB)
    t.is(cache.getString('key'), 'value')
  }
})

test('keys, values, times and names of other types are refused with what to do', (t) => {
  const { cache } = new Host()
  const wrong = cache as unknown as Record<string, (...args: unknown[]) => unknown>
  const calls: [string, unknown[], RegExp][] = [
    ['get', [5], /^a key must be a string or a Uint8Array, but is number: try String\(key\)$/],
    ['has', [undefined], /but is undefined/],
    ['delete', [null], /but is null/],
    ['set', [{}, 'v'], /but is Object/],
    ['set', ['k'], /^a value must be .* JSON\.stringify\(value\)/],
    ['set', ['k', new ArrayBuffer(1)], /but is ArrayBuffer/],
    ['set', ['k', 'v', { ttl: '1' }], /ttl must be a number/],
    ['set', ['k', 'v', { ttl: -1 }], /ttl must be over 0.*-1$/],
    ['set', ['k', 'v', { ttl: NaN }], /NaN$/],
    ['set', ['k', 'v', { ttl: 2 ** 52 + 1 }], /at most 4503599627370496/],
    ['expire', ['k', 0], /ttl must be over 0/],
    ['expire', ['k'], /but is undefined/],
    ['keys', ['hex'], /'buffer' or left out, but is hex/],
    ['entries', ['utf8'], /'buffer' or left out/],
  ]
  for (const [method, args, message] of calls) {
    const error = t.throws(() => wrong[method]!.apply(cache, args), { message }, method)
    t.true(error instanceof TypeError || error instanceof RangeError)
  }
  t.is(cache.size, 0)
  t.notThrows(() => cache.set('k', 'v', { ttl: 2 ** 52 }))
})

test('a path that is none is refused', async (t) => {
  const { cache } = new Host()
  await t.throwsAsync(cache.save(''), { instanceOf: TypeError })
  await t.throwsAsync(cache.load(5 as unknown as string), { instanceOf: TypeError })
})
