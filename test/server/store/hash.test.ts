import test from 'ava'
import xxhash from 'xxhash-wasm'
import { xxh32 } from '../../../server/store/hash.ts'
import { dice } from './model.ts'

test('xxh32 gives the bits of xxhash-wasm for every length up to 200 and any seed', async (t) => {
  const { h32Raw } = await xxhash()
  const roll = dice(1)
  for (let length = 0; length <= 200; length++) {
    const bytes = Uint8Array.from({ length: length + 8 }, () => roll(256))
    const seed = length % 3 === 0 ? 0 : roll(2 ** 32)
    const pos = length % 8
    const expected = h32Raw(bytes.subarray(pos, pos + length), seed)
    if (xxh32(bytes, pos, length, seed) !== expected) t.fail(`length ${length}, seed ${seed}`)
  }
  t.is(xxh32(new Uint8Array(0), 0, 0, 0), 0x02cc5d05)
})

test('a long input and a seed given as a signed number hash the same as elsewhere', async (t) => {
  const { h32Raw } = await xxhash()
  const bytes = Uint8Array.from({ length: 100_003 }, (_, i) => (i * 31) & 255)
  t.is(xxh32(bytes, 0, bytes.length, 0xfedcba98), h32Raw(bytes, 0xfedcba98))
  t.is(xxh32(bytes, 0, bytes.length, 0xfedcba98 | 0), h32Raw(bytes, 0xfedcba98))
})
