import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { BadValue } from '../../server/config/kinds.ts'
import { directives, ignored, sections } from '../../server/config/directives.ts'
import { ConfigError } from '../../server/config/sources.ts'
import { type Config, type ConfigSources, loadConfig, type Pair } from '../../server/config.ts'
import { available, startRedis } from '../process.ts'

const MB = 2 ** 20

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'ringtier-config-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function withFile(t: ExecutionContext, text: string, ...args: string[]): Config {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, text)
  return loadConfig({ args: [path, ...args] })
}

const from = (...args: string[]): Config => loadConfig({ args })

/** The error's line, with the folder of the test taken out. */
function refused(t: ExecutionContext, run: () => unknown): string {
  const error = t.throws(run, { instanceOf: ConfigError })
  t.notRegex(error.message, /\n/)
  return error.message.replace(/\S*\/(?=[\w.]+(:|$))/g, '')
}

/* ---- sources ---- */

const cpus = { cores: 2, threadsMax: 64 }

test('without anything the defaults stand', (t) => {
  const config = loadConfig()
  t.is(config.port, 6379)
  t.deepEqual(config.bind, ['127.0.0.1', '-::1'])
  t.true(config['protected-mode'])
  t.is(config['proto-max-bulk-len'], 512 * MB)
  t.is(config.members, null)
  t.deepEqual(config.groups.all, [])
  t.deepEqual(config.notices, [])
  t.false(config.isSet('port'))
})

test('file, environment and command line overrule each other in this order', (t) => {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, 'port 1\nmaxclients 1\ntimeout 1\n')
  const environment = { RINGTIER_MAXCLIENTS: '2', RINGTIER_TIMEOUT: '2', PORT: '9' }
  const config = loadConfig({ args: [path, '--timeout', '3'], environment })
  t.deepEqual([config.port, config.maxclients, config.timeout], [1, 2, 3])
  t.is(config.whereOf('port'), `${path}:1`)
  t.is(config.whereOf('maxclients'), 'RINGTIER_MAXCLIENTS')
  t.is(config.whereOf('timeout'), 'command line')
  t.true(config.isSet('timeout'))
})

test('what Kubernetes says about a service named ringtier is no directive', (t) => {
  const environment = {
    RINGTIER_PORT: 'tcp://10.0.0.1:6379',
    RINGTIER_PORT_6379_TCP_PROTO: 'tcp',
    RINGTIER_SERVICE_HOST: '10.0.0.1',
    RINGTIER_SERVICE_PORT: '6379',
  }
  t.is(loadConfig({ environment }).port, 6379)
})

test('a file has comments, quotes, blank lines, any case and any line end', (t) => {
  const config = withFile(
    t,
    `# comment
      \t# one more\r
PORT 7000\r

requirepass "two words # no comment"
bind 127.0.0.1 '::1'
maxmemory 10mb`,
  )
  t.is(config.port, 7000)
  t.is(config.requirepass, 'two words # no comment')
  t.deepEqual(config.bind, ['127.0.0.1', '::1'])
  t.is(config.maxmemory, 10 * MB)
})

test('include reads files where it stands, by name or by pattern, in order', (t) => {
  const path = folder(t)
  mkdirSync(join(path, 'conf.d'))
  mkdirSync(join(path, 'empty'))
  writeFileSync(join(path, 'conf.d', 'b.conf'), 'port 2\nmaxclients 2')
  writeFileSync(join(path, 'conf.d', 'a.conf'), 'port 1\ntimeout 1')
  writeFileSync(join(path, 'conf.d', 'c.txt'), 'port 3')
  writeFileSync(join(path, 'conf.d', '.d.conf'), 'port 4')
  const main = join(path, 'redis.conf')
  writeFileSync(
    main,
    `timeout 9\ninclude ${path}/co?f.d/*.conf\nmaxclients 9\ninclude ${path}/empty/*`,
  )
  const config = loadConfig({ args: [main] })
  t.deepEqual([config.port, config.timeout, config.maxclients], [2, 1, 9])
  t.is(config.whereOf('port'), join(path, 'conf.d', 'b.conf:1'))
  t.is(from('--include', join(path, 'conf.d', 'c.txt')).port, 3)
})

test('an include of a missing file, of itself, or of nothing is refused', (t) => {
  t.is(
    refused(t, () => withFile(t, '\ninclude /no/such.conf')),
    "redis.conf:2: can't open config file '/no/such.conf': No such file or directory",
  )
  t.is(
    refused(t, () => withFile(t, 'include')),
    'redis.conf:1: include wants one file',
  )
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, `include ${path}`)
  t.is(
    refused(t, () => from(path)),
    'redis.conf:1: includes stand too deep',
  )
})

