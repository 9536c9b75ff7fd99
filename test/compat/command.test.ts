/*
 * The command table beside redis-server's: COMMAND INFO must be equal for every command and
 * subcommand that both have, and COMMAND DOCS must say the same of arguments and versions, but for those that differ
 * on purpose.
 */
import test from 'ava'
import { commands } from '../../server/commands/index.ts'
import { available, startRedis } from '../process.ts'
import { RawClient } from '../raw.ts'
import { REDIS_COMMANDS } from '../redis-commands.ts'
import { Bench } from '../server/commands/session.ts'

type Parsed = string | number | null | readonly Parsed[]

/** Reads a RESP2 reply that is no error. */
function parse(reply: string): Parsed {
  let pos = 0
  const next = (): Parsed => {
    const end = reply.indexOf('\r\n', pos)
    const [type, text] = [reply[pos], reply.slice(pos + 1, end)]
    pos = end + 2
    if (type === '+') return text
    const count = Number(text)
    if (type === ':') return count
    if (count < 0) return null
    if (type === '*') return Array.from({ length: count }, next)
    if (type !== '$') throw new Error(reply.slice(0, 80))
    pos += count + 2
    return reply.slice(pos - count - 2, pos - 2)
  }
  return next()
}

function list(value: Parsed | undefined): readonly Parsed[] {
  return Array.isArray(value) ? (value as readonly Parsed[]) : []
}

/** COMMAND INFO by full name, without the subcommands, which have an entry of their own. */
function infosOf(command: Parsed): Map<string, readonly Parsed[]> {
  const infos = new Map<string, readonly Parsed[]>()
  for (const entry of list(command)) {
    const [name, ...rest] = list(entry)
    infos.set(String(name), rest.slice(0, -1))
    for (const [subname, info] of infosOf(rest.at(-1)!)) infos.set(subname, info)
  }
  return infos
}

type Doc = ReadonlyMap<string, Parsed>

function mapOf(value: Parsed | undefined): Doc {
  const map = new Map<string, Parsed>()
  const items = list(value)
  for (let i = 0; i < items.length; i += 2) map.set(String(items[i]), items[i + 1]!)
  return map
}

function docsOf(docs: Parsed): Map<string, Doc> {
  const found = new Map<string, Doc>()
  for (const [name, value] of mapOf(docs)) {
    const doc = mapOf(value)
    found.set(name, doc)
    for (const [subname, subdoc] of docsOf(doc.get('subcommands') ?? [])) found.set(subname, subdoc)
  }
  return found
}

/** The formula without the words that explain it. */
function costOf(doc: Doc): string {
  const text = String(doc.get('complexity'))
  return /^O\((?:[^()]|\([^()]*\))*\)/.exec(text)?.[0] ?? text
}

/** Where our arguments differ from Redis's, and why. */
const argumentsOtherwise: ReadonlySet<string> = new Set([
  'client|list', // TYPE takes PEER
  'client|kill', // TYPE takes PEER
  'config|get', // the one argument of which there may be many is a block of one
  'psubscribe', // the same
  'command|getkeys', // Redis tells nothing
  'command|getkeysandflags', // Redis tells nothing
])

/** Where our cost differs from Redis's, and why. */
const costsOtherwise: ReadonlySet<string> = new Set([
  'append', // the value is written anew where it does not fit
  'setrange',
  'dump', // values are strings, and may be long
  'restore',
  'unlink', // memory is given back at once
  'auth', // one password
  'acl|getuser', // one user
  'acl|list',
  'acl|users',
  'shutdown', // nothing is saved
  'monitor', // Redis tells nothing
  'lolwut', // Redis tells nothing
  'cluster|countkeysinslot', // there is no index by slot
  'cluster|getkeysinslot',
  'cluster|info', // slots are counted
  'cluster|nodes', // a node owns many ranges
  'cluster|replicas', // nodes are looked for by their id
  'cluster|slaves',
  'cluster|shards',
  'cluster|slots',
  'command',
  'command|list',
  'memory|malloc-stats', // there are none
  'memory|purge', // there is nothing to be done
  'memory|usage', // there are no collections
])

/** What must be equal in COMMAND DOCS. */
function toldOf(name: string, docs: ReadonlyMap<string, Doc>): Readonly<Record<string, string>> {
  const doc = docs.get(name)!
  const fields = ['since', 'group', 'doc_flags', 'deprecated_since', 'replaced_by', 'history']
  const told = Object.fromEntries(
    fields.map((field) => [field, JSON.stringify(doc.get(field) ?? null)]),
  )
  if (!costsOtherwise.has(name)) told.complexity = costOf(doc)
  if (!argumentsOtherwise.has(name)) told.arguments = JSON.stringify(doc.get('arguments') ?? null)
  return told
}

if (available('redis-server')) {
  test('what COMMAND tells of a command is what redis-server tells of it', async (t) => {
    const redis = await startRedis()
    try {
      const raw = await RawClient.open(redis.port)
      const theirInfos = infosOf(parse(await raw.command('COMMAND')))
      const theirDocs = docsOf(parse(await raw.command('COMMAND', 'DOCS')))
      const theirList = list(parse(await raw.command('COMMAND', 'LIST')))
      raw.close()
      const ours = new Bench(commands).connect()
      const ourInfos = infosOf(parse(ours.say('command')))
      const ourDocs = docsOf(parse(ours.say('command', 'docs')))
      const ourList = list(parse(ours.say('command', 'list')))
      const both = [...ourInfos.keys()].filter((name) => theirInfos.has(name))
      t.true(both.length >= 40)
      for (const names of [ourList, theirList]) {
        t.deepEqual(
          names
            .map(String)
            .filter((name) => both.includes(name))
            .toSorted(),
          both.toSorted(),
        )
      }
      const differing: string[] = []
      for (const name of both) {
        const [ourInfo, theirInfo] = [ourInfos.get(name), theirInfos.get(name)].map((info) => {
          return JSON.stringify(info)
        })
        if (ourInfo !== theirInfo) differing.push(`${name}: ${ourInfo}, in Redis ${theirInfo}`)
        const [our, their] = [toldOf(name, ourDocs), toldOf(name, theirDocs)]
        for (const [field, text] of Object.entries(our)) {
          if (text === their[field]) continue
          differing.push(`${name}: ${field} ${text}, in Redis ${their[field]}`)
        }
      }
      t.deepEqual(differing, [])
      const theirGroups = new Map([...theirDocs].map(([name, doc]) => [name, doc.get('group')]))
      const told = new Map(
        Object.entries(REDIS_COMMANDS).flatMap(([group, names]) =>
          names.map((name) => [name, group]),
        ),
      )
      // A container's own group counts for its subcommands, as COMMAND DOCS has it.
      t.deepEqual([...told.keys()].toSorted(), [...theirGroups.keys()].toSorted())
      for (const [name, group] of theirGroups) t.is(told.get(name), String(group), name)
    } finally {
      await redis.stop()
    }
  })
} else {
  test.skip('what COMMAND tells of a command is what redis-server tells of it', (t) => t.pass())
}
