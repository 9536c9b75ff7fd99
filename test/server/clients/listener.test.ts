import { spawn } from 'node:child_process'
import { createConnection, type Socket as NetSocket } from 'node:net'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import {
  canAdopt,
  listen,
  type Listener,
  type ListenerSocket,
  type ListenOptions,
} from '../../../server/clients/listener.ts'
import { startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'

/** What is used here of the WebAssembly API, whose types @types/node does not have. */
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => {
    buffer: SharedArrayBuffer
  }
}

/** An echo server on a free port; `received` collects what came, in order. */
async function echo(options: Partial<ListenOptions> = {}) {
  const readBuffer = options.readBuffer ?? new Uint8Array(65536)
  const sockets: ListenerSocket[] = []
  const received: Buffer[] = []
  const events: string[] = []
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    backlog: 511,
    keepAliveSeconds: () => 300,
    readBuffer,
    onAcceptError: (error) => events.push(`accept ${error.code}`),
    onConnection: (socket) => {
      sockets.push(socket)
      socket.attach({
        onBytes: (length) => {
          const bytes = Buffer.from(readBuffer.subarray(0, length))
          received.push(bytes)
          socket.write(bytes)
        },
        onEnd: () => {
          events.push('end')
          socket.end()
        },
        onClose: () => events.push('close'),
      })
    },
    ...options,
  })
  return { listener, sockets, received, events, readBuffer }
}

async function dial(listener: Listener): Promise<NetSocket> {
  const client = createConnection({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true })
  await once(client, 'connect')
  return client
}

