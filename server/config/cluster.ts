/** What the directives about the cluster mean together: who is in it, or where that is found out. */
import { type DnsQuery, parseDnsQuery } from '../../cluster/discovery/dns.ts'
import { type EtcdServers, parseEtcd } from '../../cluster/discovery/etcd-servers.ts'
import {
  isLoopback,
  type MemberList,
  MemberListError,
  parseMembers,
} from '../../cluster/members/membership.ts'
import type { Groups } from '../../cluster/groups/group.ts'
import { ConfigError } from './sources.ts'

/** Where the list of members comes from while the node runs. */
export type DiscoverySource =
  | { readonly kind: 'dns'; readonly query: DnsQuery }
  | { readonly kind: 'etcd'; readonly servers: EtcdServers }

export interface ClusterConfig {
  /** Null: this node stands alone. With a `discovery` this node only, at the start. */
  readonly members: MemberList | null
  /** Null: the list is a static one. */
  readonly discovery: DiscoverySource | null
}

/** The values that count here. */
export interface ClusterValues {
  readonly 'cluster-self': string
  readonly 'cluster-peers': string
  readonly 'cluster-dns': string
  readonly 'cluster-etcd': string
  readonly 'cluster-secret': string
  readonly 'cluster-handoff': number
  readonly requirepass: string
}

const listed = ['cluster-peers', 'cluster-dns', 'cluster-etcd'] as const

/**
 * @param whereOf where a directive was given, for errors
 * @throws {ConfigError}
 */
export function readCluster(
  values: ClusterValues,
  whereOf: (name: 'cluster-self' | (typeof listed)[number]) => string,
): ClusterConfig {
  const given = listed.filter((name) => values[name] !== '')
  const [first, second] = given
  const self = values['cluster-self']
  if (self === '') {
    if (first === undefined) return { members: null, discovery: null }
    throw new ConfigError(whereOf(first), `${first} also wants cluster-self`)
  }
  if (second !== undefined) {
    throw new ConfigError(whereOf(second), `${first} and ${second} cannot be had together`)
  }
  try {
    const members = parseMembers(self, values['cluster-peers'])
    const discovery = discoveryOf(values)
    checkSecret(values, members, whereOf('cluster-self'))
    return { members, discovery }
  } catch (error) {
    if (!(error instanceof MemberListError)) throw error
    const name = listed.find((one) => error.message.startsWith(one)) ?? 'cluster-self'
    throw new ConfigError(whereOf(name), error.message, { cause: error })
  }
}

/**
 * Groups with copies want keys to move: else a node that is back begins without what others have for it.
 * @throws {ConfigError}
 */
export function checkCopies(
  values: ClusterValues,
  { members }: ClusterConfig,
  groups: Groups,
  whereOf: (name: 'cluster-handoff') => string,
): void {
  const group = groups.all.find(({ hasCopies }) => hasCopies)
  if (members === null || group === undefined || values['cluster-handoff'] > 0) return
  const says = `group ${group.name} has copies 1, which wants keys to move between nodes: leave cluster-handoff at its default, or give a time above 0`
  throw new ConfigError(whereOf('cluster-handoff'), says)
}

function discoveryOf(values: ClusterValues): DiscoverySource | null {
  const { 'cluster-dns': dns, 'cluster-etcd': etcd } = values
  if (dns !== '') return { kind: 'dns', query: parseDnsQuery(dns) }
  return etcd === '' ? null : { kind: 'etcd', servers: parseEtcd(etcd) }
}

function checkSecret(values: ClusterValues, { all }: MemberList, where: string): void {
  if (values['cluster-secret'] !== '') return
  if (values.requirepass !== '') {
    throw new ConfigError(
      where,
      'a cluster behind requirepass wants cluster-secret: nodes prove it to each other instead of a password',
    )
  }
  if (!all.every(({ host }) => isLoopback(host))) {
    throw new ConfigError(
      where,
      'a cluster of several machines wants cluster-secret, the same on all nodes',
    )
  }
}
