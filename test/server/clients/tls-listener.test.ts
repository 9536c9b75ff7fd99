/* TLS and plain connections on one port: who speaks what shows in the first byte. */
import { once } from 'node:events'
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import {
  listen,
  type ListenerSocket,
  type ListenOptions,
  NO_TLS,
} from '../../../server/clients/listener.ts'
import { Tls, TLS_HANDSHAKE } from '../../../server/clients/tls.ts'
import { dialOptions, type Owner, tlsKeys } from '../../certificates.ts'
import { until } from '../../until.ts'

/** An echo server; `ended` counts connections that are gone. */
async function echo(options: Partial<ListenOptions> = {}) {
  const readBuffer = new Uint8Array(65536)
  const sockets: ListenerSocket[] = []
  const seen = { bytes: 0, ended: 0 }
  const listener = await listen({
    ...{ host: '127.0.0.1', port: 0, backlog: 511, readBuffer, keepAliveSeconds: () => 0 },
    tls: new Tls(tlsKeys('one')),
    onAcceptError: () => {},
    onConnection: (socket) => {
      sockets.push(socket)
      let isOpen = true
      socket.attach({
        onBytes: (length) => {
          seen.bytes += length
          socket.write(Buffer.from(readBuffer.subarray(0, length)))
        },
        onEnd: () => socket.end(),
        onClose: () => {
          if (!isOpen) throw new Error('closed twice')
          isOpen = false
          seen.ended++
        },
      })
    },
    ...options,
  })
  return { listener, port: listener.port, sockets, seen }
}

function dial(port: number, options: ConnectionOptions = dialOptions('one')): TLSSocket {
  return connect({ port, host: '127.0.0.1', ...options }).on('error', () => {})
}

/** One whose handshake has ended, however often it was too slow for that. */
async function secured(port: number): Promise<TLSSocket> {
  for (;;) {
    const client = dial(port)
    client.write('.')
    const stands = new Promise<boolean>((resolve) => {
      client.once('data', () => resolve(true))
      client.once('close', () => resolve(false))
    })
    if (await stands) return client
  }
}

/** Bytes to a connection that does not have to speak TLS. */
async function rawly(port: number, ...pieces: readonly Uint8Array[]): Promise<Socket> {
  const socket = connectPlain(port, '127.0.0.1').on('error', () => {})
  socket.setNoDelay(true)
  await once(socket, 'connect')
  for (const piece of pieces) socket.write(piece)
  return socket
}

async function collected(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
  })
  await until(() => bytes >= length)
  return Buffer.concat(chunks)
}

function both(title: string, run: (t: ExecutionContext, adopt: boolean) => Promise<void>): void {
  test(`${title} (adopted)`, (t) => run(t, true))
  test(`${title} (by 'data')`, (t) => run(t, false))
}

both('one port serves TLS and plain connections', async (t, adopt) => {
  const { port, listener, seen } = await echo({ adopt })
  const [secure, plain] = [dial(port), await rawly(port, Buffer.from('plain'))]
  t.is(String(await collected(plain, 5)), 'plain')
  const long = Buffer.alloc(3_000_000, 'abcdefghijk')
  secure.write(long)
  t.true((await collected(secure, long.length)).equals(long))
  secure.end()
  plain.end()
  await until(() => seen.ended === 2)
  await listener.close()
})

