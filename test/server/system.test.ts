import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import test from 'ava'
import { listen } from '../../server/clients/listener.ts'
import {
  createSystemWorld,
  delayMsMax,
  formatTime,
  readHeap,
  readMachine,
  readUsage,
} from '../../server/system.ts'

test('now has the scale of the wall clock and never goes back', (t) => {
  const { clock } = createSystemWorld()
  t.true(Math.abs(clock.now() - clock.wall()) < 60_000)
  let last = clock.now()
  for (let i = 0; i < 10_000; i++) {
    const now = clock.now()
    t.true(now >= last)
    last = now
  }
  const micros = clock.micros()
  t.true(clock.micros() >= micros)
})

test('after calls once, every until cancelled, and a cancelled timer never', async (t) => {
  const { clock } = createSystemWorld()
  let never = 0
  const cancelled = clock.after(1, () => never++)
  cancelled.cancel()
  cancelled.cancel()
  await new Promise<void>((resolve) => {
    let ticks = 0
    const ticking = clock.every(1, () => {
      ticks++
      if (ticks < 3) return
      ticking.cancel()
      const kept = ticks
      clock.after(20, () => {
        t.is(ticks, kept)
        resolve()
      })
    })
    // What keeps this process alive is the test's own.
    const alive = setInterval(() => {}, 1000)
    t.teardown(() => clearInterval(alive))
  })
  t.is(never, 0)
})

test('a delay beyond what Node takes does not fire at once', async (t) => {
  const { clock } = createSystemWorld()
  let fired = false
  const timer = clock.after(delayMsMax * 4, () => (fired = true))
  // One that is too long for Node fires after 1 ms, and so before this one.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  await new Promise<void>((resolve) => clock.after(5, resolve))
  t.false(fired)
  timer.cancel()
})

test('timers alone do not keep the process alive', async (t) => {
  const system = new URL('../../server/system.js', import.meta.url).href
  const script = `import { createSystemWorld } from ${JSON.stringify(system)}
    const { clock } = createSystemWorld()
    clock.after(1e6, () => {})
    clock.every(1e6, () => {})
    clock.soon(() => console.log('soon'))`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  t.is((await run).stdout, 'soon\n')
})

test('random numbers are 32-bit integers, also past the end of a block', (t) => {
  const { random } = createSystemWorld()
  const seen = new Set<number>()
  for (let i = 0; i < 3000; i++) {
    const n = random.uint32()
    t.true(Number.isInteger(n) && n >= 0 && n < 2 ** 32)
    seen.add(n)
  }
  t.true(seen.size > 2990)
  const bytes = random.bytes(16)
  t.is(bytes.length, 16)
  t.notDeepEqual(bytes, random.bytes(16))
})

test('the network connects', async (t) => {
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    backlog: 1,
    keepAliveSeconds: () => 0,
    readBuffer: new Uint8Array(1024),
    onAcceptError: () => {},
    onConnection: (socket) => {
      socket.attach({ onBytes: () => {}, onEnd: () => socket.end(), onClose: () => {} })
      socket.write(Buffer.from('hello'))
    },
  })
  const stream = createSystemWorld().network.connect({ host: '127.0.0.1', port: listener.port })
  await once(stream, 'connect')
  const [hello] = (await once(stream, 'data')) as [Buffer]
  t.is(String(hello), 'hello')
  stream.end()
  await once(stream, 'close')
  await listener.close()
})

test('machine and usage are plausible', (t) => {
  const machine = readMachine()
  t.true(machine.memoryBytes > 2 ** 26 && machine.memoryBytes < 2 ** 50)
  t.true(machine.cores >= 1)
  const usage = readUsage()
  t.true(usage.residentBytes > 2 ** 20 && usage.residentBytes < machine.memoryBytes)
  const heap = readHeap()
  t.true(heap.usedBytes > 0 && heap.totalBytes >= heap.usedBytes)
  t.true(usage.userMicros > 0)
})

test('times are written as in the log of Redis', (t) => {
  const at = new Date(2026, 10, 2, 7, 4, 31, 9).getTime()
  t.is(formatTime(at), '02 Nov 2026 07:04:31.009')
})
