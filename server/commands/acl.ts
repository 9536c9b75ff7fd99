/*
 * ACL, as far as it goes with one user, `default`, who may do everything and whose password is
 * `requirepass`: what there is to be read. Users cannot be made.
 */
import { createHash } from 'node:crypto'
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { aclCategories, type Command } from '../command.ts'
import { helpRow, noSubcommand } from './container.ts'

/** The only user there is. */
export const defaultUser = 'default'

const allKeys = '~*'
const allChannels = '&*'
const allCommands = '+@all'

function whoAmI({ reply, user }: Client): void {
  reply.text(user)
}

function users({ reply }: Client): void {
  reply.array(1)
  reply.text(defaultUser)
}

/** SHA-256 of `requirepass` in hexadecimal digits, null: there is none. */
function passwordDigest({ server: { config } }: Client): string | null {
  if (config.requirepass === '') return null
  return createHash('sha256').update(config.requirepass).digest('hex')
}

function list(client: Client): void {
  const digest = passwordDigest(client)
  const password = digest === null ? 'nopass' : `#${digest}`
  client.reply.array(1)
  client.reply.text(`user ${defaultUser} on ${password} ${allKeys} ${allChannels} ${allCommands}`)
}

function getUser(client: Client): void {
  const { args, reply } = client
  // A name may have 512 MB.
  if (args.length(2) !== defaultUser.length || args.text(2) !== defaultUser) return reply.null()
  const digest = passwordDigest(client)
  reply.map(6)
  reply.text('flags')
  reply.set(digest === null ? 2 : 1)
  reply.text('on')
  if (digest === null) reply.text('nopass')
  reply.text('passwords')
  reply.array(digest === null ? 0 : 1)
  if (digest !== null) reply.text(digest)
  reply.text('commands')
  reply.text(allCommands)
  reply.text('keys')
  reply.text(allKeys)
  reply.text('channels')
  reply.text(allChannels)
  reply.text('selectors')
  reply.array(0)
}

/** The categories, or the commands of one. */
function cat({ args, reply, server }: Client): void {
  if (args.count > 3) return reply.error(errors.subcommandSyntax(args.text(1), 'acl'))
  let names: readonly string[] = aclCategories
  if (args.count === 3) {
    const category = aclCategories.find((name) => args.is(2, name))
    if (category === undefined) {
      const given = args.head(2, errors.SHOWN_BYTES_MAX).toString('latin1')
      return reply.error(errors.unknownCategory(given))
    }
    const entries = [...server.table.all()]
    names = entries
      .filter(({ categories }) => categories.includes(category))
      .map(({ fullName }) => fullName)
  }
  reply.array(names.length)
  for (const name of names) reply.text(name)
}

const row = { keys: [0, 0, 0], group: 'server', since: '6.0.0' } as const
const forAll = ['noscript', 'loading', 'stale'] as const
const forAdmins = ['admin', ...forAll] as const

const aclRows = [
  {
    ...row,
    name: 'cat',
    arity: -2,
    flags: forAll,
    complexity: 'O(1) since the categories and commands are a fixed set.',
    summary: 'Lists the categories of commands, or the commands of one.',
    syntax: '[categoryname]',
    run: cat,
  },
  {
    ...row,
    name: 'getuser',
    arity: 3,
    flags: forAdmins,
    history: [
      ['6.2.0', 'Added Pub/Sub channel patterns.'],
      [
        '7.0.0',
        'Added selectors and changed the format of key and channel patterns from a list to their rule representation.',
      ],
    ],
    complexity: 'O(1)',
    summary: 'Tells what a user may do: `default`, who may do everything, is the only one.',
    syntax: 'username',
    run: getUser,
  },
  {
    ...row,
    name: 'list',
    arity: 2,
    flags: forAdmins,
    complexity: 'O(1)',
    summary: 'Lists the users as a configuration has them: there is one.',
    run: list,
  },
  {
    ...row,
    name: 'users',
    arity: 2,
    flags: forAdmins,
    complexity: 'O(1)',
    summary: 'Lists the names of the users: there is one.',
    run: users,
  },
  {
    ...row,
    name: 'whoami',
    arity: 2,
    flags: forAll,
    complexity: 'O(1)',
    summary: 'Tells the name of the user that the connection has authenticated as.',
    run: whoAmI,
  },
  helpRow({ container: 'acl', group: 'server', since: '6.0.0' }),
] as const satisfies readonly Command[]

export const aclCommands = [
  {
    ...row,
    name: 'acl',
    arity: -2,
    flags: [],
    complexity: 'Depends on subcommand.',
    summary: 'Commands about users, of which there is one.',
    subcommands: aclRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
