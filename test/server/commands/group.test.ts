import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { RULE_NAMES } from '../../../cluster/groups/rules.ts'
import type { Loader } from '../../../cluster/origin/loader.ts'
import type { InProcess } from '../in-process.ts'
import { startInProcess } from '../in-process.ts'
import type { RawClient } from '../../raw.ts'

const USER = 'user match user:{id} origin http://127.0.0.1:1/users/{id} ttl 5m'
const PAGE = 'page match page:* origin http://127.0.0.1:1/ header "X-Key: secret"'

/** Every key has a value that says so. */
const loader: Loader = {
  load: async ({ key }) => ({ value: Buffer.from(`origin ${Buffer.from(key).toString()}`) }),
  close: async () => {},
}

async function start(t: ExecutionContext, ...args: readonly string[]): Promise<InProcess> {
  const groups = ['--group', USER, '--group', PAGE]
  const host = await startInProcess([...groups, ...args], { loader })
  t.teardown(() => host.server.shutdown())
  return host
}

/** The strings and numbers of a flat array, as a map. */
function mapOf(reply: string): Map<string, string> {
  const words = [...reply.matchAll(/\$\d+\r\n(.*)\r\n|^:(\d+)\r$/gm)].map((m) => m[1] ?? m[2]!)
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1]!]] : [])))
}

const infoOf = async (client: RawClient, name: string): Promise<Map<string, string>> =>
  mapOf(await client.command('GROUP', 'INFO', name))

const noSuch = "-ERR no such group 'nobody'\r\n"

test('LIST names the groups in their order', async (t) => {
  const { connect } = await start(t)
  t.is(await connect().command('GROUP', 'LIST'), '*2\r\n$4\r\nuser\r\n$4\r\npage\r\n')
  const host = await startInProcess()
  t.is(await host.connect().command('GROUP', 'LIST'), '*0\r\n')
  host.server.shutdown()
})

test('INFO tells the rules in force, and then the counters', async (t) => {
  const { clock, connect } = await start(t)
  const client = connect()
  await client.get('user:1')
  t.is(await client.command('GROUP', 'WARM', 'user', 'user:1', 'user:2'), ':1\r\n')
  await clock.settle()
  const user = await infoOf(client, 'user')
  t.deepEqual([...user.keys()].slice(0, 1 + RULE_NAMES.length), ['name', ...RULE_NAMES])
  t.is(user.get('origin'), 'http://127.0.0.1:1/users/{id}')
  t.is(user.get('ttl'), '5m')
  t.is(user.get('breaker'), '5/1s')
  t.is(user.get('loads'), '2')
  t.is(user.get('warm_asked'), '2')
  t.is(user.get('warm_done'), '2')
  t.is(user.get('warm_failed'), '0')
  t.is((await infoOf(client, 'page')).get('header'), 'X-Key: ***')
  t.is(await client.command('GROUP', 'INFO', 'nobody'), noSuch)
  t.regex(await client.command('HELLO', '3'), /^%/)
  t.regex(await client.command('GROUP', 'INFO', 'user'), /^%\d+\r\n\$4\r\nname\r\n/)
})

test('SET changes a rule, for the next load', async (t) => {
  const { connect } = await start(t)
  const client = connect()
  t.is(await client.command('GROUP', 'SET', 'user', 'TTL', '10s'), '+OK\r\n')
  await client.get('user:1')
  t.is(await client.command('TTL', 'user:1'), ':10\r\n')
  t.is((await infoOf(client, 'user')).get('ttl'), '10s')
  t.regex(
    await client.command('CONFIG', 'GET', 'group'),
    /user match user:\{id\} origin http:\/\/127\.0\.0\.1:1\/users\/\{id\} ttl 10s\npage match/,
  )
})

test('SET refuses what cannot be, and says why', async (t) => {
  const { connect } = await start(t)
  const client = connect()
  const set = (...words: string[]): Promise<string> => client.command('GROUP', 'SET', ...words)
  t.is(await set('nobody', 'ttl', '1'), noSuch)
  t.is(
    await set('user', 'ttl', '5x'),
    "-ERR group user: ttl '5x' is no time (write 250ms, 5s, 5m, 2h or 1d)\r\n",
  )
  t.is(
    await set('user', 'tll', '5'),
    "-ERR group user: unknown rule 'tll', did you mean 'ttl'?\r\n",
  )
  t.is(
    await set('user', 'match', 'x'),
    '-ERR group user: match: it is settled at the start: change the configuration and start anew\r\n',
  )
  t.is(await set('user', 'ttl'), "-ERR wrong number of arguments for 'group|set' command\r\n")
  t.is((await infoOf(client, 'user')).get('ttl'), '5m')
})

