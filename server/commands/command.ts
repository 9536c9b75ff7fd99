/** COMMAND: the command table, told to clients. */
import * as errors from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import {
  aclCategories,
  type Command,
  type CommandEntry,
  keySpecOf,
  keysOf,
  takes,
} from '../command.ts'
import { globMatches } from '../glob.ts'
import { type Argument, parseSyntax } from '../syntax.ts'
import { helpRow } from './container.ts'

/** What clients may ask at any time, before the data set is loaded as well. */
const always = ['loading', 'stale'] as const
const noKeys = [0, 0, 0] as const

function everyCommand({ reply, server }: Client): void {
  reply.array(server.table.entries.length)
  for (const entry of server.table.entries) writeInfo(reply, entry)
}

function commandCount({ reply, server }: Client): void {
  reply.integer(server.table.entries.length)
}

function commandInfo(client: Client): void {
  const { args, reply, server } = client
  if (args.count === 2) return everyCommand(client)
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    const entry = server.table.named(args.text(i))
    if (entry === null) reply.null()
    else writeInfo(reply, entry)
  }
}

function writeInfo(reply: Reply, entry: CommandEntry): void {
  const { row } = entry
  reply.array(10)
  reply.text(entry.fullName)
  reply.integer(entry.arity)
  writeWords(reply, entry.flagNames())
  reply.integer(entry.firstKey)
  reply.integer(entry.lastKey)
  reply.integer(entry.keyStep)
  writeWords(
    reply,
    entry.categories.map((category) => `@${category}`),
  )
  reply.set(row.tips?.length ?? 0)
  for (const tip of row.tips ?? []) reply.text(tip)
  writeKeySpecs(reply, entry)
  const subcommands = entry.subcommands?.entries ?? []
  reply.set(subcommands.length)
  for (const subcommand of subcommands) writeInfo(reply, subcommand)
}

/** A set of words that mean themselves: as simple strings. */
function writeWords(reply: Reply, words: readonly string[]): void {
  reply.set(words.length)
  for (const word of words) reply.simple(word)
}

function writeKeySpecs(reply: Reply, entry: CommandEntry): void {
  if (entry.firstKey === 0) return reply.set(0)
  const { keyNotes } = entry.row
  const specs = entry.keySpecs
  reply.set(specs.length)
  for (const { keys, flags } of specs) {
    const [first, last, step] = keys
    reply.map(keyNotes === undefined ? 3 : 4)
    if (keyNotes !== undefined) {
      reply.text('notes')
      reply.text(keyNotes)
    }
    reply.text('flags')
    writeWords(reply, flags)
    writeKeySpec(reply, 'begin_search', 'index', [['index', first]])
    // Counted from the first key; from the end of the arguments when negative.
    writeKeySpec(reply, 'find_keys', 'range', [
      ['lastkey', last < 0 ? last : last - first],
      ['keystep', step],
      ['limit', 0],
    ])
  }
}

function writeKeySpec(
  reply: Reply,
  name: string,
  type: string,
  spec: readonly (readonly [string, number])[],
): void {
  reply.text(name)
  reply.map(2)
  reply.text('type')
  reply.text(type)
  reply.text('spec')
  reply.map(spec.length)
  for (const [field, value] of spec) {
    reply.text(field)
    reply.integer(value)
  }
}

function commandDocs({ args, reply, server }: Client): void {
  const asked: (CommandEntry | null)[] = [...(args.count === 2 ? server.table.entries : [])]
  for (let i = 2; i < args.count; i++) asked.push(server.table.named(args.text(i)))
  writeDocs(
    reply,
    asked.filter((entry) => entry !== null),
  )
}

function writeDocs(reply: Reply, entries: readonly CommandEntry[]): void {
  reply.map(entries.length)
  for (const entry of entries) {
    reply.text(entry.fullName)
    writeDoc(reply, entry)
  }
}