async function readAll(client: NetSocket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** The same fact with sockets that are adopted and with those that are read by 'data' events. */
function both(title: string, run: (t: ExecutionContext, adopt: boolean) => Promise<void>): void {
  test(`${title} (adopted)`, (t) => run(t, true))
  test(`${title} (by 'data')`, (t) => run(t, false))
}

test('sockets are adopted on this Node', async (t) => {
  t.true(await canAdopt(new Uint8Array(65536)))
  const { listener } = await echo()
  t.true(listener.adopts)
  await listener.close()
})

for (const threads of ['1', '2']) {
  test(`where sockets cannot be adopted the log says so, and all is served (--threads ${threads})`, async (t) => {
    const broken = new URL('no-adopting.js', import.meta.url).href
    const server = await startRingtier({
      args: ['--threads', threads, '--maxmemory', '32mb', '--save', ''],
      env: { NODE_OPTIONS: `--import=${broken}` },
    })
    t.teardown(() => server.stop())
    t.regex(server.output(), /"level":40.*does not let sockets read into one buffer/)
    const value = Buffer.alloc(1_000_000, 'abc')
    const clients = [await RawClient.open(server.port), await RawClient.open(server.port)]
    for (const client of clients) {
      const replies = await Promise.all([
        client.command('SET', 'long', value),
        client.command('STRLEN', 'long'),
        ...Array.from({ length: 5000 }, (_, i) => client.command('ECHO', `word ${i}`)),
      ])
      t.deepEqual(replies.slice(0, 2), ['+OK\r\n', ':1000000\r\n'])
      t.is(replies.at(-1), '$9\r\nword 4999\r\n')
      t.true((await client.get('long'))!.equals(value))
      client.close()
    }
  })
}

both(
  'bytes of any number come as they were sent, and half-close lets the answer out',
  async (t, adopt) => {
    const { listener, events } = await echo({ adopt })
    const client = await dial(listener)
    const sent = Buffer.alloc(3_000_001, 'abcdefg')
    client.end(sent)
    t.true((await readAll(client)).equals(sent))
    await until(() => events.includes('close'))
    t.deepEqual(events, ['end', 'close'])
    await listener.close()
  },
)

both('many sockets share one read buffer and do not mix', async (t, adopt) => {
  const { listener } = await echo({ adopt })
  const clients = await Promise.all(Array.from({ length: 200 }, () => dial(listener)))
  const answers = await Promise.all(
    clients.map((client, i) => {
      client.end(`client ${i} `.repeat(500))
      return readAll(client)
    }),
  )
  answers.forEach((answer, i) => t.is(String(answer), `client ${i} `.repeat(500)))
  await listener.close()
})

test('the read buffer may lie in shared WebAssembly memory', async (t) => {
  const memory = new WebAssembly.Memory({ initial: 3, maximum: 3, shared: true })
  const readBuffer = new Uint8Array(memory.buffer, 65536, 65536)
  t.true(await canAdopt(readBuffer))
  const { listener, received } = await echo({ readBuffer })
  const client = await dial(listener)
  client.end('over shared memory')
  t.is(String(await readAll(client)), 'over shared memory')
  t.is(String(Buffer.concat(received)), 'over shared memory')
  await listener.close()
})

both('a paused socket hands nothing out until it is resumed', async (t, adopt) => {
  const { listener, sockets, received } = await echo({ adopt })
  const client = await dial(listener)
  await until(() => sockets.length === 1)
  sockets[0]!.pause()
  client.write('one')
  // Another connection's round trip passes after the bytes have come.
  const other = await dial(listener)
  other.end('other')
  await readAll(other)
  t.deepEqual(received.map(String), ['other'])
  sockets[0]!.resume()
  client.end()
  t.is(String(await readAll(client)), 'one')
  await listener.close()
})

test('pause inside onBytes stops after those bytes', async (t) => {
  const readBuffer = new Uint8Array(1024)
  let taken = 0
  let socket: ListenerSocket | null = null
  const { listener } = await echo({
    readBuffer,
    onConnection: (accepted) => {
      socket = accepted
      accepted.attach({
        onBytes: (length) => {
          taken += length
          accepted.pause()
        },
        onEnd: () => accepted.end(),
        onClose: () => {},
      })
    },
  })
  const client = await dial(listener)
  client.end(Buffer.alloc(10_000))
  await until(() => taken > 0)
  t.true(taken <= 1024)
  while (taken < 10_000) {
    const before = taken
    socket!.resume()
    await until(() => taken > before)
    t.true(taken <= before + 1024)
  }
  socket!.resume()
  await readAll(client)
  await listener.close()
})

both('a socket that has more than a buffer to read is read once a turn', async (t, adopt) => {
  const readBuffer = new Uint8Array(65536)
  let turn = 0
  const turns: number[] = []
  let taken = 0
  let socket: ListenerSocket | null = null
  const { listener } = await echo({
    adopt,
    readBuffer,
    onConnection: (accepted) => {
      socket = accepted
      accepted.attach({
        onBytes: (length) => {
          taken += length
          turns.push(turn)
          // Its owner may stop it and let it go on meanwhile: that is no way around the rest.
          accepted.pause()
          accepted.resume()
        },
        onEnd: () => accepted.end(),
        onClose: () => {},
      })
      accepted.pause()
    },
  })
  const client = await dial(listener)
  await until(() => socket !== null)
  const length = 2_000_000
  // So much that all of it waits in the kernel by the time that the first byte is read.
  await new Promise<void>((resolve) => client.write(Buffer.alloc(length), () => resolve()))
  const count = (): void => {
    turn++
    if (taken < length) setImmediate(count)
  }
  setImmediate(count)
  socket!.resume()
  await until(() => taken === length)
  t.true(turns.length >= length / readBuffer.length)
  // What a stream has read beside may come in the same turn as its next read.
  const most = adopt ? 1 : 2
  t.false(
    turns.some((at, i) => at === turns[i + most]),
    turns.join(' '),
  )
  client.end()
  await readAll(client)
  await listener.close()
})

both('a socket that is paused while it rests stays paused', async (t, adopt) => {
  const readBuffer = new Uint8Array(65536)
  let taken = 0
  let isPaused = false
  let socket: ListenerSocket | null = null
  const { listener } = await echo({
    adopt,
    readBuffer,
    onConnection: (accepted) => {
      socket = accepted
      accepted.attach({
        onBytes: (length) => {
          t.false(isPaused)
          taken += length
          isPaused = true
          accepted.pause()
        },
        onEnd: () => accepted.end(),
        onClose: () => {},
      })
    },
  })
  const client = await dial(listener)
  const length = 500_000
  client.end(Buffer.alloc(length))
  while (taken < length) {
    await until(() => isPaused)
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    isPaused = false
    socket!.resume()
  }
  socket!.resume()
  await readAll(client)
  t.is(taken, length)
  await listener.close()
})

both('a reset ends in one close and harms nobody else', async (t, adopt) => {
  const { listener, events } = await echo({ adopt })
  const client = await dial(listener)
  client.write('x')
  await once(client, 'data')
  client.resetAndDestroy()
  await until(() => events.includes('close'))
  t.deepEqual(events, ['close'])
  const other = await dial(listener)
  other.end('still here')
  t.is(String(await readAll(other)), 'still here')
  await listener.close()
})

both(
  'done is called once, whether the bytes left, could not, or came too late',
  async (t, adopt) => {
    let calls = 0
    const done = () => calls++
    const { listener, sockets } = await echo({ adopt })
    const client = await dial(listener)
    await until(() => sockets.length === 1)
    const socket = sockets[0]!
    client.pause()
    socket.write(Buffer.from('x'), done)
    await until(() => calls === 1)
    // More than the kernel takes while the client does not read.
    while (socket.writableLength === 0) socket.write(Buffer.alloc(1 << 20))
    socket.write(new Uint8Array(0), done)
    t.is(calls, 1)
    socket.destroy()
    await until(() => calls === 2)
    socket.write(Buffer.from('x'), done)
    await until(() => calls === 3)
    const ended = await dial(listener)
    await until(() => sockets.length === 2)
    sockets[1]!.end()
    sockets[1]!.write(Buffer.from('x'), done)
    await until(() => calls === 4)
    client.destroy()
    ended.destroy()
    await listener.close()
    t.is(calls, 4)
  },
)

test('addresses and the file descriptor are known', async (t) => {
  const { listener, sockets } = await echo()
  const client = await dial(listener)
  await until(() => sockets.length === 1)
  const { remoteAddress, localAddress, fd } = sockets[0]!
  t.is(remoteAddress, `127.0.0.1:${client.localPort}`)
  t.is(localAddress, `127.0.0.1:${listener.port}`)
  t.true(fd > 2)
  client.destroy()
  await listener.close()
})

test('a taken port rejects with EADDRINUSE', async (t) => {
  const { listener } = await echo()
  const error = await t.throwsAsync(echo({ port: listener.port }))
  t.is((error as NodeJS.ErrnoException).code, 'EADDRINUSE')
  await listener.close()
})

test('* is all of IPv4 only, so that ::* can have the same port', async (t) => {
  const { listener } = await echo({ host: '*' })
  t.is(listener.host, '0.0.0.0')
  const client = await dial(listener)
  client.destroy()
  const second = await echo({ host: '::*', port: listener.port }).catch((error: unknown) => error)
  if (second instanceof Error) {
    // A machine without IPv6.
    t.regex((second as NodeJS.ErrnoException).code ?? '', /^(EAFNOSUPPORT|EADDRNOTAVAIL)$/)
  } else {
    const six = second as { listener: Listener }
    t.is(six.listener.host, '::')
    await six.listener.close()
  }
  await listener.close()
})

test('out of file descriptors, connections are turned away, and served again later', async (t) => {
  const script = new URL('listener-emfile.js', import.meta.url).pathname
  const child = spawn('sh', ['-c', 'ulimit -n 64 && exec "$0" "$1"', process.execPath, script])
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line)
  const clients: NetSocket[] = []
  let turnedAway = 0
  for (let i = 0; i < 100; i++) {
    const client = createConnection(port, '127.0.0.1')
    client.on('error', () => {})
    client.on('close', () => turnedAway++)
    clients.push(client)
  }
  await until(() => turnedAway > 0)
  for (const client of clients) client.destroy()
  // Until the server has closed what they held, a new one may be turned away as well.
  let answer = ''
  while (answer === '') {
    const client = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
    client.end('served again')
    answer = await readAll(client).then(String, () => '')
  }
  t.is(answer, 'served again')
  child.kill()
  await once(child, 'exit')
})

