import test from 'ava'
import * as entry from '../../../server/store/entry.ts'

const AT = 64

function narrow(options: {
  type?: number
  db?: number
  key: number
  value: number
  expireAt?: number
}): Int32Array {
  const words = new Int32Array(new SharedArrayBuffer(4096))
  const { type = 0, db = 0, key, value, expireAt } = options
  words[AT >> 2] = entry.narrowHead(type, db, key, value, expireAt !== undefined)
  if (expireAt !== undefined) entry.setExpireAt(words, AT, expireAt)
  return words
}

const WIDE: entry.WideHeader = {
  type: entry.TYPE_LEASE,
  db: 4_095,
  hash: -5,
  keyLength: 300_000,
  valueLength: 512 * 1024 * 1024,
  expires: true,
  bytes: 65_536,
  paged: true,
  keyInPages: true,
  tailInPages: true,
  hasExtras: false,
}

test('a narrow entry keeps its fields, the largest values of each', (t) => {
  const expireAt = 2 ** 52 + 12_345
  const words = narrow({ type: 7, db: 15, key: 255, value: 4_095, expireAt })
  t.is(entry.typeOf(words, AT), 7)
  t.is(entry.databaseOf(words, AT), 15)
  t.is(entry.keyLengthOf(words, AT), 255)
  t.is(entry.valueLengthOf(words, AT), 4_095)
  t.is(entry.expireAtOf(words, AT), expireAt)
  t.false(entry.isFiller(words, AT))
  t.false(entry.isWide(words, AT))
  t.false(entry.isPaged(words, AT))
  t.is(entry.keyAt(words, AT), AT + 12)
  t.is(entry.valueAt(words, AT), AT + 12 + 255)
  t.is(entry.entryBytes(words, AT, 0), 12 + 255 + 4_095 + 2)
})

test('a narrow entry has 4 bytes of header, and is rounded up to 4', (t) => {
  t.is(entry.entryBytes(narrow({ key: 0, value: 0 }), AT, 0), 4)
  t.is(entry.entryBytes(narrow({ key: 1, value: 0 }), AT, 0), 8)
  t.is(entry.entryBytes(narrow({ key: 4, value: 0 }), AT, 0), 8)
  t.is(entry.entryBytes(narrow({ key: 16, value: 100 }), AT, 0), 120)
  t.is(entry.entryBytes(narrow({ key: 16, value: 100, expireAt: 1 }), AT, 0), 128)
  t.is(entry.narrowBytes(16, 101, true), 132)
  t.is(entry.entryBytes(narrow({ key: 16, value: 100 }), AT, 12), 132, 'and the trailer')
})

test('a wide entry keeps its fields, the largest values of each', (t) => {
  const words = narrow({ key: 0, value: 0 })
  entry.writeWide(words, AT, WIDE)
  entry.setExpireAt(words, AT, 1_700_000_000_123)
  t.is(entry.typeOf(words, AT), entry.TYPE_LEASE)
  t.is(entry.databaseOf(words, AT), 4_095)
  t.is(entry.hashOf(words, AT), -5)
  t.is(entry.keyLengthOf(words, AT), 300_000)
  t.is(entry.valueLengthOf(words, AT), 512 * 1024 * 1024)
  t.is(entry.expireAtOf(words, AT), 1_700_000_000_123)
  t.is(entry.entryBytes(words, AT, 0), 65_536)
  t.true(entry.isWide(words, AT) && entry.isPaged(words, AT))
  t.true(entry.isKeyInPages(words, AT) && entry.isTailInPages(words, AT))
  t.is(entry.keyAt(words, AT), AT + 20 + 8 + 8)
  t.is(entry.valueAt(words, AT), AT + 20 + 8 + 8)
  entry.setValuePage(words, AT, 1)
  entry.setKeyPage(words, AT, 2)
  t.deepEqual([entry.valuePageOf(words, AT), entry.keyPageOf(words, AT)], [1, 2])
  t.is(entry.firstPageOf(words, AT), 1)
  entry.setValuePage(words, AT, 0)
  t.is(entry.firstPageOf(words, AT), 2)
  t.false(entry.isInMainList(words, AT))
  entry.setInMainList(words, AT)
  t.true(entry.isInMainList(words, AT))
  t.is(entry.entryBytes(words, AT, 0), 65_536)
  t.is(entry.expireAtOf(words, AT), 1_700_000_000_123)
})

