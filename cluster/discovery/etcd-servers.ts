import { MemberListError } from '../members/membership.ts'

/** What `cluster-etcd` says. */
export interface EtcdServers {
  /** `http://host:port`, one is asked until it fails. */
  readonly origins: readonly string[]
  /** Null: etcd asks for none. */
  readonly login: { readonly name: string; readonly password: string } | null
}

const DEFAULT_PORT = 2379

/**
 * Reads `http://host:port,http://...`, with a name and password in the first, perhaps.
 *
 * @throws MemberListError which has no password in it
 */
export function parseEtcd(text: string): EtcdServers {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  const urls = words.map((word) => (URL.canParse(word) ? new URL(word) : null))
  const isServer = (url: URL | null): boolean =>
    url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === ''
  if (words.length === 0 || !urls.every(isServer)) {
    throw new MemberListError('cluster-etcd: wants http://host:port or https://host:port')
  }
  const origins = urls.map((url, i) => {
    const { hostname, protocol } = url!
    // URL leaves out a port that is the scheme's own.
    const port = /:(\d+)\/?$/.exec(words[i]!)?.[1] ?? DEFAULT_PORT
    return `${protocol}//${hostname}:${port}`
  })
  return { origins, login: loginOf(urls[0]!) }
}

function loginOf({ username, password }: URL): EtcdServers['login'] {
  if (username === '') return null
  try {
    return { name: decodeURIComponent(username), password: decodeURIComponent(password) }
  } catch (cause) {
    if (!(cause instanceof URIError)) throw cause
    throw new MemberListError('cluster-etcd: the name or password is not percent-encoded UTF-8')
  }
}
