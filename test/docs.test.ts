import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { parseGroup } from '../cluster/groups/group.ts'
import { RULE_NAMES } from '../cluster/groups/rules.ts'
import { splitWords } from '../cluster/groups/words.ts'
import * as errors from '../protocol/errors.ts'
import { makePages } from './docs.ts'
import { PROJECT } from './process.ts'
import { startInProcess } from './server/in-process.ts'

for (const { path, text, found } of await makePages()) {
  test(`${path} is what \`npm run docs\` makes of the tables`, (t) => t.is(found, text))
}

/* ---- links ---- */

const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pagesIn('docs')]

function pagesIn(folder: string): string[] {
  const entries = readdirSync(join(PROJECT, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(PROJECT.length))
}

function read(path: string): string {
  return readFileSync(join(PROJECT, path), 'utf8')
}

/** What stands behind the # of a link to a heading, as GitHub makes it. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '')
  return plain.trim().replaceAll(' ', '-')
}

for (const path of pages) {
  test(`the links of ${path} lead somewhere`, (t) => {
    const links = [...read(path).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
    for (const [link, file = '', anchor] of links) {
      const target = file === '' ? path : join(dirname(path), file)
      t.true(existsSync(join(PROJECT, target)), link)
      if (anchor === undefined) continue
      const headings = [...read(target).matchAll(/^#+ (.+)$/gm)].map(([, text]) => anchorOf(text!))
      t.true(headings.includes(anchor), `${path}: ${link}`)
    }
    t.pass()
  })
}

/* ---- docs/groups.md ---- */

const groupsPage = read('docs/groups.md')

test('every group line of docs/groups.md is one that is accepted, and all rules are shown', (t) => {
  const lines = [...groupsPage.matchAll(/^group (.+)$/gm)].map(([, text]) => text!)
  t.true(lines.length >= 12)
  const shown = new Set<string>()
  for (const line of lines) {
    const words = splitWords(line)!
    t.notThrows(() => parseGroup(words), line)
    for (const word of words) shown.add(word)
  }
  t.deepEqual(
    RULE_NAMES.filter((name) => !shown.has(name)),
    [],
  )
})

test('docs/groups.md explains every field of GROUP INFO', async (t) => {
  const { connect, server } = await startInProcess(['--group', 'g match * origin http://h/'])
  const reply = await connect().command('GROUP', 'INFO', 'g')
  server.shutdown()
  const names = [...reply.matchAll(/\$\d+\r\n([a-z_0-9]+)\r\n(?=[:$])/g)].map(([, name]) => name!)
  const fields = names.slice(names.indexOf('loads'))
  t.true(fields.length > 25)
  const figures = groupsPage.slice(groupsPage.indexOf('## The figures'))
  t.deepEqual(
    fields.filter((name) => !figures.includes(`\`${name}\``) && name !== 'closed'),
    [],
  )
})

test('docs/groups.md has every line that a failed load ends with', (t) => {
  const lines = Object.entries(errors).flatMap(([name, line]) => {
    if (!name.startsWith('origin') || typeof line !== 'function') return []
    // What stands for a number or a code is in the page an example.
    return [(line as (group: string, detail: string) => string)('g', '@').split(': ')[1]!]
  })
  t.true(lines.length >= 18)
  for (const line of lines.filter((text) => text !== '@() failed')) {
    const [before, after = ''] = line.split('@')
    t.true(groupsPage.includes(before!) && groupsPage.includes(after), line)
  }
})
