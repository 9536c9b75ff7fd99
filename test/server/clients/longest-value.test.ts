/*
 * The longest value there may be goes in and comes back, piece by piece: neither this process nor the
 * server has it in one buffer. A second or two on a quiet machine; the server takes 0.6 GB.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import test from 'ava'
import { startRingtier } from '../../process.ts'

const MB = 2 ** 20
const LONGEST = 512 * MB

/** Bytes without a short period, so that a page in the wrong place does not go unseen. */
const PATTERN = Buffer.from(Uint8Array.from({ length: MB + 7 }, (_, i) => (i * 31) ^ (i >> 8)))

async function withServer(
  maxMemory: string,
  use: (socket: Socket) => Promise<void>,
): Promise<void> {
  const server = await startRingtier({ args: ['--maxmemory', maxMemory] })
  const socket = connect(server.port, server.host)
  try {
    await use(socket)
  } finally {
    socket.destroy()
    await server.stop()
  }
}

async function sendSet(socket: Socket, length: number): Promise<void> {
  socket.write(`*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$${length}\r\n`)
  for (let left = length; left > 0; left -= PATTERN.length) {
    const piece = left < PATTERN.length ? PATTERN.subarray(0, left) : PATTERN
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  socket.write('\r\n')
}

async function line(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  return bytes.toString('latin1')
}

/** Reads a bulk, and nothing but that. @returns where it differs from the pattern; -1: nowhere */
async function readBulk(socket: Socket, length: number): Promise<number> {
  const head = `$${length}\r\n`
  let begun = false
  let at = 0
  for await (const chunk of socket) {
    let bytes = chunk as Buffer
    if (!begun) {
      if (bytes.toString('latin1', 0, head.length) !== head) return 0
      bytes = bytes.subarray(head.length)
      begun = true
    }
    for (let done = 0; done < bytes.length && at < length;) {
      const from = at % PATTERN.length
      const size = Math.min(bytes.length - done, PATTERN.length - from, length - at)
      if (bytes.compare(PATTERN, from, from + size, done, done + size) !== 0) return at
      done += size
      at += size
    }
    if (at === length && bytes.subarray(-2).toString('latin1') === '\r\n') return -1
  }
  return at
}

test.serial('a value of 512 MB is set and read back, byte for byte', async (t) => {
  await withServer('1100mb', async (socket) => {
    const reply = line(socket)
    await sendSet(socket, LONGEST)
    t.is(await reply, '+OK\r\n')
    socket.write('STRLEN long\r\n')
    t.is(await line(socket), `:${LONGEST}\r\n`)
    socket.write('GET long\r\n')
    t.is(await readBulk(socket, LONGEST), -1)
  })
})

test.serial('a value one byte longer is refused as soon as its length is read', async (t) => {
  await withServer('1100mb', async (socket) => {
    socket.write(`*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$${LONGEST + 1}\r\n`)
    t.is(await line(socket), '-ERR Protocol error: invalid bulk length\r\n')
    await once(socket, 'close')
  })
})

test.serial(
  'a value over half of maxmemory is refused, and the connection serves on',
  async (t) => {
    await withServer('64mb', async (socket) => {
      const reply = line(socket)
      await sendSet(socket, 33 * MB)
      t.is(await reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n")
      socket.write('EXISTS long\r\n')
      t.is(await line(socket), ':0\r\n')
      const accepted = line(socket)
      await sendSet(socket, 31 * MB)
      t.is(await accepted, '+OK\r\n')
    })
  },
)
