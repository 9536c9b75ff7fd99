import test from 'ava'
import { copiedBytes, frameBytes, FrameWriter, readHeader } from '../../../cluster/peers/frame.ts'
import { Decoder, COMMAND } from '../../../protocol/decoder.ts'
import { Args } from '../../../protocol/args.ts'

const header = { id: 0, deadlineMs: 0, view: 0, protocol: 2 as 2 | 3 }

function read(text: string): boolean {
  const bytes = Buffer.from(`x${text}7`)
  return readHeader(bytes, 1, text.length, header)
}

test('a header is an id, a deadline and a view', (t) => {
  t.true(read('12 999 4294967295'))
  t.deepEqual(header, { id: 12, deadlineMs: 999, view: 4294967295, protocol: 2 })
  t.true(read('999999999999999 0 0'))
  t.is(header.id, 999999999999999)
  t.true(read('12 999 7 3'))
  t.deepEqual(header, { id: 12, deadlineMs: 999, view: 7, protocol: 3 })
})

for (const text of [
  '',
  ' ',
  '1',
  '1 2',
  '1 2 ',
  '1 2 3 ',
  '1 2 3 4',
  '1 2 3 2',
  '1 2 3 3 3',
  ' 1 2 3',
  '1  2 3',
  '-1 2 3',
  '1 x 3',
  '0 2 3',
  '1000000000000000 2 3',
  '1\t2 3',
]) {
  test(`${JSON.stringify(text)} is no header`, (t) => {
    t.false(read(text))
  })
}

test('the decoder of a server reads what was written, and no more room was needed', (t) => {
  const sizes = [0, 1, 16384, 16385, 40_000]
  const frames = sizes.map((size, i) => ({
    id: 2 ** 40 + i,
    args: [Buffer.from('SET'), Buffer.from(`k${i}`), Buffer.alloc(size, i)],
    protocol: i % 2 === 0 ? (2 as const) : (3 as const),
  }))
  const room = frames.reduce((sum, { args }) => sum + copiedBytes(args), 0)
  const writer = new FrameWriter(room)
  for (const frame of frames) writer.add(frame, 12.3, 7)
  const chunks = writer.take()
  t.is(chunks.length, 5, 'two long arguments and what lies around them')
  t.is(chunks[1], frames[3]!.args[2]!)
  const bytes = new Uint8Array(Buffer.concat(chunks))
  t.true(bytes.length <= frames.reduce((sum, { args }) => sum + frameBytes(args), 0))

  const args = new Args()
  const decoder = new Decoder(args, { bulkBytesMax: 2 ** 29, bigBytesMin: 65536 })
  let from = 0
  for (const frame of frames) {
    t.is(decoder.next(bytes, from, bytes.length), COMMAND)
    from = decoder.end
    t.true(readHeader(args.bytes, args.pos(0), args.length(0), header))
    t.deepEqual(header, { id: frame.id, deadlineMs: 13, view: 7, protocol: frame.protocol })
    t.is(args.count, 4)
    for (const [i, argument] of frame.args.entries()) t.true(args.buffer(i + 1).equals(argument))
  }
  t.is(from, bytes.length)
})

test('a deadline that is over is sent as one millisecond', (t) => {
  const writer = new FrameWriter(200)
  writer.add({ id: 1, args: [Buffer.from('GET')], protocol: 2 }, -5, 0)
  t.is(String(writer.take()[0]), '*2\r\n$5\r\n1 1 0\r\n$3\r\nGET\r\n')
})
