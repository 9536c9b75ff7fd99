import fc from 'fast-check'
import test from 'ava'
import { Crc64 } from '../../../server/dump/crc64.ts'
import {
  FOOTER_BYTES,
  HEAD_BYTES_MAX,
  isGenuine,
  payloadOf,
  readHead,
} from '../../../server/dump/dump-format.ts'

function checksumOf(bytes: Uint8Array): Crc64 {
  const checksum = new Crc64()
  checksum.update(bytes)
  return checksum
}

test('the checksum is the one that Redis tests itself with', (t) => {
  const digest = Buffer.from(checksumOf(Buffer.from('123456789')).digest())
  t.is(digest.reverse().toString('hex'), 'e9c6d914c4b8d9ca')
  const text = Buffer.from(
    'This is a test of the emergency broadcast system. Lorem ipsum, of no length that eight divides.',
  )
  for (let cut = 0; cut <= text.length; cut++) {
    const checksum = new Crc64()
    checksum.update(text, 0, cut)
    checksum.update(text, cut)
    t.deepEqual(checksum.digest(), checksumOf(text).digest())
  }
})

test('what is written is read', (t) => {
  const numbers = fc.integer().map((number) => Buffer.from(String(number)))
  const bytes = fc.uint8Array({ maxLength: 40_000 })
  fc.assert(
    fc.property(fc.oneof(numbers, bytes), (value) => {
      const payload = payloadOf(value)
      const bodyBytes = payload.length - FOOTER_BYTES
      t.true(isGenuine(payload.subarray(bodyBytes), checksumOf(payload.subarray(0, bodyBytes + 2))))
      const found = readHead(payload.subarray(0, HEAD_BYTES_MAX), bodyBytes)!
      const read =
        found.text === null
          ? payload.subarray(found.at, found.at + found.bytes)
          : Buffer.from(found.text)
      t.deepEqual([...read], [...value])
      t.is(found.length, value.length)
    }),
  )
})

test('a payload of which any bit is another is refused', (t) => {
  const payload = payloadOf(Buffer.from('a value'))
  for (let bit = 0; bit < payload.length * 8; bit++) {
    const other = Uint8Array.from(payload)
    other[bit >> 3]! ^= 1 << (bit & 7)
    const checked = checksumOf(other.subarray(0, other.length - 8))
    t.false(isGenuine(other.subarray(other.length - FOOTER_BYTES), checked))
  }
})

test('what ends too early is none, wherever it ends', (t) => {
  const heads = [
    [0, 5, 1, 2, 3, 4],
    [0, 0x40],
    [0, 0x40, 1],
    [0, 0x80, 0, 0, 0],
    [0, 0x80, 0, 0, 0, 1],
    [0, 0x81, 0, 0, 0, 0, 0, 0, 0],
    [0, 0x81, 255, 255, 255, 255, 255, 255, 255, 255],
    [0, 0xc0],
    [0, 0xc1, 1],
    [0, 0xc2, 1, 2, 3],
    [0, 0xc3],
    [0, 0xc3, 3],
    [0, 0xc3, 3, 0x41],
    [0, 0xc3, 3, 9, 1],
    [0],
    [],
    [1, 0],
    [0, 0xc4, 1, 1],
    [0, 0x82, 0, 0],
  ]
  for (const head of heads) {
    // What follows is the footer's, and is no part of the value.
    const bytes = Uint8Array.from([...head, ...new Uint8Array(10)])
    t.is(readHead(bytes.subarray(0, HEAD_BYTES_MAX), head.length), null, head.join())
  }
})