test('an include by pattern passes folders that are none, and names one that cannot be read', (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'file'), '')
  symlinkSync('loop', join(path, 'loop'))
  for (const none of ['gone', 'file']) {
    t.notThrows(() => withFile(t, `include ${path}/${none}/*.conf`))
  }
  t.is(
    refused(t, () => withFile(t, `include ${path}/loop/*.conf`)),
    `redis.conf:1: can't open config file '${path}/loop': Too many levels of symbolic links`,
  )
})

test('a config file that cannot be read is named', (t) => {
  t.is(
    refused(t, () => from('/no/redis.conf')),
    "redis.conf: can't open it: No such file or directory",
  )
  const path = folder(t)
  symlinkSync(path, join(path, 'redis.conf'))
  t.is(
    refused(t, () => from(join(path, 'redis.conf'))),
    "redis.conf: can't open it: Is a directory",
  )
})

test('a directive takes all arguments up to the next --name', (t) => {
  const config = from('--bind', '127.0.0.1', '::1', '--save', '60', '1', '--port', '7000')
  t.deepEqual(config.bind, ['127.0.0.1', '::1'])
  t.is(config.port, 7000)
  t.is(config.get(['save']).get('save'), '60 1')
})

test('a single argument is split as in the file, where the directive takes a list', (t) => {
  t.deepEqual(from('--bind', '127.0.0.1 "::1"').bind, ['127.0.0.1', '::1'])
  t.is(from('--requirepass', 'two words').requirepass, 'two words')
})

test('--name=word and "--name word" are taken too', (t) => {
  t.is(from('--port=7000').port, 7000)
  t.is(from('--port 7000').port, 7000)
  t.is(from('--requirepass=--port').requirepass, '--port')
  t.is(from('--requirepass=').requirepass, '')
  t.is(from('--PORT', '7000').port, 7000)
})

test('negative numbers are values', (t) => {
  t.is(from('--slowlog-log-slower-than', '-1').get(['slowlog-log-slower-than']).size, 1)
})

test('save: an empty word, or nothing, clears; lines add up', (t) => {
  const saved = (...args: string[]): string | undefined =>
    from(...args)
      .get(['save'])
      .get('save')
  t.is(saved('--save', ''), '')
  t.is(saved('--save'), '')
  t.is(saved('--save', '60', '1', '--save', '10', '5'), '60 1 10 5')
  t.is(saved('--save', '60', '1', '--save', '', '--port', '1'), '')
})

