/*
 * The pages of docs/ that are made from tables in the code, or have a part that is. `npm run docs` writes them;
 * docs.test.ts fails when one is stale.
 */
import { strict as assert } from 'node:assert'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import prettier from 'prettier'
import { RULE_NAMES, rowOf } from '../cluster/groups/rules.ts'
import { type CommandEntry, type CommandGroup, CommandTable } from '../server/command.ts'
import { commands } from '../server/commands/index.ts'
import { KEYS_PER_STEP, KEYS_WHOLE_MAX } from '../server/commands/many-keys.ts'
import { directivesPage } from '../server/config/page.ts'
import { compatibilityPage } from './compatibility-page.ts'
import { PROJECT } from './process.ts'

export interface Page {
  /** From the project's folder. */
  readonly path: string
  /** In Markdown. `found`: what stands in its file now. */
  text(found: string): string
}

const pages: readonly Page[] = [
  { path: 'docs/commands.md', text: commandsPage },
  { path: 'docs/compatibility.md', text: compatibilityPage },
  { path: 'docs/config.md', text: directivesPage },
  { path: 'docs/groups.md', text: (found) => withPart(found, 'rules', rulesTable()) },
]

/** A page as it must stand in its file. */
export interface Made {
  readonly path: string
  readonly text: string
  /** What stands in its file now, null when there is none. */
  readonly found: string | null
}

/** All pages, formatted as `npm run check` wants them. */
export async function makePages(): Promise<Made[]> {
  return Promise.all(
    pages.map(async (page) => {
      const file = join(PROJECT, page.path)
      const config = await prettier.resolveConfig(file)
      const found = read(file)
      const text = await prettier.format(page.text(found ?? ''), { ...config, filepath: file })
      return { path: page.path, text, found }
    }),
  )
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** A page that people write, with this part of it made new: what stands between its two marks. */
function withPart(page: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name}: made by \`npm run docs\` -->`, `<!-- end of ${name} -->`]
  const from = page.indexOf(begin)
  const to = page.indexOf(end, from)
  assert(from >= 0 && to >= 0, `the page has no part between ${begin} and ${end}`)
  return `${page.slice(0, from + begin.length)}\n\n${part}\n\n${page.slice(to)}`
}

/** The rules of a group, from the rows of cluster/groups/rules.ts. */
function rulesTable(): string {
  const rows = RULE_NAMES.map((name) => {
    const row = rowOf(name)
    const standard = 'otherwise' in row ? row.show(row.otherwise) : 'must be given'
    const shown = !('otherwise' in row) ? standard : standard === '' ? 'none' : `\`${standard}\``
    const cells = [`\`${name}\``, row.takes, shown, row.help]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return ['| rule | value | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

const groupTitles: { readonly [group in CommandGroup]: string } = {
  string: 'Strings',
  bitmap: 'Bitmaps',
  generic: 'Keys',
  connection: 'Connection',
  transactions: 'Transactions',
  server: 'Server',
  scripting: 'Scripts',
  cluster: 'Cluster',
  pubsub: 'Publish and subscribe',
  cache: 'Groups, leases and invalidation',
}

const placements: { readonly [placement in CommandEntry['placement']]: string } = {
  key: 'runs on the node that owns the key',
  scatter: 'is split by owner, and the replies are put together',
  'fan-out': 'runs on every node, and the replies are put together',
  here: 'runs on the node that is asked',
}

/** docs/commands.md, from the rows in server/commands. */
function commandsPage(): string {
  const { entries } = new CommandTable(commands)
  const groups = Object.entries(groupTitles).map(([group, title]) => ({
    title,
    entries: entries.filter((entry) => entry.row.group === group),
  }))
  const sections = groups
    .filter((group) => group.entries.length > 0)
    .map((group) => `## ${group.title}\n\n${group.entries.map(describe).join('\n')}`)
  return `# Commands

<!-- Made by \`npm run docs\` from the rows in server/commands. Change those. -->

ringtier has ${entries.length} commands. Options, replies and error lines are those of Redis 7.0
where Redis has the command, so its manual holds here too; \`COMMAND DOCS\` and \`COMMAND INFO\` tell
the same to programs. With each command stand the version that brought it to Redis, what it costs,
its ACL categories and flags, and, where it has keys or all nodes take part, what it does in a
cluster.

Commands that do the same to each of many keys (\`MGET\`, \`MSET\`, \`DEL\`, \`UNLINK\`, \`EXISTS\`,
\`TOUCH\`) are atomic up to ${KEYS_WHOLE_MAX.toLocaleString('en')} keys. With more they let other clients in
between, and are atomic for ${KEYS_PER_STEP} keys at a time.

${sections.join('\n')}`
}

function describe(entry: CommandEntry): string {
  const { row, subcommands } = entry
  const name = entry.fullName.toUpperCase().replace('|', ' ')
  const syntax = row.syntax === undefined ? [] : [`\`${name} ${row.syntax}\``]
  const own = [`### ${name}`, ...syntax, row.summary, facts(entry)].join('\n\n')
  return [`${own}\n`, ...(subcommands?.entries ?? []).map(describe)].join('\n')
}

function facts(entry: CommandEntry): string {
  const { row, categories, placement } = entry
  const flags = entry.flagNames()
  const lines = [
    row.since.startsWith('0.') ? `Since ringtier ${row.since}` : `Since Redis ${row.since}`,
    row.complexity.replace(/\.$/, ''),
    categories.map((category) => `@${category}`).join(' '),
  ]
  if (flags.length > 0) lines.push(`flags: ${flags.join(', ')}`)
  if (placement !== 'here') lines.push(`in a cluster it ${placements[placement]}`)
  if (entry.loads !== null) lines.push('a missing key of a group is loaded from its origin first')
  if (row.deprecated !== undefined) lines.push(`better: ${row.deprecated.replacedBy}`)
  return `${lines.join('; ')}.`
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text, found } of await makePages()) {
    if (text !== found) writeFileSync(join(PROJECT, path), text)
  }
}
