import { connect } from 'node:net'
import test from 'ava'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

/** What a connection hears, as text. */
class Listener {
  text = ''
  readonly #socket

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.on('data', (bytes) => (this.text += bytes.toString('latin1')))
    this.#socket.on('error', () => {})
  }

  say(line: string): void {
    this.#socket.write(`${line}\r\n`)
  }

  async hears(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  close(): void {
    this.#socket.destroy()
  }
}

const commands: readonly (readonly (string | Buffer)[])[] = [
  ['SET', 'k', Buffer.from('a"b\\c\n\r\t\x07\b\x00\xff\xe9 z~', 'latin1')],
  ['get', 'k'],
  ['SELECT', '3'],
  ['MGET', 'a', '', 'b'],
  ['GET'],
  ['nosuch', 'command'],
  ['AUTH', 'secret'],
  ['AUTH', 'default', 'secret'],
  ['HELLO', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'me'],
  ['CONFIG', 'GET', 'maxclients'],
  ['CONFIG', 'SET', 'requirepass', ''],
  ['CLIENT', 'SETNAME', 'me'],
  ['CLIENT', 'LIST'],
  ['SLOWLOG', 'LEN'],
  ['MONITOR', 'x'],
  ['INCR', 'k'],
  ['RESET'],
  ['PING', 'last one'],
]

/** What a monitor sees of the commands, without times and ports. */
async function watched(server: RunningServer): Promise<string> {
  const monitor = new Listener(server.port)
  monitor.say('MONITOR')
  await monitor.hears(/\+OK\r\n/)
  const client = await RawClient.open(server.port)
  for (const command of commands) await client.command(...command)
  await monitor.hears(/last one/)
  monitor.say('MONITOR')
  monitor.say('GET k')
  monitor.say('SET k v')
  monitor.say('PING itself')
  await monitor.hears(/itself"\r\n/)
  monitor.say('RESET')
  monitor.say('GET k')
  await monitor.hears(/\+RESET\r\n(?:\$-1|\$\d+\r\n.*)\r\n/s)
  await client.command('PING', 'unseen')
  monitor.say('ECHO end')
  await monitor.hears(/\$3\r\nend\r\n/)
  monitor.close()
  client.close()
  return monitor.text.replaceAll(/^\+\d{10}\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\]/gm, '+T [$1 A]')
}

if (available('redis-server')) {
  test('a monitor is shown what redis-server shows', async (t) => {
    const servers = [await startRingtier(), await startRedis()] as const
    try {
      const [ours, theirs] = await Promise.all(servers.map((server) => watched(server)))
      t.is(ours, theirs)
      t.regex(ours!, /^\+T \[3 A\] "SELECT" "3"\r$/m)
    } finally {
      await Promise.all(servers.map((server) => server.stop()))
    }
  })
} else {
  test.skip('a monitor is shown what redis-server shows', (t) => t.pass())
}