test('flags of a wide entry do not touch each other', (t) => {
  const flags = ['paged', 'keyInPages', 'tailInPages', 'expires', 'hasExtras'] as const
  for (const flag of flags) {
    const words = narrow({ key: 0, value: 0 })
    const none = Object.fromEntries(flags.map((name) => [name, false]))
    entry.writeWide(words, AT, { ...WIDE, db: 0, type: 0, bytes: 44, ...none, [flag]: true })
    t.is(entry.isPaged(words, AT), flag === 'paged')
    t.is(entry.isKeyInPages(words, AT), flag === 'keyInPages')
    t.is(entry.isTailInPages(words, AT), flag === 'tailInPages')
    t.is(entry.hasExpiry(words, AT), flag === 'expires')
    t.is(entry.hasExtras(words, AT), flag === 'hasExtras')
    t.false(entry.isFiller(words, AT))
    t.is(entry.databaseOf(words, AT), 0)
    t.is(entry.entryBytes(words, AT, 0), 44)
  }
})

test('a color is changed and leaves the rest as it is', (t) => {
  const words = narrow({ type: 7, db: 15, key: 255, value: 4_095, expireAt: 1 })
  const head = words[AT >> 2]!
  for (const color of [entry.COLOR, entry.COLOR, 0, 0]) {
    entry.setColor(words, AT, color)
    t.is(words[AT >> 2]! & entry.COLOR, color)
    t.is(words[AT >> 2]! & ~entry.COLOR, head)
  }
})

test('a lease that format 1 of snapshots has, of type 15, is still one', (t) => {
  const words = narrow({ type: 15, db: 0, key: 3, value: 8 })
  t.is(entry.typeOf(words, AT), entry.TYPE_LEASE)
  entry.setColor(words, AT, 0)
  t.is(entry.typeOf(words, AT), entry.TYPE_LEASE)
  t.false(entry.hasExpiry(words, AT) || entry.isWide(words, AT))
})

test('a value stands behind extras, whose length is read at any byte', (t) => {
  for (let keyLength = 0; keyLength < 4; keyLength++) {
    const words = narrow({ key: 0, value: 0 })
    const bytes = new Uint8Array(words.buffer)
    const rest = { paged: false, keyInPages: false, tailInPages: false, hasExtras: true }
    entry.writeWide(words, AT, { ...WIDE, ...rest, keyLength, bytes: 1_064 })
    const from = AT + 28 + keyLength
    t.is(entry.extrasAt(words, AT), from)
    bytes.set([0x04, 0x03], from)
    t.is(entry.extrasBytesOf(words, AT), 0x304)
    t.is(entry.valueAt(words, AT), from + 0x304)
  }
})

test('an expiry keeps milliseconds beyond 32 bits, rounds fractions up, and 0 is none', (t) => {
  const words = narrow({ key: 3, value: 3, expireAt: 0 })
  t.is(entry.expireAtOf(words, AT), 0)
  t.true(entry.hasExpiry(words, AT))
  for (const ms of [1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    entry.setExpireAt(words, AT, ms)
    t.is(entry.expireAtOf(words, AT), ms)
  }
  entry.setExpireAt(words, AT, 1000.25)
  t.is(entry.expireAtOf(words, AT), 1001)
  t.is(entry.expireAtOf(narrow({ key: 3, value: 3 }), AT), 0)
})

test('fillers say how long they are, and whether they are edges', (t) => {
  const words = new Int32Array(1024)
  for (const bytes of [4, 65_536]) {
    entry.writeFiller(words, AT, bytes)
    t.true(entry.isFiller(words, AT))
    t.false(entry.isEdge(words, AT))
    t.is(entry.entryBytes(words, AT, 0), bytes)
    entry.writeEdge(words, AT, bytes)
    t.true(entry.isFiller(words, AT))
    t.true(entry.isEdge(words, AT))
    t.is(entry.entryBytes(words, AT, 0), bytes)
  }
})