/** Which timer the kernel runs for the server's side of a connection: 0 none, 2 keep-alive. */
function timerOf(listener: Listener): string {
  const port = listener.port.toString(16).toUpperCase().padStart(4, '0')
  const row = new RegExp(`^ *\\d+: [0-9A-F]{8}:${port} [0-9A-F:]+ 01 \\S+ (\\d\\d):`, 'm')
  return row.exec(readFileSync('/proc/net/tcp', 'latin1'))?.[1] ?? 'no connection'
}

if (existsSync('/proc/net/tcp')) {
  both('a silent connection is probed, unless it is never to be', async (t, adopt) => {
    for (const [seconds, timer] of [
      [0, '00'],
      [1, '02'],
      [300, '02'],
    ] as const) {
      const { listener, sockets } = await echo({ adopt, keepAliveSeconds: () => seconds })
      const client = await dial(listener)
      await until(() => sockets.length > 0)
      t.is(timerOf(listener), timer, `${seconds} s`)
      client.destroy()
      await listener.close()
    }
  })

  both('who is refused is told so, and gone though it never closes its side', async (t, adopt) => {
    const { listener } = await echo({
      adopt,
      onConnection: (socket) => socket.refuse(Buffer.from('-ERR no\r\n')),
    })
    const client = await dial(listener)
    t.is(String(await readAll(client)), '-ERR no\r\n')
    await until(() => timerOf(listener) === 'no connection')
    client.destroy()
    await listener.close()
    t.pass()
  })
}
