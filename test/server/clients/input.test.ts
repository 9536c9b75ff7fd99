import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import { Decoder } from '../../../protocol/decoder.ts'
import { Input } from '../../../server/clients/input.ts'
import { encode } from '../../bench/slow-readers/measure.ts'
import { startInProcess } from '../in-process.ts'

/** An input whose commands are taken for later, each, and executed only while `isOpen`. */
async function open() {
  const { server } = await startInProcess()
  const { store } = server
  const args = new Args()
  const taken: Args[] = []
  const state = { isOpen: true, handedOver: 0 }
  const decoder = new Decoder(args, { bulkBytesMax: 2 ** 29, bigBytesMin: 65_536 })
  const input: Input = new Input(store, decoder, {
    onCommand: () => {
      const keepsBytes = input.handOver(args.bytes)
      if (keepsBytes) state.handedOver++
      taken.push(args.detached(keepsBytes))
      state.isOpen = false
    },
    lookAhead: (_bytes, _from, to) => to,
    onProtocolError: (line) => {
      throw new Error(line)
    },
    mayExecute: () => state.isOpen,
  })
  const { io } = store
  const feed = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at += io.readEnd - io.read) {
      const piece = bytes.subarray(at, at + io.readEnd - io.read)
      io.bytes.set(piece, io.read)
      input.feed(piece.length)
    }
  }
  return { input, feed, taken, state, end: () => server.shutdown() }
}

const words = (mark: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${mark}:${i}`)

test('a long command that goes on later keeps its bytes, and what follows does not touch them', async (t) => {
  const { input, feed, taken, state, end } = await open()
  const commands = [
    words('long', 50_000),
    words('a', 3000),
    words('short', 3),
    words('also long', 40_000),
    words('b', 10),
  ]
  feed(Buffer.concat(commands.map((each) => encode(...each))))
  while (taken.length < commands.length) {
    state.isOpen = true
    input.resume()
  }
  t.deepEqual(
    taken.map((args) => args.copy().map(String)),
    commands,
  )
  t.true(state.handedOver >= 2)
  t.is(input.heldBytes, 0)
  end()
})

test('a command in the read area is copied, for the next read overwrites it', async (t) => {
  const { feed, taken, state, end } = await open()
  feed(encode('GET', 'first'))
  state.isOpen = true
  feed(encode('GET', 'other'))
  t.is(state.handedOver, 0)
  t.deepEqual(
    taken.map((args) => args.text(1)),
    ['first', 'other'],
  )
  end()
})