function writeDoc(reply: Reply, entry: CommandEntry): void {
  const { row, subcommands } = entry
  const { deprecated, history, isForDevelopers, syntax = '' } = row
  const flags: string[] = []
  if (deprecated !== undefined) flags.push('deprecated')
  if (isForDevelopers === true) flags.push('syscmd')
  const words = parseSyntax(syntax, row.argumentTypes, row.argumentNotes)
  reply.map(
    4 +
      (flags.length === 0 ? 0 : 1) +
      (deprecated === undefined ? 0 : 2) +
      (history === undefined ? 0 : 1) +
      (words.length === 0 ? 0 : 1) +
      (subcommands === null ? 0 : 1),
  )
  writeFields(reply, [
    ['summary', row.summary],
    ['since', row.since],
    ['group', row.group],
    ['complexity', row.complexity],
  ])
  if (flags.length > 0) {
    reply.text('doc_flags')
    writeWords(reply, flags)
  }
  if (deprecated !== undefined) {
    writeFields(reply, [
      ['deprecated_since', deprecated.since],
      ['replaced_by', deprecated.replacedBy],
    ])
  }
  if (history !== undefined) {
    reply.text('history')
    reply.set(history.length)
    for (const [version, change] of history) {
      reply.array(2)
      reply.text(version)
      reply.text(change)
    }
  }
  if (words.length > 0) {
    reply.text('arguments')
    writeArguments(reply, words, { keySpecs: entry.firstKey === 0 ? 0 : entry.keySpecs.length })
  }
  if (subcommands !== null) {
    reply.text('subcommands')
    writeDocs(reply, subcommands.entries)
  }
}

function writeFields(reply: Reply, fields: readonly (readonly [string, string])[]): void {
  for (const [name, value] of fields) {
    reply.text(name)
    reply.text(value)
  }
}

/**
 * `keySpecs` is 0 for a command that only talks about keys: there they are strings. Of several the
 * first key is in the first, and so on; those that are left are in the last.
 */
function writeArguments(
  reply: Reply,
  words: readonly Argument[],
  { keySpecs }: { keySpecs: number },
): void {
  let keys = 0
  reply.array(words.length)
  for (const argument of words) {
    const type = argument.type === 'key' && keySpecs === 0 ? 'string' : argument.type
    const fields: [string, string][] = [
      ['name', argument.name],
      ['type', type],
    ]
    const flags = argumentFlags(argument)
    reply.map(
      fields.length +
        (type === 'key' ? 1 : 0) +
        (argument.token === undefined ? 0 : 1) +
        (argument.since === undefined ? 0 : 1) +
        (flags.length === 0 ? 0 : 1) +
        (argument.arguments === undefined ? 0 : 1),
    )
    writeFields(reply, fields)
    if (type === 'key') {
      reply.text('key_spec_index')
      reply.integer(Math.min(keys++, keySpecs - 1))
    }
    if (argument.token !== undefined) writeFields(reply, [['token', argument.token]])
    if (argument.since !== undefined) writeFields(reply, [['since', argument.since]])
    if (flags.length > 0) {
      reply.text('flags')
      writeWords(reply, flags)
    }
    if (argument.arguments !== undefined) {
      reply.text('arguments')
      writeArguments(reply, argument.arguments, { keySpecs })
    }
  }
}

function argumentFlags(argument: Argument): string[] {
  const flags: string[] = []
  if (argument.optional) flags.push('optional')
  if (argument.multiple) flags.push('multiple')
  if (argument.multipleToken) flags.push('multiple_token')
  return flags
}

function commandList(client: Client): void {
  const { args, reply, server } = client
  const all = [...server.table.all()]
  if (args.count === 2) return writeNames(reply, all)
  if (args.count !== 5 || !args.is(2, 'filterby')) return reply.error(errors.ERR_SYNTAX)
  if (args.is(3, 'module')) {
    writeNames(reply, [])
  } else if (args.is(3, 'aclcat')) {
    const category = aclCategories.find((name) => args.is(4, name))
    writeNames(
      reply,
      all.filter((entry) => category !== undefined && entry.categories.includes(category)),
    )
  } else if (args.is(3, 'pattern')) {
    const pattern = args.buffer(4)
    const matches = (name: string): boolean => {
      const bytes = Buffer.from(name, 'latin1')
      return globMatches(pattern, bytes, 0, bytes.length, true)
    }
    writeNames(
      reply,
      all.filter((entry) => matches(entry.fullName)),
    )
  } else {
    reply.error(errors.ERR_SYNTAX)
  }
}

function writeNames(reply: Reply, entries: readonly CommandEntry[]): void {
  reply.array(entries.length)
  for (const entry of entries) reply.text(entry.fullName)
}

function commandGetKeys(client: Client): void {
  const keys = askedKeys(client)
  if (keys === null) return
  client.reply.array(keys.indexes.length)
  for (const i of keys.indexes) writeArgument(client, i)
}

