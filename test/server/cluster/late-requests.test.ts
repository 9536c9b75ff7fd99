import test from 'ava'
import { LateRequests } from '../../../server/cluster/late-requests.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { startCluster } from '../in-process.ts'
import { PeerClient } from './peer-client.ts'

const A = '127.0.0.1:7001'
const SECRET = 'a secret of this test'

test('after a stall requests may be late for a while, after a shorter one they are not', async (t) => {
  const clock = new VirtualClock()
  const late = new LateRequests(clock)
  late.awake(clock.now())
  await clock.advance(300)
  late.awake(clock.now())
  t.false(late.maySee(clock.now()))
  await clock.advance(301)
  late.awake(clock.now())
  t.true(late.maySee(clock.now() + 399))
  t.false(late.maySee(clock.now() + 400))
  late.resumed(clock.now() + 500)
  t.true(late.maySee(clock.now() + 899), 'after no command ran for a while, too')
  t.false(late.maySee(clock.now() + 900))
})

test('those whose connection is gone some turns later are not run, the others in order', async (t) => {
  const clock = new VirtualClock()
  const late = new LateRequests(clock)
  late.resumed(clock.now())
  const ran: number[] = []
  let turn = 0
  const count = (): void => {
    if (++turn < 20) clock.soon(count)
  }
  clock.soon(count)
  for (let i = 0; i < 4; i++) {
    const client = {
      get isGone() {
        return i === 2 && turn > 3
      },
      bytesRead: 1000,
    }
    late.hold(client, () => ran.push(i))
  }
  t.true(late.maySee(clock.now()), 'what comes now must not overtake them')
  await clock.settle()
  t.deepEqual(ran, [0, 1, 3])
  t.false(late.maySee(clock.now() + 400))
  t.deepEqual([late.held, late.dropped], [4, 1])
})

test('as long as much is read there may be more, but not for ever', async (t) => {
  const clock = new VirtualClock()
  for (const [pieces, bytes, runsAt] of [
    [0, 0, 4],
    [5, 16_384, 9],
    [5, 16_383, 4],
    [1000, 1024 * 1024, 9],
  ] as const) {
    const late = new LateRequests(clock)
    late.resumed(clock.now())
    const client = { isGone: false, bytesRead: 0 }
    let turn = 0
    let ranAt = 0
    const read = (): void => {
      if (++turn > 1 && turn <= pieces + 1) client.bytesRead += bytes
      if (ranAt === 0 && turn < 100) clock.soon(read)
    }
    clock.soon(read)
    late.hold(client, () => (ranAt = turn))
    await clock.settle()
    t.true(ranAt === runsAt || ranAt === runsAt + 1, `${pieces} pieces of ${bytes}: ${ranAt}`)
  }
})

for (const isReset of [false, true]) {
  const what = isReset ? 'is not run when it was given up' : 'is run when somebody waits for it'
  test(`what has been waiting while this node stood still ${what}`, async (t) => {
    const cluster = await startCluster(3, [])
    t.teardown(() => cluster.shutdown())
    const { server } = cluster.nodes[1]!
    const a = await PeerClient.open(cluster.nodes[1]!, A, SECRET)
    const c = await PeerClient.open(cluster.nodes[1]!, '127.0.0.1:7003', SECRET)
    server.wake(cluster.clock.now() - 301)
    const said = c.say(c.request(['SET', 'k', 'newer']))
    // The system hands out what came before it tells that the connection is gone.
    a.stream.write(a.request(['SET', 'k', 'older']))
    if (isReset) {
      setImmediate(() => {
        for (const client of server.clients.values()) if (client.peer === A) client.destroy()
      })
    }
    t.is(await said, '@1\r\n+OK\r\n')
    await cluster.settle()
    t.is(server.late.dropped, isReset ? 1 : 0)
    const value = await c.say(c.request(['GET', 'k']))
    t.is(value, isReset ? '@2\r\n$5\r\nnewer\r\n' : '@2\r\n$5\r\nolder\r\n')
  })
}