test('group repeats on the command line, in the file, and one a line in the environment', (t) => {
  const path = join(folder(t), 'redis.conf')
  const rest = 'origin http://127.0.0.1:1/{id}'
  writeFileSync(path, `\ngroup a match a:{id} ${rest}`)
  const config = loadConfig({
    args: [
      path,
      '--group',
      `d match d:{id} ${rest}`,
      '--group',
      'e',
      'match',
      'e:{id}',
      ...rest.split(' '),
    ],
    environment: { RINGTIER_GROUP: `b match b:{id} ${rest}\n\nc match c:{id} ${rest}\n` },
  })
  t.deepEqual(
    config.groups.all.map((group) => group.name),
    ['a', 'b', 'c', 'd', 'e'],
  )
  t.deepEqual(
    config.group.map((line) => line.where.replace(/.*\//, '')),
    ['redis.conf:2', 'RINGTIER_GROUP', 'RINGTIER_GROUP', 'command line', 'command line'],
  )
})

test('environment variables have _ for - and for _', (t) => {
  const environment = { RINGTIER_TCP_KEEPALIVE: '7', RINGTIER_SERVER_CPULIST: '1', OTHER: 'x' }
  const config = loadConfig({ environment })
  t.is(config['tcp-keepalive'], 7)
  t.is(config.get(['server_cpulist']).get('server_cpulist'), '1')
})

/* ---- bad input: where, what, and what was meant ---- */

const bad: [args: string[], line: string][] = [
  [['--prot', '1'], "command line: unknown directive '--prot', did you mean '--port'?"],
  [['--qqqqqqqq', '1'], "command line: unknown directive '--qqqqqqqq'"],
  [
    ['--port', '65536'],
    "command line: port '65536': argument must be between 0 and 65535 inclusive",
  ],
  [['--port', '-1'], "command line: port '-1': argument must be between 0 and 65535 inclusive"],
  [['--port', 'x'], "command line: port 'x': argument couldn't be parsed into an integer"],
  [['--port', '1.5'], "command line: port '1.5': argument couldn't be parsed into an integer"],
  [['--port', '007'], "command line: port '007': argument couldn't be parsed into an integer"],
  [['--port'], 'command line: port: wants a value'],
  [['--port', '1', '2'], "command line: port '1 2': wants one value, but there are 2"],
  [['--port', '1', '-x'], "command line: port '1 -x': wants one value, but there are 2"],
  [['-x'], "command line: '-x' is no --directive"],
  [['--maxmemory', '10x'], "command line: maxmemory '10x': argument must be a memory value"],
  [['--maxmemory', '1.5gb'], "command line: maxmemory '1.5gb': argument must be a memory value"],
  [['--maxmemory', '-1'], "command line: maxmemory '-1': argument must be a memory value"],
  [['--protected-mode', 'on'], "command line: protected-mode 'on': argument must be 'yes' or 'no'"],
  [['--requirepass', 'a', 'b'], 'command line: requirepass: wants one value, but there are 2'],
  [['--bind', "'a"], "command line: bind ''a': unbalanced quotes"],
  [
    ['--daemonize', 'yes'],
    "command line: daemonize 'yes': the server stays in the foreground: leave going to the background to what starts it",
  ],
  [
    ['--supervised', 'systemd'],
    "command line: supervised 'systemd': 'systemd' waits for a message that is not sent: use Type=simple and supervised no",
  ],
  [
    ['--tls-port', '6380'],
    "command line: tls-port '6380': TLS has no port of its own and none of this: nodes speak it with tls-cluster, and clients may then, on the same port",
  ],
  [
    ['--tls-protocols', 'TLSv1.1 TLSv1.2'],
    "command line: tls-protocols 'TLSv1.1 TLSv1.2': wants TLSv1.2, TLSv1.3 or both; older ones are not spoken",
  ],
  [
    ['--user', 'alice on'],
    'command line: ACL users are not built yet; requirepass is: its rules would not be in force',
  ],
  [['--cluster-self', 'nowhere'], 'command line: cluster-self: "nowhere" is not host:port'],
  [
    ['--cluster-self', 'a:1', '--cluster-secret', 'x', '--cluster-peers', 'b:1,c'],
    'command line: cluster-peers: "c" is not host:port',
  ],
  [['--cluster-peers', 'b:1'], 'command line: cluster-peers also wants cluster-self'],
  [['--cluster-dns', 'b:1'], 'command line: cluster-dns also wants cluster-self'],
  [
    ['--cluster-self', '127.0.0.1:1', '--cluster-peers', 'b:1', '--cluster-dns', 'c:1'],
    'command line: cluster-peers and cluster-dns cannot be had together',
  ],
  [
    ['--cluster-self', '127.0.0.1:1', '--cluster-dns', 'c'],
    'command line: cluster-dns: "c" is not host:port',
  ],
  [
    ['--cluster-self', '127.0.0.1:1', '--cluster-etcd', 'me:hush@c'],
    'command line: cluster-etcd: wants host:port or host:port',
  ],
  [
    ['--cluster-etcd-prefix', ''],
    'command line: cluster-etcd-prefix: wants 1 to 255 printable characters',
  ],
  [
    ['--cluster-self', 'a:1'],
    'command line: a cluster of several machines wants cluster-secret, the same on all nodes',
  ],
  [
    ['--cluster-self', '127.0.0.1:1', '--requirepass', 'x'],
    'command line: a cluster behind requirepass wants cluster-secret: nodes prove it to each other instead of a password',
  ],
  [['--group', 'user match user:{id} ttl 5m'], 'command line: group user: origin is missing'],
]
for (const [args, line] of bad) {
  test(`refused: ${args.join(' ')}`, (t) =>
    t.is(
      refused(t, () => from(...args)),
      line,
    ))
}

test('refused in a file: with its name and line', (t) => {
  t.is(
    refused(t, () => withFile(t, '\n\nmaxmemroy 1gb')),
    "redis.conf:3: unknown directive 'maxmemroy', did you mean 'maxmemory'?",
  )
  t.is(
    refused(t, () => withFile(t, 'port "1')),
    'redis.conf:1: unbalanced quotes',
  )
  t.is(
    refused(t, () => withFile(t, 'port')),
    'redis.conf:1: port: wants a value',
  )
  t.is(
    refused(t, () => withFile(t, "rename-command FLUSHALL ''")),
    'redis.conf:1: renaming commands is not built yet: the command would stay open by its name',
  )
  const group = 'group user match user:{id} origin http://127.0.0.1:1/{id}'
  t.is(
    refused(t, () => withFile(t, `${group}\n${group}`)),
    'redis.conf:2: group user is given twice',
  )
})

test('copies want keys to move between nodes', (t) => {
  const group = 'session match session:{id} origin http://127.0.0.1:3000/{id} copies 1'
  const given = (...args: string[]) => loadConfig({ args: ['--group', group, ...args] })
  const cluster = ['--cluster-self', '127.0.0.1:7001', '--cluster-peers', '127.0.0.1:7002']
  t.throws(() => given(...cluster, '--cluster-handoff', '0'), {
    message:
      'command line: group session has copies 1, which wants keys to move between nodes: leave cluster-handoff at its default, or give a time above 0',
  })
  t.notThrows(() => given(...cluster, '--cluster-handoff', '1'))
  t.notThrows(() => given('--cluster-handoff', '0'))
})

test('refused in the environment: with the variable', (t) => {
  const refusedIn = (environment: Record<string, string>): string =>
    refused(t, () => loadConfig({ environment }))
  t.is(
    refusedIn({ RINGTIER_PORT: 'x' }),
    "RINGTIER_PORT: port 'x': argument couldn't be parsed into an integer",
  )
  t.is(
    refusedIn({ RINGTIER_MAX_MEMORY: '1gb' }),
    "environment: unknown directive 'RINGTIER_MAX_MEMORY', did you mean 'RINGTIER_MAXMEMORY'?",
  )
})

test('a secret is in no error', (t) => {
  for (const name of ['requirepass', 'cluster-secret']) {
    t.notRegex(
      refused(t, () => from(`--${name}`, 'hush', 'hush')),
      /hush/,
    )
  }
  for (const rules of ['header "X-Key: hush', 'header X-Key: hush', 'origin redis://:hush@h#']) {
    const line = `user match user:{id} ${rules}`
    t.notRegex(
      refused(t, () => from('--group', line)),
      /hush/,
    )
  }
})

/* ---- values ---- */

const sizes: [text: string, bytes: number][] = [
  ['3000000', 3_000_000],
  ['3000000b', 3_000_000],
  ['5000k', 5_000_000],
  ['5000kb', 5_120_000],
  ['100m', 100_000_000],
  ['100mb', 104_857_600],
  ['100MB', 104_857_600],
  ['1g', 1_000_000_000],
  ['1gb', 1_073_741_824],
]
for (const [text, bytes] of sizes) {
  test(`${text} is ${bytes} bytes`, (t) => t.is(from('--maxmemory', text).maxmemory, bytes))
}

test('maxmemory 0 is a quarter of the machine, within what the store can manage', (t) => {
  const maxmemory = (memoryBytes: number, ...args: string[]): number =>
    loadConfig({
      args,
      machine: { ...cpus, memoryBytes, storeBytesMin: 2 * MB, storeBytesMax: 64 * MB },
    }).maxmemory
  t.is(maxmemory(100 * MB + 3), 25 * MB)
  t.is(maxmemory(100 * MB, '--maxmemory', '0'), 25 * MB)
  t.is(maxmemory(1024 * MB), 64 * MB)
  t.is(maxmemory(4 * MB), 2 * MB)
})

test('maxmemory is refused below and above what the store can manage', (t) => {
  const machine = { ...cpus, memoryBytes: 2 ** 30, storeBytesMin: 2 * MB, storeBytesMax: 64 * MB }
  const maxmemory = (bytes: number): number =>
    loadConfig({ args: ['--maxmemory', String(bytes)], machine }).maxmemory
  t.is(maxmemory(2 * MB), 2 * MB)
  t.is(maxmemory(64 * MB), 64 * MB)
  t.is(
    refused(t, () => maxmemory(2 * MB - 1)),
    "command line: maxmemory '2097151': argument must be at least 2mb (2097152)",
  )
  t.regex(
    refused(t, () => maxmemory(64 * MB + 1)),
    /^command line: maxmemory '67108865': argument must be at most 67108864 on this Node\.js/,
  )
})

test('maxmemory-ceiling is 2gb unless said, or what the machine has, and never below maxmemory', (t) => {
  const GB = 1024 * MB
  const ceiling = (memoryBytes: number, storeBytesMax: number, ...args: string[]): number =>
    loadConfig({ args, machine: { ...cpus, memoryBytes, storeBytesMin: 2 * MB, storeBytesMax } })[
      'maxmemory-ceiling'
    ]
  t.is(ceiling(64 * GB, 100 * GB, '--maxmemory', '2gb'), 2 * GB)
  t.is(ceiling(64 * GB, 100 * GB, '--maxmemory', String(2 * GB + 1)), 64 * GB)
  t.is(ceiling(64 * GB, 100 * GB), 64 * GB)
  t.is(ceiling(1 * GB, 100 * GB), 2 * GB)
  t.is(ceiling(1 * GB, 100 * GB, '--maxmemory', '3gb'), 3 * GB)
  t.is(ceiling(64 * GB, 10 * GB, '--maxmemory', '3gb'), 10 * GB)
  t.is(ceiling(64 * GB, 2 * GB - 1), 2 * GB - 1)
  t.is(ceiling(1 * GB, 100 * GB, '--maxmemory', '6mb', '--maxmemory-ceiling', '6mb'), 6 * MB)
  t.is(ceiling(1 * GB, 100 * GB, '--maxmemory-ceiling', '5gb', '--maxmemory', '6mb'), 5 * GB)
})

test('maxmemory-ceiling is refused below maxmemory and above what the store can manage', (t) => {
  const machine = { ...cpus, memoryBytes: 2 ** 30, storeBytesMin: 2 * MB, storeBytesMax: 64 * MB }
  const ceiling = (bytes: number): number =>
    loadConfig({
      args: ['--maxmemory', '8mb', '--maxmemory-ceiling', String(bytes)],
      machine,
    })['maxmemory-ceiling']
  t.is(ceiling(8 * MB), 8 * MB)
  t.is(ceiling(64 * MB), 64 * MB)
  t.is(
    refused(t, () => ceiling(8 * MB - 1)),
    "command line: maxmemory-ceiling '8388607': argument must be at least maxmemory, which is 8mb",
  )
  t.regex(
    refused(t, () => ceiling(64 * MB + 1)),
    /^command line: maxmemory-ceiling '67108865': argument must be at most 67108864 on this Node\.js/,
  )
})

test('limits: at them accepted, beyond them refused', (t) => {
  const numbers: [name: string, min: number, max: number][] = [
    ['port', 0, 65535],
    ['databases', 1, 256],
    ['maxclients', 1, 2 ** 32 - 1],
    ['proto-max-bulk-len', MB, 512 * MB],
    ['tcp-backlog', 0, 2 ** 31 - 1],
    ['cluster-virtual-nodes', 1, 1024],
  ]
  for (const [name, min, max] of numbers) {
    const value = (n: number): string | undefined =>
      from(`--${name}`, String(n)).get([name]).get(name)
    t.is(value(min), String(min))
    t.is(value(max), String(max))
    t.throws(() => value(min - 1), { instanceOf: ConfigError }, name)
    t.throws(() => value(max + 1), { instanceOf: ConfigError }, name)
  }
  const sixteen = Array.from({ length: 16 }, (_, i) => `127.0.0.${i + 1}`)
  t.is(from('--bind', ...sixteen).bind.length, 16)
  t.throws(() => from('--bind', ...sixteen, '::1'), { message: /Too many bind addresses/ })
})

test('threads: one for each core unless said, at most 8; never more than this Node.js can have', (t) => {
  const threads = (cores: number, threadsMax: number, ...args: string[]): [number, number] => {
    const machine = { ...{ cores, threadsMax, memoryBytes: 2 ** 30 }, storeBytesMin: 2 * MB }
    const config = loadConfig({ args, machine: { ...machine, storeBytesMax: 64 * MB } })
    return [config.threads, config.notices.length]
  }
  t.deepEqual(
    [1, 7, 8, 9].map((cores) => threads(cores, 64)[0]),
    [1, 7, 8, 8],
  )
  t.deepEqual(threads(2, 64, '--threads', '64'), [64, 0])
  // Also of who asked for none it is said why there is one, unless there would be one anyway.
  t.deepEqual(threads(9, 1), [1, 1])
  t.deepEqual(threads(9, 1, '--threads', '0'), [1, 1])
  t.deepEqual(threads(1, 1), [1, 0])
  t.deepEqual(threads(9, 64), [8, 0])
  t.deepEqual(threads(9, 1, '--threads', '1'), [1, 0])
  t.deepEqual(threads(9, 1, '--threads', '2'), [1, 1])
  t.throws(() => threads(1, 64, '--threads', '65'), { instanceOf: ConfigError })
})

test('maxmemory-policy: names of Redis are taken, with a notice where they mean another order', (t) => {
  t.is(loadConfig()['maxmemory-policy'], 's3a')
  for (const name of ['s3a', 's3-fifo', 'fifo', 'lru', 'second-chance', 'noeviction']) {
    t.deepEqual(from('--maxmemory-policy', name).notices, [], name)
  }
  const config = from('--maxmemory-policy', 'AllKeys-LRU')
  t.is(config['maxmemory-policy'], 'allkeys-lru')
  t.deepEqual(config.get(['maxmemory-policy']).get('maxmemory-policy'), 'allkeys-lru')
  t.regex(config.notices[0]!, /^maxmemory-policy: keys go in the order of s3a, which stands for/)
  for (const kind of ['lru', 'lfu', 'random', 'ttl']) {
    const { notices } = from('--maxmemory-policy', `volatile-${kind}`)
    t.regex(notices[0]!, /^maxmemory-policy: only keys with an expiry go, and in the order of s3a/)
  }
  t.regex(
    refused(t, () => from('--maxmemory-policy', 'mru')),
    /must be one of the following: s3a, s3-fifo, fifo, lru, second-chance, allkeys-lru/,
  )
})

test('the cluster is read, and needs a secret beyond one machine', (t) => {
  const one = from(
    '--cluster-self',
    '127.0.0.1:7001',
    '--cluster-peers',
    '127.0.0.1:7001,127.0.0.1:7002',
  )
  t.deepEqual(
    one.members?.all.map((member) => member.name),
    ['127.0.0.1:7001', '127.0.0.1:7002'],
  )
  const two = from('--cluster-self', 'a:1', '--cluster-peers', 'b:1', '--cluster-secret', 's')
  t.is(two.members?.self.name, 'a:1')
})

test('notices tell what has no effect, once for each reason, and only where it differs', (t) => {
  t.deepEqual(withFile(t, 'appendonly no\nhz 10\nreplica-priority 100').notices, [])
  t.deepEqual(
    from('--appendonly', 'yes', '--rdbcompression', 'no', '--slave-priority', '1').notices,
    [
      'appendonly: has no effect: there is no append-only file; snapshots are what is written to disk',
      'rdbcompression: has no effect: snapshots have a format of their own: always checksummed, never compressed',
      'replica-priority: has no effect: there is no replication: a key has one node, and with copies 1 in its group the next one too',
    ],
  )
})

/* ---- CONFIG GET ---- */

test('get: a name comes back as it was asked for, a pattern gives the names', (t) => {
  const config = loadConfig()
  t.deepEqual([...config.get(['TimeOut', 'timeout', 'tim*out'])], [['TimeOut', '0']])
  t.deepEqual([...config.get(['nosuch', 'nosuch*'])], [])
  t.deepEqual([...config.get(['*-PRIORITY'])].map(([name]) => name).toSorted(), [
    'replica-priority',
    'slave-priority',
  ])
  t.is(config.get(['*']).size, new Set(config.get(['*']).keys()).size)
})

test('get: the value in force is shown, not what stands for it', (t) => {
  const config = from('--maxmemory', '0')
  t.is(config.get(['maxmemory']).get('maxmemory'), String(config.maxmemory))
  t.is(config.get(['dir']).get('dir'), process.cwd())
})

test('get: the cluster secret is never shown', (t) => {
  const config = from('--cluster-self', 'a:1', '--cluster-secret', 'hush')
  t.is(config['cluster-secret'], 'hush')
  t.false([...config.get(['*', 'cluster-secret'])].flat().includes('hush'))
})

/* ---- CONFIG SET ---- */

test('set: all or nothing', (t) => {
  const config = loadConfig()
  t.is(
    config.set([
      ['timeout', '5'],
      ['MaxClients', '7'],
    ]),
    null,
  )
  t.deepEqual([config.timeout, config.maxclients], [5, 7])
  t.truthy(
    config.set([
      ['timeout', '6'],
      ['loglevel', 'loud'],
    ]),
  )
  t.is(config.timeout, 5)
})

test('set: listeners hear of changes only, and one that refuses takes all back', (t) => {
  const config = loadConfig()
  const heard: string[] = []
  config.onChange('timeout', (seconds) => heard.push(`timeout ${seconds}`))
  config.onChange('maxclients', (clients) => {
    heard.push(`maxclients ${clients}`)
    if (clients > 100_000) throw new BadValue('too many for this machine')
  })
  config.set([
    ['timeout', '0'],
    ['maxclients', '5'],
  ])
  t.deepEqual(heard, ['maxclients 5'])
  heard.length = 0
  t.is(
    config.set([
      ['timeout', '9'],
      ['maxclients', '100001'],
    ]),
    "ERR CONFIG SET failed (possibly related to argument 'maxclients') - too many for this machine",
  )
  t.deepEqual(heard, ['timeout 9', 'maxclients 100001', 'maxclients 5', 'timeout 0'])
  t.deepEqual([config.timeout, config.maxclients], [0, 5])
})

test('set: what is refused at the start is refused later, with the same reason', (t) => {
  t.regex(
    loadConfig().set([['maxmemory-policy', 'mru']]) ?? '',
    /argument 'maxmemory-policy'\) - argument\(s\) must be one of the following: s3a, /,
  )
  t.regex(loadConfig().set([['tls-port', '1']]) ?? '', /TLS has no port of its own/)
})

test('set: what cannot change yet keeps its value, and may be set to it', (t) => {
  const config = from('--port', '7000')
  t.is(
    config.set([
      ['port', '7000'],
      ['bind', '127.0.0.1 -::1'],
    ]),
    null,
  )
  t.is(
    config.set([['port', '7001']]),
    "ERR CONFIG SET failed (possibly related to argument 'port') - moving to another address while the server runs is not built yet",
  )
  t.is(config.port, 7000)
})

test('set: protected directives need enable-protected-configs', (t) => {
  const set = (allow: string, local: boolean): string | null =>
    from('--enable-protected-configs', allow).set([['dbfilename', 'x.rdb']], local)
  const line =
    "ERR CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config"
  t.deepEqual([set('no', true), set('local', false)], [line, line])
  t.deepEqual([set('local', true), set('yes', false)], [null, null])
  t.is(
    from('--enable-protected-configs', 'yes').set([['dbfilename', 'a/b']]),
    "ERR CONFIG SET failed (possibly related to argument 'dbfilename') - dbfilename can't be a path, just a filename",
  )
})

test('set: tools set what has no effect here and put it back', (t) => {
  const config = loadConfig()
  for (const [name, value] of [
    ['save', '900 1 300 10'],
    ['appendonly', 'yes'],
    ['slowlog-log-slower-than', '-1'],
    ['slowlog-max-len', '10'],
    ['hash-max-listpack-entries', '5'],
    ['list-max-ziplist-size', '-3'],
    ['latency-monitor-threshold', '1'],
    ['notify-keyspace-events', 'AKE'],
    ['save', ''],
  ] as const) {
    t.is(config.set([[name, value]]), null)
    t.is(config.get([name]).get(name), value)
  }
  t.is(config.get(['list-max-listpack-size']).get('list-max-listpack-size'), '-3')
})

/* ---- CONFIG REWRITE ---- */

test('rewrite: values change where they stand, the rest is kept', (t) => {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(
    path,
    `# My server
port 7000

# How many
MAXCLIENTS   500 
maxmemory 100mb
timeout 0
slave-priority 100
save 60 1
save 10 5
save 1 1000
group a match a:{id} origin http://127.0.0.1:1/{id}
`,
  )
  const args = [path, '--requirepass', 'two words']
  const config = loadConfig({ args })
  t.is(
    config.set([
      ['maxclients', '600'],
      ['save', '60 1 30 2'],
      ['timeout', '7'],
      ['loglevel', 'debug'],
    ]),
    null,
  )
  t.is(
    config.set([
      ['replica-priority', '5'],
      ['proto-max-bulk-len', String(64 * MB)],
    ]),
    null,
  )
  t.is(config.rewrite(), null)
  t.is(
    readFileSync(path, 'utf8'),
    `# My server
port 7000

# How many
maxclients 600
maxmemory 100mb
timeout 7
replica-priority 5
save 60 1
save 30 2
group a match a:{id} origin http://127.0.0.1:1/{id}
# Generated by CONFIG REWRITE
proto-max-bulk-len 64mb
requirepass "two words"
loglevel debug
`,
  )
  const again = loadConfig({ args: [path] })
  t.deepEqual([...again.get(['*'])], [...config.get(['*'])])
  t.is(again.rewrite(), null)
  t.is(readFileSync(path, 'utf8').match(/Generated/g)?.length, 1)
})

test('rewrite: more lines than there were take their place, a cleared save stays cleared', (t) => {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, 'save 60 1\nport 1')
  const config = loadConfig({ args: [path] })
  config.set([['save', '60 1 30 2']])
  t.is(config.rewrite(), null)
  t.is(readFileSync(path, 'utf8'), 'save 60 1\nsave 30 2\nport 1\n')
  config.set([['save', '']])
  t.is(config.rewrite(), null)
  t.is(readFileSync(path, 'utf8'), 'save ""\nport 1\n')
})

