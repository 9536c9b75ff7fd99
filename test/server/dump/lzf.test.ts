import test from 'ava'
import {
  BROKEN,
  type ByteSource,
  DONE,
  GOES_ON,
  LzfDecoder,
  REFUSED,
} from '../../../server/dump/lzf.ts'
import { SeededRandom } from '../../sim/random.ts'

function sourceOf(bytes: readonly number[]): ByteSource {
  let at = 0
  return { next: () => (at < bytes.length ? bytes[at++]! : -1) }
}

/** What comes out, and how it ended. */
function decode(bytes: readonly number[], length: number, room = Infinity): [Buffer, number] {
  const pieces: Buffer[] = []
  let total = 0
  const decoder = new LzfDecoder(sourceOf(bytes), length, (out, from, end) => {
    total += end - from
    if (total > room) return false
    pieces.push(Buffer.from(out.subarray(from, end)))
    return true
  })
  let result = GOES_ON
  while (result === GOES_ON) result = decoder.step()
  return [Buffer.concat(pieces), result]
}

test('literals, and copies of what came before', (t) => {
  t.deepEqual(decode([2, 97, 98, 99], 3), [Buffer.from('abc'), DONE])
  t.deepEqual(decode([0, 97, 0x20, 0], 4), [Buffer.from('aaaa'), DONE])
  t.deepEqual(decode([1, 97, 98, 0xe0, 0, 1], 11), [Buffer.from('abababababa'), DONE])
  t.deepEqual(decode([], 0), [Buffer.alloc(0), DONE])
})

test('a few bytes that stand for many come out piece by piece, with distances across pieces', (t) => {
  const bytes = [31, ...Array.from({ length: 32 }, (_, i) => i)]
  for (let i = 0; i < 2_000; i++) bytes.push(0xe0, 255, 31)
  const [out, result] = decode(bytes, 32 + 2_000 * 264)
  t.is(result, DONE)
  t.true(out.every((byte, i) => byte === i % 32))
  t.is(decode(bytes, 32 + 2_000 * 264, 300_000)[1], REFUSED)
})

test('what contradicts itself is known, at once or at the end', (t) => {
  for (const [bytes, length] of [
    [[2, 97, 98], 3],
    [[2, 97, 98, 99], 2],
    [[2, 97, 98, 99], 4],
    [[0x20, 0], 3],
    [[0, 97, 0x20, 1], 4],
    [[0, 97, 0x20], 4],
    [[0, 97, 0xe0], 10],
    [[0, 97, 0xe0, 1], 11],
    [[0], 1],
  ] as const) {
    t.is(decode(bytes, length)[1], BROKEN, bytes.join())
  }
})

test('whatever the bytes, there is an end, and never more than was said', (t) => {
  const random = new SeededRandom(7)
  for (let i = 0; i < 20_000; i++) {
    const bytes = Array.from({ length: random.below(30) }, () => random.below(256))
    const length = random.below(600)
    const [out, result] = decode(bytes, length)
    t.true(out.length <= length)
    t.is(result === DONE, out.length === length && result !== BROKEN)
  }
})