test('REWRITE writes the rules in force, and leaves the lines of other groups', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-group-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'redis.conf')
  const old = 'group  old  match old:* origin redis://me:secret@h ttl 60'
  writeFileSync(file, `# groups\ngroup ${USER}\n${old}\ngroup ${PAGE}\nport 0\n`)
  const host = await startInProcess([], { loader })
  host.server.shutdown()
  const { loadConfig } = await import('../../../server/config.ts')
  const config = loadConfig({ args: [file] })
  t.is(config.rewrite(), null)
  t.is(readFileSync(file, 'utf8'), `# groups\ngroup ${USER}\n${old}\ngroup ${PAGE}\nport 0\n`)
  t.is(config.setGroup({ group: 'user', rule: 'wait', word: '50ms' }), null)
  t.is(config.setGroup({ group: 'page', rule: 'header', word: 'X-Key: "2"' }), null)
  t.is(config.rewrite(), null)
  t.is(
    readFileSync(file, 'utf8'),
    `# groups
group ${USER} wait 50ms
group old match old:* origin redis://me:secret@h ttl 60
group page match page:* origin http://127.0.0.1:1/ header "X-Key: \\"2\\""
port 0
`,
  )
  const again = loadConfig({ args: [file] })
  t.deepEqual(
    again.groups.all.map((group) => group.text()),
    config.groups.all.map((group) => group.text()),
  )
})

test('the value of a header is in no SLOWLOG', async (t) => {
  const { connect } = await start(t, '--slowlog-log-slower-than', '0')
  const client = connect()
  t.is(await client.command('GROUP', 'SET', 'user', 'HEADER', 'X-Key: secret'), '+OK\r\n')
  t.is(await client.command('GROUP', 'SET', 'user', 'ttl', '7s'), '+OK\r\n')
  const slow = await client.command('SLOWLOG', 'GET', '-1')
  t.regex(slow, /HEADER/)
  t.regex(slow, /7s/)
  t.notRegex(slow, /secret/)
})

test('FLUSH removes the keys of the group, of all databases, and no other', async (t) => {
  const { clock, connect } = await start(t)
  const client = connect()
  for (const db of ['0', '3']) {
    await client.command('SELECT', db)
    for (let i = 0; i < 300; i++) {
      await client.command('SET', `user:${i}`, 'v')
      await client.command('SET', `users:${i}`, 'v')
    }
    await client.command('SET', `user:${'x'.repeat(5000)}`, 'v')
  }
  const flushed = client.command('GROUP', 'FLUSH', 'user')
  await clock.settle()
  t.is(await flushed, '+OK\r\n')
  for (const db of ['0', '3']) {
    await client.command('SELECT', db)
    t.is(await client.command('DBSIZE'), ':300\r\n')
    t.is(await client.command('EXISTS', 'user:7', 'users:7'), ':1\r\n')
  }
  t.is(await client.command('GROUP', 'FLUSH', 'nobody'), noSuch)
})

test('FLUSH leaves keys that a more specific group has', async (t) => {
  const { clock, connect } = await start(t, '--group', 'admin match user:admin origin http://h/')
  const client = connect()
  await client.command('MSET', 'user:admin', 'v', 'user:1', 'v')
  const flushed = client.command('GROUP', 'FLUSH', 'user')
  await clock.settle()
  t.is(await flushed, '+OK\r\n')
  t.is(await client.command('EXISTS', 'user:admin', 'user:1'), ':1\r\n')
})

test('WARM loads in the background, in the database of the client', async (t) => {
  const { clock, connect, server } = await start(t)
  const client = connect()
  await client.command('SELECT', '2')
  t.is(await client.command('GROUP', 'WARM', 'user', 'user:1', 'user:2', 'user:1'), ':3\r\n')
  await clock.settle()
  t.is(server.store.size(2), 2)
  t.is(server.store.size(0), 0)
  t.is(String(await client.get('user:1')), 'origin user:1')
  t.is((await infoOf(client, 'user')).get('loads'), '2')
})

test('WARM wants keys of the group, and loads none when one is not', async (t) => {
  const { clock, connect, server } = await start(t)
  const client = connect()
  t.is(
    await client.command('GROUP', 'WARM', 'user', 'user:1', 'page:1'),
    "-ERR key 'page:1' is not of group 'user'\r\n",
  )
  t.is(
    await client.command('GROUP', 'WARM', 'user', 'x'.repeat(200)),
    `-ERR key '${'x'.repeat(128)}' is not of group 'user'\r\n`,
  )
  t.is(await client.command('GROUP', 'WARM', 'nobody', 'user:1'), noSuch)
  await clock.settle()
  t.is(server.store.size(0), 0)
})

test('HELP tells the commands, and the rules that SET changes', async (t) => {
  const { connect } = await start(t)
  const help = await connect().command('GROUP', 'HELP')
  t.regex(help, /\+WARM name key \[key \.\.\.\]\r\n/)
  t.regex(help, /\+ttl <a time, 0 to 3650d>\r\n\+ {4}How long a loaded value is fresh/)
  t.notRegex(help, /\+match /)
})
