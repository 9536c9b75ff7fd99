import test from 'ava'
import { bitsOf, countBits, firstBit, firstBitOf } from '../../../server/commands/bits.ts'
import { SeededRandom } from '../../sim/random.ts'

/** The bits of bytes as text. */
function textOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
}

test('bits are counted and found wherever bytes begin, and however many they are', (t) => {
  const random = new SeededRandom(7)
  const all = new Uint8Array(400)
  for (let round = 0; round < 2000; round++) {
    const from = random.below(9)
    const bytes = all.subarray(from, from + random.below(200))
    bytes.fill(random.pick([0, 0xff, 0x80, 1]))
    if (bytes.length > 0) {
      for (let i = random.below(3); i > 0; i--)
        bytes[random.below(bytes.length)] = random.below(256)
    }
    const text = textOf(bytes)
    t.is(countBits(bytes), text.replaceAll('0', '').length)
    t.is(firstBit(bytes, 1), text.indexOf('1'))
    t.is(firstBit(bytes, 0), text.indexOf('0'))
  }
})

test('bits of a byte', (t) => {
  for (let byte = 0; byte < 256; byte++) {
    const text = textOf(Uint8Array.of(byte))
    t.is(bitsOf(byte), text.replaceAll('0', '').length)
    t.is(firstBitOf(byte, 1), text.indexOf('1'))
    t.is(firstBitOf(byte, 0), text.indexOf('0'))
  }
})
