import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openModule } from '../../../cluster/origin/module.ts'
import { RuleError } from '../../../cluster/groups/rule.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'

const group = originGroup()

/** A folder with this file in it. */
function folderWith(t: ExecutionContext, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-module-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, name), text)
  return folder
}

test('a module is found from the folder, or where it says', async (t) => {
  const folder = folderWith(t, 'a b.mjs', 'export const load = (key) => `value of ${key}`')
  for (const path of ['./a b.mjs', join(folder, 'a b.mjs')]) {
    const loader = await openModule({ path, folder, writes: false })
    t.deepEqual(await loader.load(loadRequest(group, 'k')), { value: Buffer.from('value of k') })
  }
  const above = relative(join(folder, 'x'), join(folder, 'a b.mjs'))
  const loader = await openModule({ path: above, folder: join(folder, 'x'), writes: false })
  t.is(String((await loader.load(loadRequest(group, 'k'))).value), 'value of k')
})

test('a module may await something before it can load', async (t) => {
  const text = `const greeting = await Promise.resolve('hello')
export async function load(key, { params, notFound }) {
  return params.id === undefined ? notFound : { value: greeting + params.id, ttl: '5m' }
}`
  const folder = folderWith(t, 'users.mjs', text)
  const loader = await openModule({ path: './users.mjs', folder, writes: false })
  const params = new Map([['id', Buffer.from('42')]])
  t.like(await loader.load(loadRequest(group, 'k', { params })), {
    value: Buffer.from('hello42'),
    freshMs: 300_000,
  })
  t.is((await loader.load(loadRequest(group, 'k'))).value, null)
})

test('CommonJS will do as well', async (t) => {
  const folder = folderWith(t, 'users.cjs', "exports.load = () => 'v'")
  const loader = await openModule({ path: './users.cjs', folder, writes: false })
  t.is(String((await loader.load(loadRequest(group, 'k'))).value), 'v')
})

test('TypeScript is loaded where the Node runs it, and refused with a reason where not', async (t) => {
  const text = 'export async function load(key: string): Promise<string> { return key }'
  const folder = folderWith(t, 'users.mts', text)
  const opening = openModule({ path: './users.mts', folder, writes: false })
  if ('typescript' in process.features && process.features.typescript === 'strip') {
    t.is(String((await (await opening).load(loadRequest(group, 'k'))).value), 'k')
    return
  }
  const message = "'module:./users.mts' cannot be loaded: this Node does not run TypeScript"
  await t.throwsAsync(opening, { instanceOf: RuleError, message })
})

for (const [title, text, writes, says] of [
  ['that is missing', null, false, /^'module:\.\/m\.mjs' cannot be loaded: Cannot find module/],
  ['that is no JavaScript', 'export const load =', false, /cannot be loaded: Unexpected/],
  ['that throws', "throw new Error('no database')", false, /cannot be loaded: no database$/],
  ['that throws no error', 'throw null', false, /cannot be loaded: null$/],
  ['whose import is missing', "import 'nothing-of-that-name'", false, /Cannot find package/],
  ['without load', 'export const x = 1', false, /exports no function load$/],
  ['whose load is no function', 'export const load = 1', false, /exports no function load$/],
  ['with a default export', 'export default () => 1', false, /exports no function load$/],
  [
    'that cannot write',
    'export const load = () => null',
    true,
    /exports no function store and no remove, which write needs$/,
  ],
  [
    'that cannot remove',
    'export const load = () => null, store = load',
    true,
    /exports no function remove, which write needs$/,
  ],
  [
    'whose store is none',
    'export const load = () => null, store = 1',
    false,
    /exports a store that is no function$/,
  ],
  [
    'whose close is none',
    'export const load = () => null, close = 1',
    false,
    /exports a close that is no function$/,
  ],
] as const) {
  test(`a module ${title} is refused with the reason`, async (t) => {
    const folder = folderWith(t, text === null ? 'other.mjs' : 'm.mjs', text ?? '')
    const error = await t.throwsAsync(openModule({ path: './m.mjs', folder, writes }), {
      instanceOf: RuleError,
    })
    t.regex(error.message, says)
    t.false(error.message.includes('\n'))
  })
}

test('a module with store and remove is written to, and closed at the end', async (t) => {
  const text = `export const calls = []
export const load = () => calls.join()
export const store = (key, value) => void calls.push('store ' + key + ' ' + value)
export const remove = (key) => void calls.push('remove ' + key)
export const close = () => void calls.push('close')`
  const folder = folderWith(t, 'm.mjs', text)
  const open = () => openModule({ path: './m.mjs', folder, writes: true })
  const loader = await open()
  await loader.write(writeRequest(group, 'a', 'v'))
  await loader.write(writeRequest(group, 'b', null))
  await loader.close()
  const { value } = await (await open()).load(loadRequest(group, 'k'))
  t.is(String(value), 'store a v,remove b,close')
})
