import test, { type ExecutionContext } from 'ava'
import {
  FunctionLoader,
  type LoadContext,
  type WriteContext,
} from '../../../cluster/origin/function.ts'
import { type Loaded, OriginError, type OriginErrorKind } from '../../../cluster/origin/loader.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'

const group = originGroup({ ttlMs: 90_000, bodyBytesMax: 10 })

/** What comes of it when a load function returns this. */
function returning(value: unknown, etag: string | null = null, rules = group): Promise<Loaded> {
  return new FunctionLoader({ load: () => value }).load(loadRequest(rules, 'k', { etag }))
}

async function refused(
  t: ExecutionContext,
  loading: Promise<unknown>,
  kind: OriginErrorKind,
  line: string,
): Promise<OriginError> {
  const error = await t.throwsAsync(loading, { instanceOf: OriginError })
  t.is(error.message, `ORIGIN g: ${line}`)
  t.is(error.kind, kind)
  return error
}

test('a function is given the key and its parts as text, the bytes, and what the group says', async (t) => {
  let seen: [string, LoadContext] | undefined
  const loader = new FunctionLoader({ load: (key, context) => void (seen = [key, context]) })
  const params = new Map([
    ['id', Buffer.from('ü')],
    ['__proto__', Buffer.from([0xff])],
  ])
  const request = loadRequest(group, Buffer.from('k:ü:\xff', 'latin1'), { params, etag: 'e' })
  await loader.load(request)
  const [key, { params: given, rawKey, signal, ttl, etag }] = seen!
  t.is(key, 'k:\uFFFD:\uFFFD')
  t.deepEqual(Object.entries(given), [
    ['id', 'ü'],
    ['__proto__', '\uFFFD'],
  ])
  t.deepEqual(rawKey, Buffer.from('k:ü:\xff', 'latin1'))
  rawKey.fill(0)
  t.is(request.key[0], 'k'.charCodeAt(0))
  t.is(signal, request.signal)
  t.is(ttl, 90)
  t.is(etag, 'e')
})

test('text and bytes are values, also later', async (t) => {
  for (const value of ['ü', Buffer.from('ü'), new Uint8Array(Buffer.from('ü'))]) {
    t.deepEqual(await returning(value), { value: Buffer.from('ü') })
    t.deepEqual(await returning(Promise.resolve(value)), { value: Buffer.from('ü') })
    t.deepEqual(await returning({ value }), { value: Buffer.from('ü') })
  }
  t.deepEqual(await returning(''), { value: Buffer.alloc(0) })
  t.deepEqual(await returning(new Uint8Array(0)), { value: Buffer.alloc(0) })
  // A view sees its own part only.
  t.deepEqual(await returning(Buffer.from('abcdef').subarray(2, 4)), { value: Buffer.from('cd') })
})

test('bytes are copied: what the function does with them later changes nothing', async (t) => {
  const bytes = Buffer.from('abc')
  const { value } = await returning(bytes)
  bytes.fill(0)
  t.is(String(value), 'abc')
})

test('null, undefined and notFound are "no such thing"', async (t) => {
  const loader = new FunctionLoader({ load: (_key, { notFound }) => notFound })
  t.deepEqual(await loader.load(loadRequest(group, 'k')), { value: null })
  const detailed = new FunctionLoader({
    load: (_key, { notFound }) => ({ value: notFound, ttl: 5 }),
  })
  t.like(await detailed.load(loadRequest(group, 'k')), { value: null, freshMs: 5000 })
  for (const value of [null, undefined, { value: null }, { value: undefined }]) {
    t.is((await returning(value)).value, null)
  }
})

test('an object says how long its value is kept, in seconds or as text, and by what it is known', async (t) => {
  const result = {
    value: 'v',
    ttl: 1.5,
    stale: '5m',
    staleIfError: '7',
    tags: ['a', 'a', 'ü'],
    etag: '7',
  }
  const times = { freshMs: 1500, staleMs: 300_000, staleIfErrorMs: 7000 }
  const known = { value: Buffer.from('v'), tags: ['a', 'ü'], etag: '7' }
  t.deepEqual(await returning(result), { ...times, ...known })
  t.like(await returning({ value: 'v', ttl: 0 }), { freshMs: 0 })
  t.like(await returning({ value: 'v', ttl: Infinity }), { freshMs: 2 ** 31 * 1000 })
  const deaf = { ...group, honoursCacheControl: false }
  t.deepEqual(await returning(result, null, deaf), known)
})

test('unchanged says that what has the etag still stands', async (t) => {
  const load = (_key: string, { etag, unchanged }: LoadContext) =>
    etag === '7' ? { value: unchanged, ttl: 5 } : { value: 'v', etag: '7' }
  const loader = new FunctionLoader({ load })
  t.like(await loader.load(loadRequest(group, 'k')), { value: Buffer.from('v'), etag: '7' })
  t.like(await loader.load(loadRequest(group, 'k', { etag: '7' })), {
    value: null,
    unchanged: true,
    freshMs: 5000,
  })
  const always = new FunctionLoader({ load: (_key, { unchanged }) => unchanged })
  await refused(
    t,
    always.load(loadRequest(group, 'k')),
    'module',
    'load() returned something that is no value',
  )
})

