/* Real nodes with tls-cluster: what they are to each other, what can be overheard, and who else may come. */
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { dialOptions, certificateFile, tlsArguments } from '../certificates.ts'
import { available, RINGTIER, run, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { threadsTest } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { startRecordedNodes } from './recorded.ts'

const MARK = 'nobody is to read this'
const KEYS = 30

/**
 * Writes through each node and reads through all. On a machine that is so busy that a node is missed what it
 * had may be gone; a value that is there is the right one.
 */
async function useAll(t: ExecutionContext, ports: readonly number[]): Promise<void> {
  const clients = await Promise.all(ports.map((port) => RawClient.open(port)))
  t.teardown(() => clients.forEach((client) => client.close()))
  for (const client of clients) {
    await until(async () => {
      const info = await client.command('CLUSTER', 'INFO')
      return info.includes('pfail:0\r\n') && info.includes(`cluster_size:${ports.length}\r\n`)
    })
  }
  const values = new Map(Array.from({ length: KEYS }, (_, i) => [`key:${i}`, `${MARK} ${i}`]))
  for (let i = 0; i < 3; i++) values.set(`long:${i}`, MARK.repeat(50_000))
  const isWritten = async (): Promise<boolean> => {
    const replies = [...values].map(([key, value], i) =>
      clients[i % clients.length]!.command('SET', key, value),
    )
    return (await Promise.all(replies)).every((reply) => reply === '+OK\r\n')
  }
  const isRead = async (): Promise<boolean> => {
    for (const client of clients) {
      for (const [key, value] of values) {
        const reply = await client.command('GET', key)
        if (reply === '$-1\r\n' || reply.startsWith('-')) return false
        t.true(reply === `$${value.length}\r\n${value}\r\n`, key)
      }
    }
    return true
  }
  await until(async () => (await isWritten()) && (await isRead()))
}

test.serial('without TLS what nodes tell each other can be read', async (t) => {
  const plain = ['--threads', '1']
  const nodes = await startRecordedNodes([plain, plain])
  t.teardown(() => nodes.stop())
  await useAll(t, nodes.ports)
  t.true(nodes.sent().includes(MARK))
})

async function secureNodes(t: ExecutionContext, threads: string): Promise<readonly number[]> {
  const owners = ['one', 'two', 'one'] as const
  const nodes = await startRecordedNodes(
    owners.map((owner) => [...tlsArguments(owner), '--threads', threads]),
  )
  t.teardown(() => nodes.stop())
  await useAll(t, nodes.ports)
  const sent = nodes.sent()
  t.true(sent.length > 1_000_000)
  for (const word of [MARK, 'PEER', 'key:', '127.0.0.1']) t.false(sent.includes(word), word)
  return nodes.ports
}

test.serial(
  'three nodes with TLS: keys from everywhere, nothing to overhear, clients with TLS or without',
  async (t) => {
    const [port = 0] = await secureNodes(t, '1')
    const client = new Redis(port, '127.0.0.1', { tls: dialOptions(null) })
    t.teardown(() => client.disconnect())
    await until(async () => (await client.get('key:7')) === `${MARK} 7`)
    const peer = client.call('PEER', 'HELLO', '1', '127.0.0.1:1', '0'.repeat(32))
    await t.throwsAsync(peer, {
      message: /^ERR a node that calls here .*: it has shown no certificate$/,
    })
    const check = [RINGTIER, 'cluster', 'check', '-p', String(port)]
    await until(async () => /3 nodes agree/.test((await run(process.execPath, check)).stdout))
    if (!available('redis-cli')) return
    const words = ['-p', String(port), '--tls', '--cacert', certificateFile('ca.crt'), 'PING']
    t.is((await run('redis-cli', words)).stdout, 'PONG\n')
  },
)

threadsTest(
  'three nodes of two threads each with TLS, and CONFIG SET of all threads',
  async (t) => {
    const [port = 0] = await secureNodes(t, '2')
    const files = { 'tls-cert-file': 'two.crt', 'tls-key-file': 'two.key' }
    const words = Object.entries(files).flatMap(([name, file]) => [name, certificateFile(file)])
    const client = await RawClient.open(port)
    t.teardown(() => client.close())
    t.is(await client.command('CONFIG', 'SET', ...words, 'tls-key-file-pass', 'open'), '+OK\r\n')
    for (let i = 0; i < 4; i++) {
      const secure = new Redis(port, '127.0.0.1', { tls: dialOptions(null) })
      t.is(await secure.ping(), 'PONG')
      const { stream } = secure as unknown as { stream: TLSSocket }
      t.is(stream.getPeerCertificate().subject.CN, 'two')
      secure.disconnect()
    }
  },
)

test.serial(
  'who has no TLS, another CA or a certificate that has expired is no member, and the logs say why',
  async (t) => {
    const nodes = await startRecordedNodes([
      tlsArguments('one'),
      [],
      tlsArguments('stranger'),
      tlsArguments('expired'),
    ])
    t.teardown(() => nodes.stop())
    const says = (i: number, text: RegExp) => until(() => text.test(nodes.servers[i]!.output()))
    const authority = /its certificate is not signed by one in tls-ca-cert-file/
    await says(
      0,
      /did not answer with TLS, as if its tls-cluster were no,|does not answer with TLS: its tls-/,
    )
    await says(0, authority)
    await says(0, /its certificate has expired/)
    await says(1, /refused PEER HELLO: ERR a node that calls here must .*: it does not speak TLS/)
    await says(2, authority)
    await says(
      3,
      /refused PEER HELLO: ERR a node that calls here must .*: its certificate has expired/,
    )
    const client = await RawClient.open(nodes.ports[0]!)
    t.teardown(() => client.close())
    const isAlone = async () => /_live_nodes:1\r\n/.test(await client.command('INFO', 'cluster'))
    await until(isAlone)
    t.is(await client.command('CLUSTER', 'LINKS'), '*0\r\n')
  },
)

test.serial('handshakes under way are clients, and those that end are not', async (t) => {
  const server = await startRingtier({
    args: [...tlsArguments('one'), '--maxclients', '3', '--maxmemory', '16mb', '--save', ''],
  })
  t.teardown(() => server.stop())
  const begun = [0, 1, 2].map(() => connect(server.port, '127.0.0.1'))
  for (const socket of begun) socket.on('error', () => {}).write(Buffer.from([0x16, 3, 1]))
  const refused = /^-ERR max number of clients reached/
  const ask = async (): Promise<string> => {
    const client = await RawClient.open(server.port)
    const reply = await client.command('PING').catch(({ message }: Error) => message)
    client.close()
    return reply
  }
  await until(async () => refused.test(await ask()))
  begun.pop()!.write('garbage and more garbage\r\n')
  begun[0]!.destroy()
  await until(async () => (await ask()) === '+PONG\r\n')
  begun.forEach((socket) => socket.destroy())
  t.pass()
})
