/** The directive table for people: `--help` on a terminal, docs/config.md in a browser. */
import { sizeText } from '../../cluster/groups/size.ts'
import { directives, ignored, type Row, sections } from './directives.ts'
import { environmentName } from './sources.ts'
import { quoteWord } from '../../cluster/groups/words.ts'

type Entry = readonly [name: string, row: Row<unknown>]

const entries = Object.entries(directives) as Entry[]

const bySection: readonly (readonly [section: string, entries: readonly Entry[]])[] = sections.map(
  (section) => [section, entries.filter(([, row]) => row.section === section)],
)

/** The default as it would stand in a config file. */
function defaultText(row: Row<unknown>): string {
  const { kind } = row
  const text = kind.format(row.default)
  if (kind.type === 'size') return sizeText(Number(text))
  return kind.takes === 'list' ? text : quoteWord(text)
}

/** The kind and its limits: 'integer, 0 to 65535'. */
function typeText({ kind }: Row<unknown>): string {
  const separator = kind.type === 'one of' ? ' ' : ', '
  return [kind.type, kind.limits].filter((part) => part !== '').join(separator)
}

/* ---- --help ---- */

const helpWidth = 96
const helpIndent = 33

/** What `--help` prints. */
export function helpText(): string {
  const options = bySection.map(([section, rows]) => `${section}\n${rows.map(helpOption).join('')}`)
  return `Usage: ringtier [redis.conf | -] [--directive value ...]
       ringtier check redis.conf [key ...]
       ringtier cluster status|ring|check [redis.conf] [-h host] [-p port] [-a password]

A cache server that speaks the Redis protocol and fills itself: a GET that misses is loaded from
its origin, once for the whole cluster.

  ringtier
  ringtier --port 7000 --maxmemory 1gb
  ringtier redis.conf --loglevel debug
  ringtier --group 'user match user:{id} origin http://127.0.0.1:3000/users/{id} ttl 5m'
  RINGTIER_MAXMEMORY=1gb ringtier

Each directive can stand in the file (port 7000), in the environment (RINGTIER_PORT=7000) and on
the command line (--port 7000); the later of these counts. Directives of Redis that are not listed
are accepted, and the log tells that they have no effect.

'ringtier check' starts nothing: it tells what is wrong with a file, the groups that it makes, and
what a miss of each key would ask for. 'ringtier cluster' asks a node that runs, and those that it
knows: who they are, whose each slot is, and whether they agree; 'check' exits with 1 if not.

${options.join('\n')}
  -h, --help                     Prints this.
  -v, --version                  Prints the versions of ringtier and Node.js.
`
}

function helpOption([name, row]: Entry): string {
  const shown = defaultText(row)
  const standard = row.kind.format(row.default) === '' ? '' : ` (${shown})`
  const words = `${row.summary.replaceAll('`', "'")}${standard}`.split(' ')
  const lines: string[] = ['']
  for (const word of words) {
    const line = lines.at(-1)!
    const longer = line === '' ? word : `${line} ${word}`
    if (helpIndent + longer.length > helpWidth) lines.push(word)
    else lines[lines.length - 1] = longer
  }
  const indent = ' '.repeat(helpIndent)
  const [first, ...rest] = lines
  const option = `  --${name}`
  // A long name has a line of its own.
  const head = option.length < helpIndent ? option.padEnd(helpIndent) : `${option}\n${indent}`
  return [`${head}${first}`, ...rest.map((line) => `${indent}${line}`), ''].join('\n')
}

/* ---- docs/config.md ---- */

const reasons = [...new Set(ignored.map(({ reason }) => reason))]

/** docs/config.md, in Markdown. */
export function directivesPage(): string {
  const parts = bySection.map(
    ([section, rows]) => `## ${section}\n\n${rows.map(describe).join('\n')}`,
  )
  return `# Configuration

<!-- Made by \`npm run docs\` from the table in server/config/directives.ts. Change that. -->

Directives bear Redis's names where Redis has one, and are written as in a redis.conf. Each can come
from four places, and the later counts:

1. the defaults below;
2. a config file, the first argument: \`ringtier redis.conf\` (\`-\` reads standard input). A directive
   a line; \`#\` begins a comment line; words with blanks stand in \`"..."\` or \`'...'\`;
   \`include file\` reads other files, also \`include conf.d/*.conf\`;
3. the environment: \`RINGTIER_MAXMEMORY=1gb\`, \`RINGTIER_CLUSTER_PEERS=...\`; \`RINGTIER_GROUP\` holds
   one group a line;
4. the command line: \`--maxmemory 1gb\` or \`--maxmemory=1gb\`. A directive takes all arguments up to
   the next one that begins with \`--\`; a single quoted argument is split as in the file.

While the server runs, \`CONFIG GET\`, \`CONFIG SET\` and \`CONFIG REWRITE\` read, change and write them.
What is wrong at the start ends the program with one line that says where it stands, what is wrong
and, for a misspelt name, what was probably meant.

Sizes are bytes, or have a unit: \`1k\` is 1,000 and \`1kb\` 1,024 bytes, \`1m\` 1,000,000 and \`1mb\`
1,048,576, and so on with \`g\` and \`gb\`.

${parts.join('\n')}
## Directives of Redis without effect

These are accepted, remembered for \`CONFIG GET\` and \`CONFIG REWRITE\`, and told in the log where
their value differs from Redis's default. A few values are refused, because who sets them counts on
what they do: \`tls-port\`, \`tls-replication\`, \`aclfile\` and \`unixsocket\`, and the lines
\`user\`, \`rename-command\` and \`loadmodule\`.

${reasons.map(describeIgnored).join('\n')}
`
}

function describe([name, row]: Entry): string {
  const facts = [
    typeText(row),
    row.kind.format(row.default) === '' ? 'default: none' : `default \`${defaultText(row)}\``,
    changing(row),
    `\`${environmentName(name)}\``,
  ]
  return `### ${name}\n\n${row.summary}\n\n${facts.join('; ')}.\n`
}

function changing(row: Row<unknown>): string {
  if (!row.mutable || row.fixed !== undefined) return 'fixed at the start'
  return row.protected === true
    ? 'changed by `CONFIG SET` where `enable-protected-configs` allows'
    : 'changed by `CONFIG SET`'
}

function describeIgnored(reason: string): string {
  const rows = ignored.filter((directive) => directive.reason === reason)
  const names = rows.map(({ name }) => `\`${name}\``).join(' ')
  return `- ${reason[0]!.toUpperCase()}${reason.slice(1)}: ${names}.`
}