for (const [title, returned, hint] of [
  ['a number', 42, 'of type number'],
  ['true', true, 'of type boolean'],
  ['a bigint', 1n, 'of type bigint'],
  ['a function', () => 'v', 'of type function'],
  ['another symbol', Symbol('v'), 'of type symbol'],
  ['an object', { name: 'Ada' }, 'JSON.stringify'],
  ['an array', ['v'], 'JSON.stringify'],
  ['a Date', new Date(0), 'JSON.stringify'],
  ['an ArrayBuffer', new ArrayBuffer(3), 'JSON.stringify'],
  ['an object with an object', { value: { name: 'Ada' } }, 'of type object'],
  ['a ttl below 0', { value: 'v', ttl: -1 }, 'a ttl'],
  ['a ttl that is NaN', { value: 'v', ttl: NaN }, 'a ttl'],
  ['a ttl of another unit', { value: 'v', ttl: '5 weeks' }, 'a ttl'],
  ['a stale that is no time', { value: 'v', stale: {} }, 'a stale'],
  ['tags that are a text', { value: 'v', tags: 'a' }, 'tags'],
  ['a tag that is no text', { value: 'v', tags: [1] }, 'tags'],
  ['an empty tag', { value: 'v', tags: [''] }, 'tags'],
  ['65 tags', { value: 'v', tags: Array.from({ length: 65 }, (_, i) => `${i}`) }, '64 tags'],
  ['a tag of 257 bytes', { value: 'v', tags: ['x'.repeat(257)] }, '256 bytes'],
  ['an etag that is no text', { value: 'v', etag: 7 }, 'an etag'],
  ['an etag of two lines', { value: 'v', etag: 'a\nb' }, 'an etag'],
] as const) {
  test(`to return ${title} is an error that says so in the log`, async (t) => {
    const line = 'load() returned something that is no value'
    const error = await refused(t, returning(returned), 'module', line)
    const { cause } = error
    t.true(cause instanceof TypeError && cause.message.includes(hint), String(cause))
  })
}

test('a value of max-body bytes is taken, a longer one is not', async (t) => {
  for (const make of [
    (bytes: number) => 'x'.repeat(bytes),
    (bytes: number) => Buffer.alloc(bytes),
  ]) {
    t.is((await returning(make(10))).value?.length, 10)
    const line = "the origin's answer is larger than 10 bytes"
    await refused(t, returning(make(11)), 'too-large', line)
  }
  await refused(
    t,
    returning('ü'.repeat(6)),
    'too-large',
    "the origin's answer is larger than 10 bytes",
  )
})

test('what a function throws is the cause of an error that does not show it', async (t) => {
  const thrown = new Error('the database is at 10.0.0.7')
  for (const load of [
    () => {
      throw thrown
    },
    () => Promise.reject(thrown),
  ]) {
    const loading = new FunctionLoader({ load }).load(loadRequest(group, 'k'))
    const error = await refused(t, loading, 'module', 'load() failed')
    t.is(error.cause, thrown)
  }
})

test('a function that hangs is left at the deadline', async (t) => {
  const controller = new AbortController()
  const loader = new FunctionLoader({ load: () => new Promise(() => {}) })
  const loading = loader.load(loadRequest(group, 'k', { signal: controller.signal }))
  controller.abort()
  await refused(t, loading, 'timeout', 'no complete answer from the origin within 5000 ms')
})

test('a write calls store, a removal remove, each with a copy', async (t) => {
  const calls: unknown[] = []
  const log = (...call: unknown[]): void => void calls.push(call)
  const context = ({ params, rawKey, ttl }: WriteContext) => ({ params, rawKey, ttl })
  const loader = new FunctionLoader({
    load: () => null,
    store: (key, value, given) => log('store', key, value, context(given)),
    remove: (key, given) => log('remove', key, context(given)),
  })
  const params = new Map([['id', Buffer.from('1')]])
  const request = writeRequest(group, 'k:1', 'v', { params, ttlMs: 1500 })
  await loader.write(request)
  ;(request.value as Buffer).fill(0)
  await loader.write(writeRequest(group, 'k:1', null, { params }))
  const common = { params: { id: '1' }, rawKey: Buffer.from('k:1') }
  t.deepEqual(calls, [
    ['store', 'k:1', Buffer.from('v'), { ...common, ttl: 1.5 }],
    ['remove', 'k:1', { ...common, ttl: 0 }],
  ])
})

test('a write waits for its function, and fails with it', async (t) => {
  let resolve = () => {}
  const stored = new Promise<void>((done) => (resolve = done))
  const loader = new FunctionLoader({
    load: () => null,
    store: () => stored,
    remove: () => Promise.reject(new Error('no')),
  })
  let done = false
  const writing = loader.write(writeRequest(group, 'k', 'v')).then(() => (done = true))
  await new Promise((next) => setImmediate(next))
  t.false(done)
  resolve()
  await writing
  await refused(t, loader.write(writeRequest(group, 'k', null)), 'module', 'remove() failed')
  const reader = new FunctionLoader({ load: () => null })
  await refused(t, reader.write(writeRequest(group, 'k', 'v')), 'module', 'store() failed')
})

test('close is called once, and nothing after it', async (t) => {
  let closed = 0
  const loader = new FunctionLoader({ load: () => 'v', close: () => void closed++ })
  await loader.close()
  await loader.close()
  t.is(closed, 1)
  await refused(t, loader.load(loadRequest(group, 'k')), 'closing', 'the server is ending')
})

test('a key that is refused, by throwing or returning, is an error of the key, in words for the client', async (t) => {
  const loader = new FunctionLoader({
    load: (key, { refused: refuse }) => {
      if (key === 'returned') return refuse('no such id')
      throw refuse(`no\r\nid ${'x'.repeat(300)} ü`)
    },
    store: (_key, _value, { refused: refuse }) => {
      throw refuse('read only')
    },
  })
  await refused(t, loader.load(loadRequest(group, 'returned')), 'key', 'no such id')
  const long = `no  id ${'x'.repeat(193)}`
  await refused(t, loader.load(loadRequest(group, 'thrown')), 'key', long)
  await refused(t, loader.write(writeRequest(group, 'k', 'v')), 'key', 'read only')
})
