/*
 * What users get: the package is packed, unpacked beside its dependencies in a folder of its own, and
 * used from there, as a module, by a TypeScript program, and as a program. The examples of
 * docs/embedded.md run there, and print what they say.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { freePort, PROJECT, run, type Run } from './process.ts'

const root = mkdtempSync(join(tmpdir(), 'ringtier-package-'))
test.after.always(() => rmSync(root, { recursive: true, force: true }))

const modules = join(root, 'node_modules')
const installed = join(modules, 'ringtier')

interface Manifest {
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

/** Of the unpacked package. */
function manifest(): Manifest {
  return JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest
}

function link(name: string): void {
  const to = join(modules, name)
  mkdirSync(dirname(to), { recursive: true })
  symlinkSync(join(PROJECT, 'node_modules', name), to)
}

async function succeeds(t: ExecutionContext, running: Promise<Run>): Promise<Run> {
  const done = await running
  t.is(done.code, 0, `${done.stdout}\n${done.stderr}`)
  return done
}

test.before(async (t) => {
  mkdirSync(installed, { recursive: true })
  const args = ['--ignore-scripts', '--offline', '--no-update-notifier', '--json']
  const pack = ['pack', ...args, '--pack-destination', root]
  const packed = await run('npm', pack, { cwd: PROJECT })
  t.is(packed.code, 0, packed.stderr)
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }]
  const tar = ['-xzf', join(root, filename), '-C', installed, '--strip-components', '1']
  const unpacked = await run('tar', tar)
  t.is(unpacked.code, 0, unpacked.stderr)
  for (const name of Object.keys(manifest().dependencies)) link(name)
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
})

let files = 0
/** Runs a module in the folder where the package is installed. */
function runModule(text: string): Promise<Run> {
  const file = join(root, `module-${++files}.js`)
  writeFileSync(file, text)
  return run(process.execPath, [file], { cwd: root })
}

test('it is imported by its name', async (t) => {
  const { stdout } = await succeeds(
    t,
    runModule(`
      import { createCache, OutOfMemoryError } from 'ringtier'
      import manifest from 'ringtier/package.json' with { type: 'json' }
      const cache = createCache({ maxMemory: '2mb' })
      cache.set('key', 'value')
      console.log(cache.getString('key'), OutOfMemoryError.name, manifest.name)
    `),
  )
  t.is(stdout, 'value OutOfMemoryError ringtier\n')
})

test('a cache that is not closed does not keep the process alive', async (t) => {
  await succeeds(
    t,
    runModule(`
      import { createCache } from 'ringtier'
      createCache({ maxMemory: '2mb' }).set('key', 'value', { ttl: 1e9 })
    `),
  )
})

test('who waits for a load keeps the process alive, and nobody else does', async (t) => {
  const { stdout } = await succeeds(
    t,
    runModule(`
      import { createCache } from 'ringtier'
      const cache = createCache({ maxMemory: '2mb' })
      const group = cache.group('never', { timeout: '50ms', load: () => new Promise(() => {}) })
      console.log(await group.get('1').catch((error) => error.code))
    `),
  )
  t.is(stdout, 'LOAD_TIMEOUT\n')
})

test('nothing but the cache can be imported', async (t) => {
  const done = await runModule(`import 'ringtier/dist/server/server.js'`)
  t.not(done.code, 0)
  t.regex(done.stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/)
})

