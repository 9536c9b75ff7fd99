import type { CommandEntry } from '../server/command.ts'
import { CommandTable } from '../server/command.ts'
import { commands } from '../server/commands/index.ts'
import { absenceOf, REDIS_COMMANDS } from './redis-commands.ts'
import { ABSENT_INFO_FIELDS, INFO_FIELDS_OF_NEW_NODES } from './redis-info-fields.ts'
import { triedLibraries } from './tried-libraries.ts'

const GROUP_TITLES: Readonly<Record<string, string>> = {
  string: 'Strings',
  bitmap: 'Bitmaps',
  generic: 'Keys',
  connection: 'Connection',
  transactions: 'Transactions',
  pubsub: 'Pub/sub',
  server: 'Server',
  cluster: 'Cluster',
  scripting: 'Scripts and functions',
  hash: 'Hashes',
  list: 'Lists',
  set: 'Sets',
  'sorted-set': 'Sorted sets',
  stream: 'Streams',
  geo: 'Geospatial',
  hyperloglog: 'HyperLogLog',
}

/** docs/compatibility.md: each command of Redis 7.0, and what ringtier makes of it. */
export function compatibilityPage(): string {
  const table = new CommandTable(commands)
  const sections = Object.entries(REDIS_COMMANDS).map(([group, names]) => {
    const rows = names.map((name) => rowOf(name, group, table.named(name)))
    return { group, names, rows, here: rows.filter((row) => !row.includes('| no |')).length }
  })
  const overview = sections.map(({ group, names, here }) => {
    const title = GROUP_TITLES[group]!
    return `| [${title}](#${title
      .toLowerCase()
      .replaceAll(/[^a-z ]/g, '')
      .replaceAll(' ', '-')}) | ${here} of ${names.length} |`
  })
  const tables = sections.map(
    ({ group, rows }) =>
      `## ${GROUP_TITLES[group]!}\n\n| command | here | how it differs; why not, and what instead |\n| --- | --- | --- |\n${rows.join('\n')}`,
  )
  const absent = [
    ...Object.entries(ABSENT_INFO_FIELDS),
    ['Node tells only from version 23.9 on', INFO_FIELDS_OF_NEW_NODES] as const,
  ].map(([why, fields]) => `| ${fields.map((field) => `\`${field}\``).join(', ')} | ${why} |`)
  return `# Compatibility with Redis 7.0

<!-- Made by \`npm run docs\` from the rows in server/commands, test/redis-commands.ts and test/tried-libraries.ts. Change those. -->

Every command of Redis 7.0: **yes**, it answers as Redis does, in RESP2 and RESP3, down to the words
of its errors (but what \`HELP\`, \`DOCTOR\` and \`LOLWUT\` say is ringtier's own); **differs**, it does, but for what is said beside it; or **no**, with the reason, and what
to use instead. A command that is not here is answered \`ERR unknown command\`, as an old Redis would.
What ringtier has beyond Redis is in [commands](commands.md); which client libraries are tried,
[below](#libraries-and-tools).

| commands | here |
| --- | --- |
${overview.join('\n')}

${tables.join('\n\n')}

## Fields of INFO

\`INFO\` has all fields of Redis 7.0, with 0 where there is nothing of the kind, but for these:

| fields | why not |
| --- | --- |
${absent.join('\n')}

## Libraries and tools

These work with ringtier: the tests use each of them on it and on redis-server, and look
at the values that they leave with a client that is no library (\`test/compat\`). What needs hashes, lists, sets,
streams or scripts does not work, whatever the library.

${triedLibraries()}
`
}

function rowOf(name: string, group: string, entry: CommandEntry | null): string {
  const shown = `\`${name.toUpperCase().replace('|', ' ')}\``
  if (entry !== null) {
    const { differs } = entry.row
    return differs === undefined ? `| ${shown} | yes | |` : `| ${shown} | differs | ${differs} |`
  }
  const absence = absenceOf(name, group)
  if (absence === undefined) throw new Error(`why is ${name} not here? See redis-commands.ts`)
  return `| ${shown} | no | ${absence.why}; instead: ${absence.instead} |`
}
