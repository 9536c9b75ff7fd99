/* The peer link over real sockets: what only a kernel does to it. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import test from 'ava'
import { Peer } from '../../../cluster/peers/peer.ts'
import type { PeerOutcome } from '../../../cluster/peers/peer.ts'
import type { PeerValue } from '../../../cluster/peers/replies.ts'
import type { Clock } from '../../../cluster/world.ts'
import { createSystemWorld } from '../../../server/system.ts'
import { freePort } from '../../process.ts'
import { SeededRandom } from '../../sim/random.ts'
import { until } from '../../until.ts'
import { bulk, FakeOwner } from './fake-owner.ts'

const system = createSystemWorld()

/** On a busy machine a turn may take longer than a node may be silent: time runs slower here. */
const SLOWER = 20
const patientClock: Clock = {
  now: () => system.clock.now() / SLOWER,
  wall: () => system.clock.wall(),
  micros: () => system.clock.micros() / SLOWER,
  after: (delayMs, run) => system.clock.after(delayMs * SLOWER, run),
  every: (periodMs, run) => system.clock.every(periodMs * SLOWER, run),
  soon: (run) => system.clock.soon(run),
}

interface Listening {
  readonly owner: FakeOwner
  readonly port: number
  readonly sockets: Set<Socket>
  readonly server: Server
  stop(): Promise<void>
}

async function listen(port = 0): Promise<Listening> {
  const sockets = new Set<Socket>()
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  const owner = new FakeOwner(`127.0.0.1:${bound}`, 'secret')
  server.on('connection', (socket) => {
    sockets.add(socket)
    owner.accept(socket)
  })
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  return { owner, port: bound, sockets, server, stop }
}

function peerOf(port: number): Peer {
  const node = { name: `127.0.0.1:${port}`, host: '127.0.0.1', port }
  return new Peer({ ...system, clock: patientClock }, node, {
    self: 'a:1',
    secret: 'secret',
    view: () => 1,
    replyBytesMax: 64 * 1024 * 1024,
  })
}

function ask(peer: Peer, ...args: (string | Buffer)[]): Promise<[PeerOutcome, PeerValue]> {
  return new Promise((resolve) => {
    const request = { deadlineMs: 30_000, keyAt: -1, share: false }
    peer.request(
      args.map((arg) => Buffer.from(arg)),
      request,
      (outcome, value) => resolve([outcome, value]),
    )
  })
}

test.serial('requests of many turns are answered, each its own', async (t) => {
  const { owner, port, stop } = await listen()
  owner.onRequest = ({ id, args }) => owner.answer(id, bulk(args[1]!))
  const peer = peerOf(port)
  for (let round = 0; round < 20; round++) {
    const keys = Array.from({ length: 50 }, (_, i) => `${round} ${i}`)
    const answers = await Promise.all(keys.map((key) => ask(peer, 'GET', key)))
    t.deepEqual(
      answers.map(([, value]) => (value as Buffer).toString()),
      keys,
    )
  }
  t.is(owner.accepted, 1)
  peer.close()
  await stop()
})

test.serial('long values go both ways whole while small requests pass', async (t) => {
  const { owner, port, stop } = await listen()
  const value = new SeededRandom(1).bytes(20_000_000)
  owner.onRequest = ({ id, args }) => {
    if (args[0] === 'SET')
      owner.answer(id, args[2]!.length === value.length ? '+OK\r\n' : '-ERR\r\n')
    else if (args[1] !== 'long') owner.answer(id, '$-1\r\n')
    else {
      owner.say(`@${id}\r\n$${value.length}\r\n`)
      owner.say(value)
      owner.say('\r\n')
    }
  }
  const peer = peerOf(port)
  const all = await Promise.all([
    ask(peer, 'SET', 'k', value),
    ask(peer, 'GET', 'x'),
    ask(peer, 'GET', 'long'),
    ask(peer, 'GET', 'y'),
  ])
  t.deepEqual(
    all.map(([outcome]) => outcome),
    ['reply', 'reply', 'reply', 'reply'],
  )
  t.true((all[2][1] as Buffer).equals(value))
  peer.close()
  await stop()
})

test.serial(
  'a node that is killed loses what it had, and is used again when it is back',
  async (t) => {
    const first = await listen()
    const peer = peerOf(first.port)
    const asked = new Promise<void>((resolve) => {
      first.owner.onRequest = () => resolve()
    })
    const lost = ask(peer, 'GET', 'k')
    await asked
    for (const socket of first.sockets) socket.resetAndDestroy()
    t.is((await lost)[0], 'lost')
    await first.stop()
    t.is((await ask(peer, 'GET', 'k'))[0], 'unreachable')
    t.is(peer.lastError!.code, 'ECONNREFUSED')
    const second = await listen(first.port)
    second.owner.onRequest = ({ id }) => second.owner.answer(id, '+OK\r\n')
    let outcome: PeerOutcome
    do {
      ;[outcome] = await ask(peer, 'GET', 'k')
      await new Promise((resolve) => setImmediate(resolve))
    } while (outcome === 'unreachable')
    t.is(outcome, 'reply')
    peer.close()
    await second.stop()
  },
)

test.serial('of a node that is given up what has not arrived is not sent any more', async (t) => {
  const { owner, port, stop, sockets } = await listen()
  const peer = peerOf(port)
  const asked = new Promise<void>((resolve) => {
    owner.onRequest = () => resolve()
  })
  void ask(peer, 'GET', 'k')
  await asked
  const [socket] = sockets
  let arrived = 0
  socket!.on('data', (chunk) => (arrived += chunk.length))
  // With an error, where the other side's reset is seen first.
  const closed = new Promise((resolve) => socket!.on('error', () => {}).on('close', resolve))
  // It does not read any more, and neither kernel takes all of this.
  socket!.pause()
  const lost = ask(peer, 'SET', 'k', Buffer.alloc(30_000_000))
  let [waiting, times] = [0, 0]
  await until(() => {
    times = waiting > 0 && peer.waitingBytes === waiting ? times + 1 : 0
    waiting = peer.waitingBytes
    return times === 20
  })
  peer.drop('it does not answer')
  t.is((await lost)[0], 'lost')
  socket!.resume()
  await closed
  // This side's kernel had some 4 MB, the other's a few hundred KB.
  t.true(arrived < 2_000_000, `${arrived} bytes`)
  peer.close()
  await stop()
})

test.serial('a port nobody listens on is unreachable', async (t) => {
  const peer = peerOf(await freePort())
  t.is((await ask(peer, 'GET', 'k'))[0], 'unreachable')
  peer.close()
})
