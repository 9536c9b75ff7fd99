/*
 * The tree is the architecture: protocol turns bytes into values, cluster finds what this node
 * lacks, server owns sockets and commands, and imports point one way. This test reads every import
 * and names those that point up, together with the few shapes that blur the rooms.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import test from 'ava'
import { PROJECT } from './process.ts'

/** What the files of a room may import of ours. The longest matching name is a file's room. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  protocol: ['protocol'],
  cluster: ['cluster', 'protocol'],
  'server/store': ['server/store'],
  server: ['server', 'server/store', 'cluster', 'protocol'],
  test: ['test', 'server', 'server/store', 'cluster', 'protocol'],
}

/** A function lives with the idea it serves, so no folder or file of the product bears these names. */
const NAMELESS = /(^|\/)(utils?|commons?|helpers?|types|misc|shared)(\/|\.ts$)/

/** The one list: it joins the tables of commands. */
const INDEX_FILES = ['server/commands/index.ts', 'server/store/index.ts']

/** `import ... from 'x'`, over several lines too; `import 'x'`; and `import('x')` anywhere. */
const IMPORT =
  /^(?:(?:import|export)\b[^'"]*\bfrom|import)\s*['"]([^'"\n]+)['"]|\bimport\s*\(\s*['"]([^'"\n]+)['"]/gm
const REEXPORT = /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})(?:\s+as\s+\w+)?\s+from\b/m
const DEFAULT_EXPORT = /^export\s+(?:default\b|\{[^}]*\bas\s+default\b)/m

type Sources = ReadonlyMap<string, string>

/** Every break of the rules in these files (path from the project's folder -> text), one line each. */
function violations(sources: Sources, packages: readonly string[]): string[] {
  const found: string[] = []
  for (const [file, text] of sources) {
    const room = roomOf(file)
    const product = room !== 'test'
    if (room === null) found.push(`${file} lies in none of ${Object.keys(ROOMS).join(', ')}`)
    else
      found.push(...wrongImports(file, importsOf(text), room, sources, product ? packages : null))
    if (product && NAMELESS.test(file)) found.push(`${file} has a name that says nothing`)
    if (file.endsWith('/index.ts') && !INDEX_FILES.includes(file)) found.push(`${file} is a barrel`)
    if (REEXPORT.test(text)) found.push(`${file} re-exports from another file`)
    if (DEFAULT_EXPORT.test(text)) found.push(`${file} has a default export`)
  }
  return found
}

function wrongImports(
  file: string,
  imports: readonly string[],
  room: string,
  sources: Sources,
  packages: readonly string[] | null,
): string[] {
  const found: string[] = []
  for (const name of imports) {
    if (!name.startsWith('.')) {
      const packageName = name.split('/', name.startsWith('@') ? 2 : 1).join('/')
      const known = packages === null || name.startsWith('node:') || packages.includes(packageName)
      if (!known) found.push(`${file} imports ${name}, which is not in package.json's dependencies`)
      continue
    }
    const target = normalize(join(dirname(file), name))
    if (!sources.has(target)) found.push(`${file} imports ${name}, which is no .ts file of ours`)
    else if (!ROOMS[room]!.includes(roomOf(target)!)) found.push(`${file} imports ${target}: up`)
  }
  return found
}

function roomOf(file: string): string | null {
  const rooms = Object.keys(ROOMS).filter((room) => file.startsWith(`${room}/`))
  return rooms.sort((a, b) => b.length - a.length)[0] ?? null
}

function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2]!)
}

function readTree(folder: string): Map<string, string> {
  const sources = new Map<string, string>()
  for (const entry of readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.ts')) continue
    const file = join(folder, entry)
    sources.set(file, readFileSync(join(PROJECT, file), 'utf8'))
  }
  return sources
}

test('imports point one way: protocol, cluster, server; the store imports nothing outside itself', (t) => {
  const sources = new Map(
    ['protocol', 'cluster', 'server', 'test'].flatMap((f) => [...readTree(f)]),
  )
  sources.delete('test/layers.test.ts') // its examples break the rules on purpose
  t.true(sources.size > 20)
  const manifest = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  t.deepEqual(violations(sources, Object.keys(manifest.dependencies)), [])
})

