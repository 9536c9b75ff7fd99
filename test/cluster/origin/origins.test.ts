import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { GroupError } from '../../../cluster/groups/group.ts'
import { FunctionLoader } from '../../../cluster/origin/function.ts'
import type { OriginGroup } from '../../../cluster/origin/loader.ts'
import { createLoader, Origins } from '../../../cluster/origin/origins.ts'
import { ResilientLoader } from '../../../cluster/origin/resilience.ts'
import { createSystemWorld } from '../../../server/system.ts'
import { freePort, run } from '../../process.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'
import { OriginServer } from './server.ts'

const { clock, random } = createSystemWorld()

const MODULE = `export const calls = []
export const load = (key) => { calls.push(key); return 'module ' + calls.join() }
export const store = () => {}
export const remove = () => {}`

function folderWith(t: ExecutionContext, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-origins-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, name), text)
  return folder
}

const moduleGroup = (name: string, rules: Partial<OriginGroup> = {}): OriginGroup =>
  originGroup({ name, address: { kind: 'module', path: './m.mjs' }, ...rules })

test('each group is loaded from its own origin', async (t) => {
  const folder = folderWith(t, 'm.mjs', MODULE)
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const http = originGroup({ name: 'http', origin: origin.url })
  const hosts = [{ host: '127.0.0.1', port: await freePort() }]
  const nobody = { username: null, password: null, tls: false, db: 0, cluster: false }
  const redis = originGroup({ name: 'redis', address: { kind: 'redis', hosts, ...nobody } })
  const one = moduleGroup('one')
  const two = moduleGroup('two', { writes: true })
  const loader = await createLoader([http, redis, one, two], {
    version: '1',
    clock,
    random,
    folder,
  })
  t.teardown(() => loader.close())
  const load = async (group: OriginGroup): Promise<string> =>
    String((await loader.load(loadRequest(group, 'k', { url: `${origin.url}/k` }))).value)
  t.is(await load(http), 'value of /k')
  t.is(origin.headers(0)['user-agent'], 'ringtier/1')
  await t.throwsAsync(load(redis), { message: /ORIGIN redis: .*ECONNREFUSED/ })
  // Two groups of one file are one module.
  t.is(await load(one), 'module k')
  t.is(await load(two), 'module k,k')
  await t.notThrowsAsync(loader.write(writeRequest(two, 'k', 'v')))
  const unknown = originGroup({ name: 'unknown' })
  await t.throwsAsync(load(unknown), { message: 'ORIGIN unknown: the load failed' })
})

test('a module that cannot be used stops the start, with the name of its group', async (t) => {
  const folder = folderWith(t, 'm.mjs', 'export const load = () => 1')
  const options = { version: '1', clock, random, folder }
  const missing = moduleGroup('missing', { address: { kind: 'module', path: './gone.mjs' } })
  const first = await t.throwsAsync(createLoader([moduleGroup('here'), missing], options), {
    instanceOf: GroupError,
  })
  t.regex(first.message, /^group missing: origin 'module:\.\/gone\.mjs' cannot be loaded: /)
  await t.throwsAsync(createLoader([moduleGroup('here', { writes: true })], options), {
    instanceOf: GroupError,
    message: /^group here: origin 'module:\.\/m\.mjs' exports no function store and no remove/,
  })
})

test('an origin that cannot end well does not keep the others from ending', async (t) => {
  const closed: string[] = []
  const origins = new Origins()
  const end = (name: string, error: Error | null) => () => {
    closed.push(name)
    if (error !== null) throw error
  }
  const load = () => null
  origins.add('a', new FunctionLoader({ load, close: end('a', new Error('no')) }))
  origins.add('b', new FunctionLoader({ load, close: end('b', null) }))
  await new ResilientLoader(origins, { clock, random }).close()
  t.deepEqual(closed, ['a', 'b'])
})

test('who has no Redis origin does not load ioredis, who has no HTTP origin no undici', async (t) => {
  const folder = folderWith(t, 'm.mjs', MODULE)
  const origins = new URL(import.meta.resolve('../../../cluster/origin/origins.js')).href
  const program = `
    import { createRequire } from 'node:module'
    const { createLoader } = await import(${JSON.stringify(origins)})
    const { cache } = createRequire(${JSON.stringify(origins)})
    const loaded = (name) => Object.keys(cache).some((file) => file.includes('/' + name + '/'))
    const options = { version: '1', clock: null, folder: ${JSON.stringify(folder)} }
    const open = async (group) => {
      await createLoader([group], options)
      console.log(['undici', 'ioredis'].filter(loaded).join())
    }
    await open(${JSON.stringify(moduleGroup('one'))})
    await open(${JSON.stringify(originGroup())})
    await open({ name: 'redis', address: { kind: 'redis' } })`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', program])
  t.is(stdout, '\nundici\nundici,ioredis\n', stderr)
})