function commandGetKeysAndFlags(client: Client): void {
  const keys = askedKeys(client)
  if (keys === null) return
  const flags = keys.entry.row.keyFlagsOf?.(client.args, askedFrom)
  client.reply.array(keys.indexes.length)
  for (const i of keys.indexes) {
    client.reply.array(2)
    writeArgument(client, i)
    writeWords(client.reply, flags ?? keySpecOf(keys.entry, i, askedFrom).flags)
  }
}

/** The call that COMMAND GETKEYS asks about begins with this argument. */
const askedFrom = 2

/** The keys of the call that is asked about; answers the error and returns null when it has none. */
function askedKeys({
  args,
  reply,
  server,
}: Client): { entry: CommandEntry; indexes: readonly number[] } | null {
  const entry = server.table.called(args, askedFrom)
  if (entry === null) reply.error(errors.ERR_INVALID_COMMAND)
  else if (!hasKeys(entry)) reply.error(errors.ERR_COMMAND_WITHOUT_KEYS)
  else if (!takes(entry, args.count - askedFrom)) reply.error(errors.ERR_COMMAND_ARITY)
  else {
    const indexes = keysOf(entry, args, askedFrom)
    if (indexes !== null) return { entry, indexes }
    reply.error(errors.ERR_COMMAND_ARGUMENTS)
  }
  return null
}

/** A channel that is routed as a key is none. */
function hasKeys({ firstKey, row }: CommandEntry): boolean {
  return firstKey > 0 && row.keyFlags?.includes('not_key') !== true
}

function writeArgument({ args, reply }: Client, i: number): void {
  reply.bulk(args.bytes, args.pos(i), args.length(i))
}

const subcommandRows = [
  {
    name: 'count',
    arity: 2,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    since: '2.8.13',
    complexity: 'O(1)',
    summary: 'Counts the commands.',
    run: commandCount,
  },
  {
    name: 'info',
    arity: -2,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    tips: ['nondeterministic_output_order'],
    since: '2.8.13',
    history: [['7.0.0', 'Allowed to be called with no argument to get info on all commands.']],
    complexity: 'O(N) where N is the number of commands to look up',
    summary: 'Describes commands for programs: arity, flags, keys. Without a name: all of them.',
    syntax: '[command-name [command-name ...]]',
    run: commandInfo,
  },
  {
    name: 'docs',
    arity: -2,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    tips: ['nondeterministic_output_order'],
    since: '7.0.0',
    complexity: 'O(N) where N is the number of commands to look up',
    summary: 'Describes commands for people: what they do, their arguments. Without a name: all.',
    syntax: '[command-name [command-name ...]]',
    run: commandDocs,
  },
  {
    name: 'list',
    arity: -2,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    tips: ['nondeterministic_output_order'],
    since: '7.0.0',
    complexity: 'O(N) where N is the total number of commands',
    summary: 'Lists the names of all commands, or of those in a category or like a pattern.',
    syntax: '[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]',
    argumentNotes: { 'module-name_category_pattern': { as: 'filterby' } },
    run: commandList,
  },
  {
    name: 'getkeys',
    arity: -4,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    since: '2.8.13',
    complexity: 'O(N) where N is the number of arguments to the command',
    summary: 'Tells which arguments of a whole command are keys.',
    syntax: 'command [arg [arg ...]]',
    run: commandGetKeys,
  },
  {
    name: 'getkeysandflags',
    arity: -4,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    since: '7.0.0',
    complexity: 'O(N) where N is the number of arguments to the command',
    summary: 'Tells which arguments of a whole command are keys, and how it uses them.',
    syntax: 'command [arg [arg ...]]',
    run: commandGetKeysAndFlags,
  },
  helpRow({
    container: 'command',
    group: 'server',
    categories: ['connection'],
    since: '5.0.0',
  }),
] as const satisfies readonly Command[]

export const commandCommands = [
  {
    name: 'command',
    arity: -1,
    flags: always,
    keys: noKeys,
    group: 'server',
    categories: ['connection'],
    tips: ['nondeterministic_output_order'],
    since: '2.8.13',
    complexity: 'O(N) where N is the total number of commands',
    summary: 'Describes all commands for programs.',
    subcommands: subcommandRows,
    run: everyCommand,
  },
] as const satisfies readonly Command[]
