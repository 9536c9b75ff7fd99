/*
 * `ringtier cluster status|ring|check`: connects to a node, asks it who is in the cluster, asks these
 * too, and prints what they tell for people to read.
 */
import { type ClusterView, readView } from './cluster-view.ts'
import { type AskedNode, problemsOf, ringLines, statusLines } from './cluster-report.ts'
import { type ConfigSources, loadConfig } from '../config.ts'
import { ConfigError } from '../config/sources.ts'

const usage =
  'ringtier cluster status|ring|check [redis.conf] [-h host] [-p port] [-a password] [--user name]'

/** A node that says nothing for so long is not waited for. */
const PATIENCE_MS = 2000

const actions = ['status', 'ring', 'check'] as const
type Action = (typeof actions)[number]

interface Login {
  readonly username: string | null
  readonly password: string
}

interface Asked extends Login {
  readonly action: Action
  readonly host: string
  readonly port: number
}

/** The lines to print, and the exit code: 1 where `check` finds something, or nobody answers. */
export interface Printed {
  readonly lines: readonly string[]
  readonly exitCode: 0 | 1
}

/**
 * `args`: what stands behind `cluster`.
 *
 * @throws {ConfigError} they make no sense
 */
export async function clusterTool(
  args: readonly string[],
  sources: Pick<ConfigSources, 'environment' | 'machine'>,
): Promise<Printed> {
  const asked = readArgs(args, sources)
  const at = `${asked.host}:${asked.port}`
  const answer = await askNode(asked, asked)
  if (answer instanceof Error) return { lines: [`${at}: ${answer.message}`], exitCode: 1 }
  const first = answer
  if (asked.action === 'ring') return { lines: ringLines(first), exitCode: 0 }
  const nodes = await Promise.all(
    first.members.map(async (member): Promise<AskedNode> => {
      const { name } = member
      if (member.self) return { name, view: first, why: '' }
      const view = await askNode(addressOf(name), asked)
      return view instanceof Error
        ? { name, view: null, why: view.message }
        : { name, view, why: '' }
    }),
  )
  if (asked.action === 'status') return { lines: statusLines(first, nodes), exitCode: 0 }
  const problems = problemsOf(first, nodes)
  if (problems.length > 0) return { lines: problems, exitCode: 1 }
  const { epoch, members } = first
  const count = members.length === 1 ? 'one node' : `${members.length} nodes`
  return { lines: [`all slots have an owner, and ${count} agree (epoch ${epoch})`], exitCode: 0 }
}

function readArgs(
  args: readonly string[],
  sources: Pick<ConfigSources, 'environment' | 'machine'>,
): Asked {
  const [action, ...words] = args
  if (!isAction(action)) throw new ConfigError('cluster', `wants ${usage}`)
  const given = new Map<string, string>()
  let file: string | null = null
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (['-h', '-p', '-a', '--user', '--pass'].includes(word)) {
      const value = words[++i]
      if (value === undefined) throw new ConfigError('cluster', `${word} wants a value: ${usage}`)
      given.set(word === '--pass' ? '-a' : word, value)
    } else if (file === null && !word.startsWith('-')) {
      file = word
    } else {
      throw new ConfigError('cluster', `'${word}' is not known: ${usage}`)
    }
  }
  const config = loadConfig({ ...sources, args: file === null ? [] : [file] })
  const port = Number(given.get('-p') ?? config.port)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new ConfigError('cluster', `-p '${given.get('-p') ?? port}': the port is 1 to 65535`)
  }
  const bind = (config.bind[0] ?? '').replace(/^-/, '')
  const isEverywhere = ['*', '::*', '0.0.0.0', '::', ''].includes(bind)
  return {
    action,
    host: given.get('-h') ?? (isEverywhere ? '127.0.0.1' : bind),
    port,
    username: given.get('--user') ?? null,
    password: given.get('-a') ?? sources.environment?.REDISCLI_AUTH ?? config.requirepass,
  }
}

function isAction(word: string | undefined): word is Action {
  return (actions as readonly (string | undefined)[]).includes(word)
}

/** An IPv6 address has colons of its own. */
function addressOf(name: string): { host: string; port: number } {
  const at = name.lastIndexOf(':')
  return { host: name.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(name.slice(at + 1)) }
}

/** A node's view, or why there is none. */
async function askNode(
  { host, port }: { readonly host: string; readonly port: number },
  { username, password }: Login,
): Promise<ClusterView | Error> {
  const { Redis } = await import('ioredis')
  const client = new Redis({
    ...{ host, port, lazyConnect: true, enableReadyCheck: false, protocol: 2 },
    ...{ connectTimeout: PATIENCE_MS, commandTimeout: PATIENCE_MS },
    ...{ retryStrategy: () => null, maxRetriesPerRequest: 0 },
    ...(password === '' ? {} : { password }),
    ...(username === null ? {} : { username }),
  })
  // Of a connection that never stood `connect` says only that it is closed.
  let reason: NodeJS.ErrnoException | null = null
  client.on('error', (error: NodeJS.ErrnoException) => (reason = error))
  try {
    await client.connect()
    const [nodes, info, keyspace] = await Promise.all([
      client.cluster('NODES'),
      client.cluster('INFO'),
      // Of this node alone, as with any other section beside it.
      client.info('cluster', 'keyspace'),
    ])
    const view = readView({ nodes: String(nodes), info, keyspace })
    return view ?? new Error('it answers, but not as a node of a cluster')
  } catch (error) {
    const { code, message } = reason ?? (error as NodeJS.ErrnoException)
    return new Error(code === undefined ? message : `cannot be reached (${code})`)
  } finally {
    client.disconnect()
  }
}
