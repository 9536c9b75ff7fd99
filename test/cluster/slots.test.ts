import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import { SeededRandom } from '../sim/random.ts'

function slotOf(key: string | Buffer): number {
  const bytes = Buffer.from(key)
  return keySlot(bytes, 0, bytes.length)
}

test('the slot of the specification’s example is 12739', (t) => {
  t.is(slotOf('123456789'), 0x31c3)
})

test('the hash tag alone decides where there is one', (t) => {
  t.is(slotOf('{user1000}.following'), slotOf('{user1000}.followers'))
  t.is(slotOf('foo{bar}{zap}'), slotOf('bar'))
  t.is(slotOf('foo{{bar}}zap'), slotOf('{bar'))
  t.is(slotOf('x}{bar}'), slotOf('bar'))
})

test('an empty or unclosed tag is no tag', (t) => {
  t.not(slotOf('foo{}{bar}'), slotOf('bar'))
  t.not(slotOf('foo{bar'), slotOf('bar'))
  t.is(slotOf(''), 0)
})

test('only the bytes of the key are read', (t) => {
  const bytes = Buffer.from('}{zz}123456789{a}')
  t.is(keySlot(bytes, 5, 9), 0x31c3)
  t.is(keySlot(bytes, 2, 2), slotOf('zz'), 'an open brace before and a closing one behind it')
})

test('every key has the slot that redis-server gives it', async (t) => {
  const random = new SeededRandom(16384)
  const braces = ['{', '}', 'a', 'b']
  const tagged = () => Array.from({ length: random.below(12) }, () => random.pick(braces)).join('')
  const keys: Buffer[] = ['', '{', '}', '{}', '}{', '{a}{b}', '{{a}}', '{\0}'].map((key) =>
    Buffer.from(key),
  )
  for (let i = 0; i < 3000; i++) keys.push(random.bytes(random.below(40)), Buffer.from(tagged()))
  const expected = await redisKeySlots(keys)
  const ours = keys.map(slotOf)
  t.deepEqual(ours, expected)
  t.true(ours.every((slot) => slot < SLOT_COUNT))
  t.true(new Set(ours).size > 2500)
})

/** Puts CLUSTER KEYSLOT to a redis-server of our own. */
async function redisKeySlots(keys: readonly Buffer[]): Promise<number[]> {
  const [port, busPort] = [await freePort(), await freePort()]
  const dir = await mkdtemp(join(tmpdir(), 'ringtier-slots-'))
  const options = {
    bind: '127.0.0.1',
    port,
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    dir,
  }
  const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn('redis-server', ['--save', '', '--appendonly', 'no', ...words])
  try {
    await new Promise<void>((resolve, reject) => {
      let log = ''
      child.once('exit', () => reject(new Error(log)))
      child.stdout.on('data', (chunk: Buffer) => {
        log += chunk.toString()
        if (log.includes('Ready to accept connections')) resolve()
      })
    })
    const socket = connect(port, '127.0.0.1')
    for (const key of keys) {
      socket.write(`*3\r\n$7\r\nCLUSTER\r\n$7\r\nKEYSLOT\r\n$${key.length}\r\n`)
      socket.write(Buffer.concat([key, Buffer.from('\r\n')]))
    }
    const slots = await integers(socket, keys.length)
    socket.destroy()
    return slots
  } finally {
    child.removeAllListeners('exit')
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null) child.kill('SIGKILL')
    else child.emit('exit')
    await ended
    await rm(dir, { recursive: true })
  }
}

async function integers(socket: Socket, count: number): Promise<number[]> {
  let text = ''
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString()
    const lines = text.split('\r\n')
    if (lines.length > count) return lines.slice(0, count).map((line) => Number(line.slice(1)))
  }
  throw new Error('closed too early')
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
