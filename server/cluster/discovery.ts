/* How the list of members is kept up to date, as the configuration says. */
import { strict as assert } from 'node:assert'
import type { Discovery, DiscoveryEvents } from '../../cluster/discovery/discovery.ts'
import { DnsDiscovery } from '../../cluster/discovery/dns.ts'
import { identifier } from '../../cluster/discovery/identify.ts'
import { isLoopback, type Membership } from '../../cluster/members/membership.ts'
import type { Config } from '../config.ts'
import type { ServerWorld } from '../snapshots/files.ts'
import type { Log } from '../log.ts'

/** Null: the list is the one of the configuration. */
export async function openDiscovery(
  config: Config,
  world: ServerWorld,
  membership: Membership,
  log: Log,
): Promise<Discovery | null> {
  const { discovery } = config
  if (discovery === null) return null
  const secret = config['cluster-secret']
  membership.onList(({ added, moved, removed }) => {
    for (const { name } of added) log.notice({ node: name }, `node ${name} is a member`)
    for (const { name } of removed) log.notice({ node: name }, `node ${name} is a member no more`)
    for (const { name, dial } of moved) log.notice({ node: name, dial }, `node ${name} has moved`)
  })
  const events: DiscoveryEvents = {
    found: (nodes) => {
      // As with a static list: without a secret anybody could join, so nobody does from elsewhere.
      const safe = secret === '' ? nodes.filter(({ dial }) => isLoopback(dial.host)) : nodes
      membership.update(safe)
    },
    report: (problem) => {
      if (problem === null) log.notice('the members of the cluster are found again')
      else log.warning(problem)
    },
  }
  const { clock, resolver } = world
  const isUp = (name: string): boolean => membership.member(name)?.state === 'up'
  if (discovery.kind === 'etcd') {
    // Its HTTP is large and slow to load.
    const { EtcdDiscovery } = await import('../../cluster/discovery/etcd.ts')
    const self = membership.member(membership.self)!
    const prefix = config['cluster-etcd-prefix']
    return new EtcdDiscovery({ clock, self, prefix, isUp, ...discovery.servers }, events)
  }
  assert(resolver !== undefined, 'cluster-dns wants a World with DNS')
  const identify = identifier(world, { self: membership.self, secret })
  const periodMs = config['cluster-dns-interval'] * 1000
  return new DnsDiscovery(
    { clock, resolver, query: discovery.query, periodMs, identify, isUp },
    events,
  )
}
