/**
 * What may stand behind `origin` in a group: where its values come from. A password in it is a
 * secret: no message that is made here shows it, and `shown` leaves it out.
 */
import { RuleError } from '../groups/rule.ts'
import { UrlTemplate } from './url.ts'

export type OriginAddress = HttpAddress | RedisAddress | ModuleAddress

export type OriginKind = OriginAddress['kind']

type Refuse = (why: string) => never

interface Address {
  /** As it was written. */
  readonly text: string
  /** The same without a password. */
  readonly shown: string
}

export interface HttpAddress extends Address {
  readonly kind: 'http'
  readonly url: UrlTemplate
}

/** A Redis that has the same keys, or a Redis Cluster. */
export interface RedisAddress extends Address {
  readonly kind: 'redis'
  readonly tls: boolean
  /** Null: there is none. */
  readonly username: string | null
  readonly password: string | null
  /** One; of a cluster those that are asked for the others. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly db: number
  readonly cluster: boolean
}

/** A program that loads. */
export interface ModuleAddress extends Address {
  readonly kind: 'module'
  /** Of its file, as it was written: a relative one begins where the configuration file lies. */
  readonly path: string
}

/** `wildcards`: the names that match has, in order. Throws RuleError with the reason. */
export function parseOrigin(text: string, wildcards: readonly (string | null)[]): OriginAddress {
  const scheme = /^([^:/?#]*):/.exec(text)?.[1]?.toLowerCase() ?? ''
  switch (scheme) {
    case 'http':
    case 'https':
      return parseHttp(text, wildcards)
    case 'redis':
    case 'rediss':
      return parseRedis(text, scheme)
    case 'module':
      return parseModule(text)
    default:
      throw new RuleError(
        `'${hidden(text)}' does not begin with http://, https://, redis://, rediss:// or module:`,
      )
  }
}

/** The text with `***` for what stands before its last `@`, which a password may contain. */
function hidden(text: string): string {
  return text.replace(/^([^/]*:\/\/).*@/s, '$1***@')
}

function parseHttp(text: string, wildcards: readonly (string | null)[]): HttpAddress {
  // A path may have an @, a host may not.
  if (/^[^/]*:\/\/[^/?#]*@/.test(text)) {
    throw new RuleError(
      `'${hidden(text)}' has a user or password in it: send them with header "Authorization: Basic ..."`,
    )
  }
  return { kind: 'http', text, shown: text, url: UrlTemplate.parse(text, wildcards) }
}

/* ---- redis://[[user]:password@]host[:port][,host[:port]...][/db][?cluster=yes] ---- */

const REDIS_PORT = 6379
const REDIS_HOSTS_MAX = 64
const DATABASE_MAX = 65_535

function parseRedis(text: string, scheme: string): RedisAddress {
  const shown = hidden(text)
  const refuse: Refuse = (why) => {
    throw new RuleError(`'${shown}' ${why}`)
  }
  const [, rest = ''] = /^[^:]*:\/\/(.*)$/s.exec(text) ?? refuse(`does not begin with ${scheme}://`)
  const at = rest.lastIndexOf('@')
  const account = at === -1 ? null : rest.slice(0, at)
  const [, authority = '', path = '', query = '', fragment = ''] =
    /^([^/?#]*)([^?#]*)([^#]*)(.*)$/s.exec(rest.slice(at + 1)) ?? []
  if (/[{}]/.test(rest.slice(at + 1))) {
    refuse('has a placeholder: a Redis is asked for the key itself')
  }
  if (fragment !== '') refuse('has a fragment (#), which means nothing')
  const hosts = authority.split(',').map((host) => parseHost(host, refuse))
  const cluster = isCluster(query, refuse)
  const db = parseDatabase(path, refuse)
  if (hosts.length > REDIS_HOSTS_MAX) refuse(`has more than ${REDIS_HOSTS_MAX} hosts`)
  if (hosts.length > 1 && !cluster)
    refuse('has several hosts: those of a cluster want ?cluster=yes')
  if (cluster && db !== 0) refuse('has a database, but in a cluster there is only 0')
  const user = account === null ? NOBODY : parseAccount(account, refuse)
  return { kind: 'redis', text, shown, tls: scheme === 'rediss', ...user, hosts, db, cluster }
}

const NOBODY = { username: null, password: null }

function parseAccount(account: string, refuse: Refuse) {
  const colon = account.indexOf(':')
  if (colon === -1) refuse('has a user without a password: write user:password@')
  const [username, password] = [account.slice(0, colon), account.slice(colon + 1)].map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return refuse('has a % in its user or password that is not followed by two hex digits')
    }
  })
  if (password === '') refuse('has an empty password')
  return { username: username === '' ? null : username!, password: password! }
}

function parseHost(text: string, refuse: Refuse): { host: string; port: number } {
  const [, host = '', digits = String(REDIS_PORT)] =
    /^(\[[0-9a-f:.]+\]|[^:[\]\s]+)(?::(\d{1,6}))?$/i.exec(text) ?? []
  if (host === '' || !URL.canParse(`http://${host}/`)) refuse('has no valid host')
  const port = Number(digits)
  if (port < 1 || port > 65_535) refuse('has a port that is not 1 to 65535')
  return { host: host.replace(/^\[|\]$/g, ''), port }
}

function parseDatabase(path: string, refuse: Refuse): number {
  if (path === '' || path === '/') return 0
  const [, digits] = /^\/(\d{1,6})$/.exec(path) ?? []
  if (digits === undefined || Number(digits) > DATABASE_MAX) {
    refuse(`has a path that is no database (write /0 to /${DATABASE_MAX})`)
  }
  return Number(digits)
}

function isCluster(query: string, refuse: Refuse): boolean {
  if (query === '') return false
  const [, answer] = /^\?cluster=(yes|no)$/i.exec(query) ?? []
  if (answer === undefined) refuse('has something else than ?cluster=yes or ?cluster=no at its end')
  return answer.toLowerCase() === 'yes'
}

/* ---- module:./file.mjs ---- */

const PROGRAM = /\.[cm]?[jt]s$/

function parseModule(text: string): ModuleAddress {
  const path = text.slice(text.indexOf(':') + 1)
  const refuse: Refuse = (why) => {
    throw new RuleError(`'${text}' ${why}`)
  }
  if (/[{}]/.test(path)) refuse('has a placeholder: the module is handed the key')
  if (!/^(\.{0,2}\/)[^/]/.test(path)) {
    refuse('names no file: write module:./file.mjs or module:/folder/file.mjs')
  }
  if (!PROGRAM.test(path)) refuse('is no JavaScript or TypeScript file (.mjs, .js, .mts, .ts)')
  return { kind: 'module', text, shown: text, path }
}
