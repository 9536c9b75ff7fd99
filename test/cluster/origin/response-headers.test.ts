import test from 'ava'
import type { ResponseHeaders } from '../../../cluster/origin/cache-control.ts'
import { keepingOf } from '../../../cluster/origin/response-headers.ts'
import { originGroup } from './request.ts'

const group = originGroup({ headers: [['X-Tenant', '7']] })
const keeping = (headers: ResponseHeaders) => keepingOf(group, headers)

const NOT_KEPT = { freshMs: 0, staleMs: 0, staleIfErrorMs: 0 }

test('headers that say nothing leave all to the rules', (t) => {
  t.deepEqual(keeping({ 'content-type': 'text/plain', date: 'now' }), {})
})

test('Vary by what is sent alike is no hindrance', (t) => {
  for (const vary of [
    'Accept-Encoding',
    'accept, user-agent, origin',
    ['accept', 'X-TENANT'],
    '',
  ]) {
    t.deepEqual(keeping({ vary, 'cache-control': 'max-age=1' }), { freshMs: 1000 }, String(vary))
  }
})

test('a value that varies by something else is not kept', (t) => {
  for (const [vary, field] of [
    ['*', '*'],
    ['Cookie', 'cookie'],
    ['accept, x-other', 'x-other'],
    [['accept', 'authorization'], 'authorization'],
  ] as const) {
    const headers = { vary: [vary].flat(), 'cache-control': 'max-age=1, stale-if-error=5' }
    t.deepEqual(keeping(headers), { ...NOT_KEPT, note: `its Vary names ${field}` })
  }
})

test('a group may leave Cache-Control and Vary unread, but not tags and ETag', (t) => {
  const deaf = originGroup({ honoursCacheControl: false })
  const headers = { vary: '*', 'cache-control': 'no-store', etag: '"1"', 'cache-tag': 'a' }
  t.deepEqual(keepingOf(deaf, headers), { etag: '"1"', tags: ['a'] })
})

test('an ETag that could be sent back is kept', (t) => {
  for (const etag of ['"1"', 'W/"1"', '""', `"${'x'.repeat(253)}"`]) {
    t.deepEqual(keeping({ etag }), { etag }, etag)
  }
  const line = '"a\r\nx-evil: 1"'
  for (const etag of ['1', '"1', 'w/"1"', '"a"b"', '"ü"', '"a b"', line, `"${'x'.repeat(254)}"`]) {
    t.deepEqual(keeping({ etag }), {}, etag)
  }
  t.deepEqual(keeping({ etag: ['"1"', '"2"'] }), {})
})

test('tags stand in Cache-Tag with commas and in Surrogate-Key with spaces', (t) => {
  t.deepEqual(keeping({ 'cache-tag': 'a, b c ,,a' }), { tags: ['a', 'b c'] })
  t.deepEqual(keeping({ 'surrogate-key': ' a  b,c a' }), { tags: ['a', 'b,c'] })
  t.deepEqual(keeping({ 'cache-tag': ['a', 'b'], 'surrogate-key': ['b c', 'd'] }), {
    tags: ['a', 'b', 'c', 'd'],
  })
})

test('64 tags of 256 bytes are kept, with one more or longer the value is not', (t) => {
  const tags = Array.from({ length: 64 }, (_, i) => `${i}`.padStart(256, '-'))
  t.deepEqual(keeping({ 'surrogate-key': tags.join(' ') }), { tags })
  const note = (header: string) => keeping({ 'surrogate-key': header })
  t.deepEqual(note([...tags, 'x'].join(' ')), { ...NOT_KEPT, note: 'it has more than 64 tags' })
  t.deepEqual(note('x'.repeat(257)), { ...NOT_KEPT, note: 'it has a tag longer than 256 bytes' })
  t.deepEqual(note('ü'.repeat(129)), { ...NOT_KEPT, note: 'it has a tag longer than 256 bytes' })
})
