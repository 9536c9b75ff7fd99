import test from 'ava'
import * as extras from '../../../server/store/extras.ts'
import type { FillExtras } from '../../../server/store/extras.ts'

const EXPIRY = 1_700_000_100_000

const ALL: FillExtras = {
  freshUntil: EXPIRY - 86_400_000,
  visibleUntil: EXPIRY - 3_600_000,
  loadedAt: 1_700_000_000_000,
  costMs: 1_234,
  group: 65_534,
  birth: 0xfffffffe,
  tags: [0, 1, 0xffffffff],
  etag: Buffer.from('W/"etag"'),
  idleMs: 60_000,
}

const LEAST: FillExtras = {
  freshUntil: 0,
  visibleUntil: 0,
  loadedAt: 0,
  costMs: 0,
  group: -1,
  birth: 0,
  tags: [],
  etag: null,
  idleMs: 0,
}

function encode(fill: FillExtras, expireAt = EXPIRY, chunkBytes = 65_536): extras.ExtrasBlock {
  const block = new extras.ExtrasBlock(chunkBytes)
  if (!block.encode(fill, expireAt, 1_700_000_000_999)) throw new Error('the tags do not fit')
  return block
}

test('extras come back as they were written, at any position', (t) => {
  const { birth, ...told } = ALL
  const block = encode(ALL)
  for (const at of [0, 1, 2, 3]) {
    const bytes = new Uint8Array(2_000)
    bytes.set(block.bytes.subarray(0, block.length), at)
    const view = new DataView(bytes.buffer)
    const back = extras.decode(view, at, EXPIRY)
    t.deepEqual({ ...back, etag: Buffer.from(back.etag!) }, told as extras.Extras)
    t.is(extras.birthAt(view, at), birth)
    t.true(extras.isSound(view, at, block.length))
    t.false(extras.isSound(view, at, block.length - 1))
  }
})

test('an entry without expiry is fresh for ever, and the least block has 24 bytes', (t) => {
  const block = encode(LEAST, 0)
  t.is(block.length, 24)
  const { birth: _birth, ...told } = LEAST
  t.deepEqual(extras.decode(block.view, 0, 0), told)
  t.true(extras.isSound(block.view, 0, 24))
})

test('a cost beyond the field is told as the most there is, and one below 0 as 0', (t) => {
  t.is(extras.costAt(encode({ ...LEAST, costMs: 65_535.4 }).view, 0), 65_535)
  t.is(extras.costAt(encode({ ...LEAST, costMs: 1e9 }).view, 0), 65_535)
  t.is(extras.costAt(encode({ ...LEAST, costMs: -1 }).view, 0), 0)
})

test('an ETag that does not fit is left out, tags that do not fit forbid the entry', (t) => {
  const tags = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
  const fits = (count: number, etag: number, chunkBytes: number, idleMs = 0): string => {
    const block = new extras.ExtrasBlock(chunkBytes)
    const fill = { ...LEAST, tags: tags(count), etag: new Uint8Array(etag), idleMs }
    if (!block.encode(fill, 0, 0)) return 'no'
    return extras.decode(block.view, 0, 0).etag === null ? 'without ETag' : 'whole'
  }
  // 24 bytes, 4 a tag, 1 and the ETag; up to a quarter of a chunk, and 1,024.
  t.is(fits(26, 0, 512), 'without ETag')
  t.is(fits(27, 0, 512), 'no')
  t.is(fits(25, 3, 512), 'whole')
  t.is(fits(25, 4, 512), 'without ETag')
  t.is(fits(0, 255, 65_536), 'whole')
  t.is(fits(0, 256, 65_536), 'without ETag')
  t.is(fits(250, 0, 65_536), 'without ETag')
  t.is(fits(251, 0, 65_536), 'no')
  const { tagsMax } = new extras.ExtrasBlock(65_536)
  t.is(fits(tagsMax, 0, 65_536, 1_000), 'without ETag')
  t.is(fits(tagsMax + 1, 0, 65_536, 1_000), 'no')
  t.is(new extras.ExtrasBlock(512).tagsMax, 24)
})

test('an entry is idle when as many whole seconds have gone by, not before', (t) => {
  const { view } = encode({ ...LEAST, idleMs: 1_001 })
  t.false(extras.isIdle(view, 0, 1_700_000_002_999))
  t.true(extras.isIdle(view, 0, 1_700_000_003_000))
  extras.noteAsked(view, 0, 1_700_000_002_500)
  t.false(extras.isIdle(view, 0, 1_700_000_004_999))
  t.true(extras.isIdle(view, 0, 1_700_000_005_000))
  t.false(extras.isIdle(encode(LEAST).view, 0, 1_800_000_000_000))
})

test('times move with the scale, and what is not known stays unknown', (t) => {
  const { view } = encode(ALL)
  extras.shiftTimes(view, 0, -10_400)
  t.is(extras.loadedAtOf(view, 0), 1_699_999_990_000)
  t.false(extras.isIdle(view, 0, 1_700_000_050_999))
  t.true(extras.isIdle(view, 0, 1_700_000_051_000))
  const unknown = encode(LEAST).view
  extras.shiftTimes(unknown, 0, 5_000)
  t.is(extras.loadedAtOf(unknown, 0), 0)
  extras.shiftTimes(view, 0, -1e13)
  t.is(extras.loadedAtOf(view, 0), 0)
  t.false(extras.isIdle(view, 0, 60_999))
  t.true(extras.isIdle(view, 0, 61_000))
})

test('a block whose lengths contradict each other is not sound', (t) => {
  for (const [at, byte] of [
    [0, 25],
    [0, 23],
    [2, 1],
    [2, 2],
    [3, 1],
  ] as const) {
    const { view } = encode(LEAST)
    view.setUint8(at, byte)
    t.false(extras.isSound(view, 0, 1_024), `${at}`)
  }
  t.false(extras.isSound(encode(LEAST).view, 0, 20))
})