/** Carries bytes to a port, one by one if wanted, and what comes back; that the port closes it keeps for itself. */
async function startRelay(t: ExecutionContext, port: number, oneByOne: boolean) {
  const upstreams: Socket[] = []
  const relay = createServer((client) => {
    const upstream = connectPlain({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    upstreams.push(upstream)
    let sent = Promise.resolve()
    const send = (bytes: Uint8Array): void => {
      sent = sent.then(async () => {
        upstream.write(bytes)
        await new Promise(setImmediate)
      })
    }
    client.on('data', (chunk: Buffer) => {
      for (const byte of oneByOne ? chunk : []) send(Buffer.from([byte]))
      if (!oneByOne) send(chunk)
    })
    client.on('error', () => {})
    client.on('close', () => upstream.destroy())
    upstream.on('data', (chunk: Buffer) => client.write(chunk))
    upstream.on('error', () => {})
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  t.teardown(() => relay.close())
  return { port: (relay.address() as AddressInfo).port, upstreams }
}

both('bytes of a handshake may come one by one', async (t, adopt) => {
  const { port, listener } = await echo({ adopt })
  const client = dial((await startRelay(t, port, true)).port)
  client.write('through')
  t.is(String(await collected(client, 7)), 'through')
  client.destroy()
  await listener.close()
})

const verdicts: readonly [Owner | null, string | null][] = [
  ['one', null],
  ['two', null],
  [null, 'it has shown no certificate'],
  ['stranger', 'its certificate is not signed by one in tls-ca-cert-file'],
  ['expired', 'its certificate has expired'],
  ['server-only', 'its certificate may not be used for both, servers and clients'],
]
for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a certificate is trusted, or it is known why not; all are served (${version})`, async (t) => {
    const { port, listener, sockets } = await echo()
    for (const [owner, verdict] of verdicts) {
      const options = { minVersion: version, maxVersion: version, ...dialOptions(owner) }
      const client = dial(port, options)
      client.write('hello')
      t.is(String(await collected(client, 5)), 'hello')
      t.is(sockets.at(-1)!.distrust, verdict, String(owner))
      client.destroy()
    }
    const plain = await rawly(port, Buffer.from('x'))
    await collected(plain, 1)
    t.is(sockets.at(-1)!.distrust, NO_TLS)
    plain.destroy()
    await listener.close()
  })
}

both('what is no handshake ends its connection, and nothing else', async (t, adopt) => {
  const { port, listener, seen } = await echo({ adopt })
  const stays = dial(port)
  await once(stays, 'secureConnect')
  const garbage = [
    Buffer.from([TLS_HANDSHAKE, 0x0d, 0x0a]),
    Buffer.alloc(70_000, TLS_HANDSHAKE),
    Buffer.from([TLS_HANDSHAKE, 3, 1, 0xff, 0xff, 1, 2, 3]),
    Buffer.concat([Buffer.from([TLS_HANDSHAKE, 3, 1, 0, 5]), Buffer.from('PING\r\nPING\r\n')]),
  ]
  for (const bytes of garbage) {
    const client = await rawly(port, bytes)
    client.resume()
    client.end()
  }
  await until(() => seen.ended === garbage.length)
  t.is(seen.bytes, 0)
  stays.write('still')
  t.is(String(await collected(stays, 5)), 'still')
  // Amid a connection that stood, from somebody who does not close it.
  const relay = await startRelay(t, port, false)
  const broken = dial(relay.port)
  await once(broken, 'secureConnect')
  relay.upstreams[0]!.write('not a record of TLS')
  await until(() => seen.ended === garbage.length + 1)
  broken.destroy()
  stays.destroy()
  await listener.close()
})

test('a handshake that does not end is ended; who has said nothing yet may wait', async (t) => {
  const { port, listener, seen } = await echo({ tlsHandshakeMs: 100 })
  const silent = await rawly(port)
  const half = await rawly(port, Buffer.from([TLS_HANDSHAKE, 3, 1]))
  await once(half.resume(), 'close')
  await until(() => seen.ended === 1)
  silent.write('late')
  t.is(String(await collected(silent, 4)), 'late')
  // Nor is one ended that has stood for longer.
  const slow = await secured(port)
  const again = await rawly(port, Buffer.from([TLS_HANDSHAKE]))
  await once(again.resume(), 'close')
  slow.write('here')
  t.is(String(await collected(slow, 4)), 'here')
  slow.destroy()
  silent.destroy()
  await listener.close()
})

test('who wants to renegotiate is closed', async (t) => {
  const { port, listener, seen } = await echo()
  const relay = await startRelay(t, port, false)
  const client = dial(relay.port, { maxVersion: 'TLSv1.2', ...dialOptions('one') })
  await once(client, 'secureConnect')
  t.is(seen.ended, 0)
  client.renegotiate({}, () => {})
  await until(() => seen.ended === 1)
  client.destroy()
  await listener.close()
})

test('a client that does not read is seen not to', async (t) => {
  const { port, listener, sockets } = await echo()
  const client = dial(port)
  await once(client, 'secureConnect')
  client.pause()
  await until(() => sockets.length === 1)
  const [socket] = sockets
  const piece = Buffer.alloc(64 * 1024, 'x')
  let written = 0
  while (socket!.writableLength === 0) {
    socket!.write(piece)
    // What was written may be written over.
    piece.fill(++written % 2 === 0 ? 'x' : 'y')
    await new Promise(setImmediate)
  }
  t.true(socket!.writableLength > piece.length)
  const arriving = collected(client, written * piece.length)
  client.resume()
  const all = await arriving
  t.true(all.subarray(0, piece.length).every((byte) => byte === 120))
  t.true(all.subarray(piece.length, 2 * piece.length).every((byte) => byte === 121))
  await until(() => socket!.writableLength === 0)
  client.destroy()
  await listener.close()
})

test('a connection has what its thread has when it begins', async (t) => {
  const tls = new Tls(tlsKeys('one'))
  const { port, listener } = await echo({ tls })
  const before = dial(port)
  await once(before, 'secureConnect')
  tls.use(tlsKeys('two'))
  const after = dial(port)
  await once(after, 'secureConnect')
  t.is(before.getPeerCertificate().subject.CN, 'one')
  t.is(after.getPeerCertificate().subject.CN, 'two')
  before.write('stays')
  t.is(String(await collected(before, 5)), 'stays')
  before.destroy()
  after.destroy()
  await listener.close()
})

test('with TLSv1.3 alone older ones are turned away', async (t) => {
  const tls = new Tls({ ...tlsKeys('one'), protocols: ['TLSv1.3'] })
  const { port, listener, seen } = await echo({ tls })
  const client = dial(port, { maxVersion: 'TLSv1.2', ...dialOptions('one') })
  client.write('hello')
  await until(() => seen.ended === 1)
  t.is(seen.bytes, 0)
  await listener.close()
})