const typed = `
import { createCache, type Cache, type CacheOptions, type CacheStats, type Eviction } from 'ringtier'
import { BreakerOpenError, LoadBusyError, LoadTimeoutError } from 'ringtier'
import type { CacheGroup, Codec, GroupOptions, GroupStats, Load, LoadContext, Time } from 'ringtier'
import { ClusterError, createNode, GroupMissingError, LoadFailedError, NodeStateError } from 'ringtier'
import type { CacheNode, NodeGroup, NodeMember, NodeOptions } from 'ringtier'

const eviction: Eviction = 'fifo'
const options: CacheOptions = {
  maxMemory: '4mb',
  eviction,
  onEvicted: (key, value, reason) => {
    const text: string = key.toString() + value.toString('hex')
    const why: 'evicted' | 'expired' | 'deleted' | 'overwritten' = reason
    console.log(text, why)
  },
}
const cache: Cache = createCache(options)
cache.set('key', new Uint8Array(1), { ttl: 5 }).set(Buffer.from('key'), 'value')
const value: Buffer | undefined = cache.get('key')
const text: string | undefined = cache.getString('key')
const left: number | undefined = cache.ttl('key')
const stats: CacheStats = cache.stats()
const names: string[] = [...cache.keys()]
const keys: Buffer[] = [...cache.keys('buffer')]
for (const [name, bytes] of cache) console.log(name.length, bytes.length)
cache.maxMemory = '3mb'
const most: number = cache.maxMemory
const saved: { readonly entries: number } = await cache.save('file')
const lost: number | undefined = (await cache.load('file'))?.lost
console.log(value, text, left, stats.hits, names, keys, most, saved, lost)

interface User { readonly name: string }
const time: Time = '5m'
const rules: GroupOptions<User> = {
  ...{ ttl: time, stale: '1h', staleIfError: '1d', negative: 10_000, jitter: '10%', early: 1 },
  ...{ idle: '1h', wait: Infinity, timeout: '5s', concurrency: 64, queue: 100, retry: 2 },
  ...{ breaker: { failures: 5, open: '1s' }, maxBytes: '1mb', onError: 'stale' },
  load: async (id, { signal, key, ttl, tags }) => {
    const aborted: boolean = signal.aborted
    ttl('10s')
    tags('a', 'b')
    return aborted ? null : { name: id + key }
  },
}
const users: CacheGroup<User> = cache.group<User>('user', rules)
const user: User | undefined = await users.get('42')
const peeked: User | undefined = users.peek('42')
const again: User | undefined = await users.refresh('42')
const gone: boolean = users.set('42', { name: 'Ada' }, { ttl: '1m', tags: ['a'] }).delete('42')
users.invalidate()
users.invalidateTag('a')
cache.invalidateTag('a')
const figures: GroupStats = users.stats
const found: CacheGroup<User> | undefined = cache.getGroup<User>('user')
const lengths = cache.group('length', (id: string) => id.length)
const length: number | undefined = await lengths.get('abc')
const codec: Codec<Date> = {
  encode: (date) => Buffer.from(date.toISOString()),
  decode: (bytes) => new Date(Buffer.from(bytes).toString()),
}
const loadDate: Load<Date> = (id: string, context: LoadContext) => new Date(id + context.key)
const dates = cache.group('date', { codec, load: { load: loadDate } })
const date: Date | undefined = await dates.get('2026')
const codes: string[] = [new LoadBusyError().code, new LoadTimeoutError().code, new BreakerOpenError().code]
console.log(user, peeked, again, gone, figures.errors.failed, found, length, date, codes)

// @ts-expect-error a group wants its loader
cache.group<User>('user', { ttl: '5m' })
// @ts-expect-error the loader loads something else
cache.group<User>('user', { load: () => 5 })
// @ts-expect-error there is no such option
cache.group('user', { load: () => 5, tll: '5m' })
// @ts-expect-error it may be missing
users.peek('42').name
// @ts-expect-error an id is a string
await users.get(42)
// @ts-expect-error there is none to set
users.set('42', null)

const nodeOptions: NodeOptions = {
  ...{ port: 7001, host: '0.0.0.0', self: '10.0.0.1:7001', peers: ['10.0.0.2:7001'] },
  ...{ secret: 's', password: 'p', maxMemory: '4mb', eviction: 'fifo', logLevel: 'notice' },
  log: (line) => console.log(line.length),
}
const node: CacheNode = createNode(nodeOptions)
const members: NodeGroup<User> = node.group<User>('user', rules)
const sizes = node.group('length', (id: string) => id.length)
const started: CacheNode = await node.start()
const member: User | undefined = await members.get('42')
const size: number | undefined = await sizes.get('abc')
const there: User | undefined = await members.peek('42')
await members.set('42', { name: 'Ada' }, { ttl: '1m', tags: ['a'] })
const was: boolean = await members.delete('42')
await members.invalidate()
await members.invalidateTag('a')
await node.invalidateTag('a')
const loads: number = members.stats.loads
const others: readonly NodeMember[] = node.members
const same: NodeGroup<User> | undefined = node.getGroup<User>('user')
const port: number = node.port
await node.close()
const nodeCodes: string[] = [
  ...[new ClusterError().code, new GroupMissingError().code],
  ...[new LoadFailedError().code, new NodeStateError().code],
]
console.log(started, member, size, there, was, loads, others[0]?.state, same, port, nodeCodes)

// @ts-expect-error a group wants its loader
node.group<User>('user', { ttl: '5m' })
// @ts-expect-error it may be missing
;(await members.get('42')).name
// @ts-expect-error it is promised
members.peek('42')?.name
// @ts-expect-error there is none to set
await members.set('42', null)
// @ts-expect-error a port is a number
createNode({ port: '7001' })

// @ts-expect-error maxMemory is missing
createCache({})
// @ts-expect-error there is no such policy
createCache({ maxMemory: 5, eviction: 'mostly' })
// @ts-expect-error an object is no value
cache.set('key', {})
// @ts-expect-error it may be missing
cache.get('key').length
// @ts-expect-error there is no such encoding
cache.keys('hex')
// @ts-expect-error read only
stats.hits = 5
`

test('its types are found, and are as the documentation says', async (t) => {
  link('@types/node')
  link('undici-types')
  writeFileSync(join(root, 'user.ts'), typed)
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: false },
    ...{ target: 'ES2022', lib: ['ES2023'], module: 'nodenext', types: ['node'] },
  }
  const config = { compilerOptions, files: ['user.ts'] }
  writeFileSync(join(root, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(PROJECT, 'node_modules/.bin/tsc')
  const done = await succeeds(t, run(tsc, ['-p', root], { cwd: root }))
  t.is(done.stdout, '')
})

test('the program runs', async (t) => {
  const { bin, version } = manifest()
  const program = join(installed, bin['ringtier']!)
  t.true(
    (await succeeds(t, run(process.execPath, [program, '--version']))).stdout.includes(version),
  )
  const args = [program, '--port', String(await freePort()), '--maxmemory', '8mb']
  const enough = (stdout: string): boolean => stdout.includes('Ready to accept connections')
  const done = await succeeds(t, run(process.execPath, args, { cwd: root, enough }))
  t.regex(done.stdout, /Ready to accept connections/)
})

/* ---- the examples of docs/embedded.md ---- */

const page = readFileSync(join(PROJECT, 'docs/embedded.md'), 'utf8')
const examples = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!)

test('every example of docs/embedded.md runs, one after the other, and prints what it says', async (t) => {
  t.true(examples.length >= 8)
  const expected = examples.flatMap((text) =>
    [...text.matchAll(/^console\.log\(.*\) \/\/ (.*)$/gm)].map((match) => match[1]!),
  )
  const printed = examples.flatMap((text) => text.match(/console\.log\(/g) ?? [])
  t.is(expected.length, printed.length, 'each console.log has its output beside it')
  const { stdout } = await succeeds(t, runModule(examples.join('\n')))
  t.deepEqual(stdout.trimEnd().split('\n'), expected)
})