test('rewrite: who may read the file is as before', (t) => {
  const file = join(folder(t), 'redis.conf')
  writeFileSync(file, 'timeout 5\n')
  for (const mode of [0o600, 0o640, 0o644]) {
    chmodSync(file, mode)
    t.is(loadConfig({ args: [file] }).rewrite(), null)
    t.is(statSync(file).mode & 0o777, mode)
  }
})

test('rewrite: without a file, or with one that is gone, it says so', (t) => {
  t.is(loadConfig().rewrite(), 'ERR The server is running without a config file')
  const path = folder(t)
  writeFileSync(join(path, 'redis.conf'), 'port 1')
  const config = loadConfig({ args: [join(path, 'redis.conf')] })
  rmSync(join(path, 'redis.conf'))
  t.is(config.rewrite(), 'ERR Rewriting config file: No such file or directory')
})

/* ---- the table, and Redis's own ---- */

test('every directive has a sentence, a section and a default that it accepts itself', (t) => {
  for (const [name, row] of Object.entries(directives)) {
    t.regex(row.summary, /^[A-Z].*[.`]$/, name)
    t.true(sections.includes(row.section), name)
    const shown = loadConfig().get([name]).get(name)
    if (shown === undefined || row.kind.type === 'words, one line each') continue
    t.is(from(`--${name}`, shown).get([name]).get(name), shown, name)
  }
})

const oracleTest = available('redis-server') ? test.serial : test.serial.skip

/** Differences that are meant. */
const ourDefaults = new Set([
  ...['port', 'bind', 'dir', 'save', 'maxmemory', 'maxmemory-policy', 'shutdown-timeout'],
  // A cache rather loses a snapshot than writes.
  ...['dbfilename', 'stop-writes-on-bgsave-error'],
  // A request that needs a dead node is answered within a second.
  'cluster-node-timeout',
])
/** Ours refuses or limits where Redis does not, and says why. */
const ourTexts = new Set([
  ...['loglevel', 'maxmemory-policy', 'bind', 'tls-port', 'cluster-node-timeout'],
  'tls-protocols',
])

oracleTest('Redis knows no directive that is not known here, and the defaults agree', async (t) => {
  const redis = await startRedis()
  const client = new Redis(redis.port)
  t.teardown(() => redis.stop())
  t.teardown(() => client.disconnect())
  const pairs = await client.config('GET', '*')
  const config = loadConfig()
  const ours = config.get(['*'])
  t.true(pairs.length > 300)
  for (let i = 0; i < pairs.length; i += 2) {
    const [name, value] = [pairs[i]!, pairs[i + 1]!]
    t.true(ours.has(name), name)
    if (!ourDefaults.has(name)) t.is(ours.get(name), value, name)
  }
  t.deepEqual(
    ignored.filter(({ name }) => !pairs.includes(name)).map(({ name }) => name),
    [],
  )
})

oracleTest('CONFIG SET answers as Redis does', async (t) => {
  const redis = await startRedis()
  const client = new Redis(redis.port)
  t.teardown(() => redis.stop())
  t.teardown(() => client.disconnect())
  const config = loadConfig()
  const both = async (...pairs: Pair[]): Promise<void> => {
    const theirs = await client.config('SET', ...(pairs.flat() as [string, string])).then(
      () => null,
      (error: Error) => error.message,
    )
    t.is(config.set(pairs), theirs, pairs.join(' '))
  }
  const names = [...config.get(['*']).keys()]
  const known = new Set(await client.config('GET', '*'))
  for (const name of names) {
    if (!known.has(name) || ourTexts.has(name)) continue
    // Free text would be taken, and Redis would act on it.
    const isText = loadConfig().set([[name, '@bad@']]) === null
    if (!isText) await both([name, '@bad@'])
    if (!isText) await both([name, '-3'])
  }
  await both(['nosuch', '1'])
  await both(['timeout', '1'], ['NoSuch', '1'])
  await both(['databases', '1'], ['nosuch', '1'])
  await both(['timeout', '1'], ['databases', '1'])
  await both(['timeout', '1'], ['TIMEOUT', '2'])
  await both(['slave-priority', '1'], ['replica-priority', '2'])
  await both(['timeout', '1'], ['maxclients', '0'])
  await both(['maxclients', '4294967296'])
  await both(['maxmemory-clients', '101%'])
  await both(['client-query-buffer-limit', '1'])
  await both(['save', '10'])
  await both(['save', '0 1'])
  await both(['oom-score-adj-values', '1 2 3000'])
  await both(['client-output-buffer-limit', 'normal 1 2'])
  await both(['client-output-buffer-limit', 'other 1 2 3'])
  await both(['client-output-buffer-limit', 'normal 1 2 x'])
  await both(['latency-tracking-info-percentiles', '101'])
  await both(['shutdown-on-sigterm', 'nosave later'])
})

oracleTest('CONFIG SET then GET gives what Redis gives', async (t) => {
  const redis = await startRedis()
  const client = new Redis(redis.port)
  t.teardown(() => redis.stop())
  t.teardown(() => client.disconnect())
  const config = loadConfig()
  for (const [name, value] of [
    ['timeout', '5'],
    ['protected-mode', 'NO'],
    ['loglevel', 'DEBUG'],
    ['client-query-buffer-limit', '2mb'],
    ['save', '60 1'],
    ['client-output-buffer-limit', 'replica 1mb 2k 3'],
    ['client-output-buffer-limit', 'normal 1 2 3 pubsub 4 5 6'],
    ['maxmemory-clients', '5%'],
    ['notify-keyspace-events', 'gxKE$lshzetd'],
    ['notify-keyspace-events', 'Kml'],
    ['shutdown-on-sigterm', 'now nosave'],
    ['latency-tracking-info-percentiles', '1 99.5'],
    ['hll-sparse-max-bytes', '1kb'],
    ['repl-backlog-size', '1MB'],
    ['requirepass', ''],
  ] as const) {
    const theirs = await client.config('SET', name, value).then(
      () => null,
      (error: Error) => error.message,
    )
    t.is(config.set([[name, value]]), theirs, `${name} ${value}`)
    const [, answer] = await client.config('GET', name)
    t.is(config.get([name]).get(name), answer, `${name} ${value}`)
  }
})

test('sources are optional, each of them', (t) => {
  const none: ConfigSources = {}
  t.is(loadConfig(none).port, 6379)
})