test('the top level holds four folders of code and docs, and no other', (t) => {
  const expected = ['cluster', 'docs', 'protocol', 'server', 'test']
  const made = ['node_modules', 'dist', 'coverage']
  const folders = readdirSync(PROJECT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
  t.deepEqual(
    folders.filter((name) => !expected.includes(name) && !made.includes(name)),
    [],
  )
})

test('the tour in docs/architecture.md names every file, or the folder it lies in', (t) => {
  const page = readFileSync(join(PROJECT, 'docs/architecture.md'), 'utf8')
  const named = new Set([...page.matchAll(/`([\w./-]+)`/g)].map((match) => match[1]!))
  const files = ['protocol', 'cluster', 'server'].flatMap((folder) => [...readTree(folder).keys()])
  const unnamed = files.filter((file) => {
    const folder = `${basename(dirname(file))}/`
    return !file.endsWith('.d.ts') && !named.has(basename(file)) && !named.has(folder)
  })
  t.deepEqual(unnamed, [])
})

const clean = {
  'protocol/reply.ts': "import { pack } from './args.ts'\nimport { Buffer } from 'node:buffer'",
  'protocol/args.ts': 'export const pack = 1',
  'cluster/peer.ts':
    "import Parser from 'redis-parser'\nimport type { A } from '../protocol/args.ts'",
  'server/store/ring.ts': "import { Memory } from './memory.ts'",
  'server/store/memory.ts': 'export class Memory {}',
  'server/main.ts':
    "import {\n  a,\n  b\n} from '../cluster/peer.ts'\nawait import('./store/ring.ts')",
  'server/commands/index.ts': "import { strings } from '../main.ts'",
  'test/ring.test.ts': "import test from 'ava'\nimport '../server/main.ts'",
}

function judge(extra: Readonly<Record<string, string>>): string[] {
  return violations(new Map(Object.entries({ ...clean, ...extra })), ['redis-parser'])
}

test('a tree that keeps the rules has no violations', (t) => {
  t.deepEqual(judge({}), [])
})

test('words of a comment or another language are no imports', (t) => {
  t.deepEqual(judge({ 'server/x.ts': ' * (import "m" "a" (memory 1))\n// from \'x\'\n' }), [])
})

const broken: [title: string, file: string, text: string, says: RegExp][] = [
  ['protocol importing cluster', 'protocol/x.ts', "import '../cluster/peer.ts'", /peer\.ts: up/],
  ['cluster importing server', 'cluster/x.ts', "import { a } from '../server/main.ts'", /: up/],
  ['the store importing server', 'server/store/x.ts', "import '../main.ts'", /main\.ts: up/],
  ['the store importing protocol', 'server/store/x.ts', "import '../../protocol/args.ts'", /: up/],
  ['the product importing a test', 'server/x.ts', "import '../test/ring.test.ts'", /: up/],
  [
    'a type imported from above',
    'protocol/x.ts',
    "import type { B } from '../server/main.ts'",
    /: up/,
  ],
  ['a late import from above', 'cluster/x.ts', "await import('../server/main.ts')", /: up/],
  [
    'an import over several lines',
    'cluster/x.ts',
    "import {\n a\n} from '../server/main.ts'",
    /: up/,
  ],
  ['a file that is not there', 'server/x.ts', "import './gone.ts'", /no \.ts file of ours/],
  ['an import that ends in .js', 'server/x.ts', "import './main.js'", /no \.ts file of ours/],
  ['a development package in the product', 'server/x.ts', "import 'fast-check/x'", /dependencies/],
  ['a default export', 'server/x.ts', 'export default 1', /default export/],
  ['a default export by name', 'server/x.ts', 'export { a as default }', /default export/],
  ['a re-export', 'server/x.ts', "export { pack } from '../protocol/args.ts'", /re-exports/],
  ['a re-export of all', 'server/x.ts', "export * from '../protocol/args.ts'", /re-exports/],
  ['a barrel', 'server/store/big/index.ts', '', /barrel/],
  ['a folder of utilities', 'server/utils/time.ts', '', /says nothing/],
  ['a file of helpers', 'cluster/helpers.ts', '', /says nothing/],
  ['a fifth room', 'tools/x.ts', '', /lies in none/],
]
for (const [title, file, text, says] of broken) {
  test(`found: ${title}`, (t) => {
    const found = judge({ [file]: text })
    t.is(found.length, 1, found.join('\n'))
    t.regex(found[0]!, says)
  })
}
