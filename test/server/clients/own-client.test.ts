import test from 'ava'
import type { LoadRequest, Loader } from '../../../cluster/origin/loader.ts'
import { PeerError, PeerStatus, type PeerValue } from '../../../cluster/peers/replies.ts'
import { OwnClient } from '../../../server/clients/own-client.ts'
import { startCluster, startInProcess } from '../in-process.ts'

const GROUP = ['--group', 'g match g:{id} origin http://h/{id}']

/** Loads that the test answers. */
class HeldLoader implements Loader {
  readonly answers = new Map<string, (value: string) => void>()

  load({ key }: LoadRequest) {
    return new Promise<{ value: Buffer }>((resolve) => {
      this.answers.set(Buffer.from(key).toString(), (value) =>
        resolve({ value: Buffer.from(value) }),
      )
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function textOf(value: PeerValue): unknown {
  if (value instanceof PeerStatus) return value.text
  if (value instanceof PeerError) return `-${value.line}`
  return Buffer.isBuffer(value) ? value.toString() : value
}

test('replies are handed back as they are there, in no order', async (t) => {
  const loader = new HeldLoader()
  const { server, clock, connect } = await startInProcess(GROUP, { loader })
  const own = new OwnClient(server)
  const heard: unknown[] = []
  const call = (...words: string[]): void => own.call(words, (reply) => heard.push(textOf(reply)))
  call('GET', 'g:1')
  call('SET', 'k', 'v')
  call('GET', 'k')
  call('INCR', 'k')
  call('DEL', 'k', 'nobody')
  call('GET', 'nobody')
  const not = '-ERR value is not an integer or out of range'
  t.deepEqual(heard.splice(0), ['OK', 'v', not, 1, null])
  await clock.settle()
  loader.answers.get('g:1')!('loaded')
  await clock.settle()
  t.deepEqual(heard.splice(0), ['loaded'])

  const client = connect()
  const list = await client.command('CLIENT', 'LIST')
  t.is(list.match(/id=/g)!.length, 1, 'it is none of the clients')
  t.regex(await client.command('INFO', 'commandstats'), /cmdstat_incr:calls=1,/)
  t.throws(() => call('NOSUCH'), { message: /there is no such command/ })
  t.throws(() => call('GET'), { message: /there is no such command/ })
  client.close()
  server.shutdown()
})

test('what may not run now is refused, and a call that waits ends with the server', async (t) => {
  const loader = new HeldLoader()
  const { server, clock } = await startInProcess(GROUP, { loader })
  const own = new OwnClient(server)
  const heard: unknown[] = []
  const call = (...words: string[]): void => own.call(words, (reply) => heard.push(textOf(reply)))
  server.gate.restrict({ loading: true, deniesWrites: false })
  call('GET', 'k')
  t.regex(String(heard.pop()), /^-LOADING /)
  server.gate.restrict({ loading: false, deniesWrites: false })
  call('GET', 'g:1')
  await clock.settle()
  t.deepEqual(heard, [])
  server.shutdown()
  await clock.settle()
  t.deepEqual(heard, ['-ORIGIN g: the server is ending'])
})

test('in a cluster a call finds its node, and keys of several are told apart', async (t) => {
  const cluster = await startCluster(2, [])
  const [one, two] = cluster.nodes.map(({ server }) => new OwnClient(server))
  const ask = async (own: OwnClient, ...words: string[]): Promise<unknown> => {
    let heard: unknown
    own.call(words, (reply) => (heard = textOf(reply)))
    await cluster.settle()
    return heard
  }
  const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`)
  for (const key of keys) t.is(await ask(one!, 'SET', key, key), 'OK')
  for (const key of keys) t.is(await ask(two!, 'GET', key), key)
  t.is(await ask(one!, 'DBSIZE'), 20)
  t.is(await ask(two!, 'DEL', ...keys), 20)
  const pairs = keys.flatMap((key) => [key, '1'])
  t.regex(String(await ask(one!, 'MSETNX', ...pairs)), /^-CROSSSLOT /)
  cluster.shutdown()
})
