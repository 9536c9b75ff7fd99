/**
 * What `maxmemory-policy` may be. The store has an order in which entries go (a policy) and a say
 * which of them may go at all (a scope); Redis's names choose both. Of Redis's orders none is built
 * as Redis has it (they are samples of an order, and worse ones: docs/eviction.md), so its names
 * mean the default order. INFO answers a name of Redis, for that is what frameworks know.
 */
import { DEFAULT_POLICY, type Policy, type Scope } from '../store/policy.ts'

interface Named {
  /** Null: the default one, or the one that cannot be left while the server runs. */
  readonly policy: Policy | null
  readonly scope: Scope
  /** What INFO's maxmemory_policy answers: the nearest of Redis's names. */
  readonly redis: string
}

function redis(name: string, scope: Scope): Named {
  return { policy: null, scope, redis: name }
}

function own(policy: Policy, nearest: string): Named {
  return { policy, scope: 'all', redis: nearest }
}

const named = {
  s3a: own('s3a', 'allkeys-lfu'),
  's3-fifo': own('s3-fifo', 'allkeys-lfu'),
  fifo: own('fifo', 'allkeys-random'),
  lru: own('lru', 'allkeys-lru'),
  'second-chance': own('second-chance', 'allkeys-lru'),
  'allkeys-lru': redis('allkeys-lru', 'all'),
  'allkeys-lfu': redis('allkeys-lfu', 'all'),
  'allkeys-random': redis('allkeys-random', 'all'),
  'volatile-lru': redis('volatile-lru', 'volatile'),
  'volatile-lfu': redis('volatile-lfu', 'volatile'),
  'volatile-random': redis('volatile-random', 'volatile'),
  'volatile-ttl': redis('volatile-ttl', 'volatile'),
  noeviction: redis('noeviction', 'none'),
} as const satisfies Readonly<Record<string, Named>>

export type PolicyName = keyof typeof named

export const policyNames = Object.keys(named) as PolicyName[]

export const DEFAULT_POLICY_NAME: PolicyName = DEFAULT_POLICY

/**
 * What a name means for a store. `fixed`: the policy of a running store that it cannot leave; a name
 * of Redis changes only the scope there.
 */
export function meaningOf(
  name: PolicyName,
  fixed: Policy | null = null,
): { readonly policy: Policy; readonly scope: Scope } {
  const { policy, scope }: Named = named[name]
  return { policy: policy ?? fixed ?? DEFAULT_POLICY, scope }
}

/** What INFO's maxmemory_policy answers for a name. */
export function redisNameOf(name: PolicyName): string {
  return named[name].redis
}

/**
 * What the log is to say of a name, or null: it does what it says. `order`: the policy that a name
 * of Redis gets.
 */
export function policyNotice(name: PolicyName, order: Policy = DEFAULT_POLICY): string | null {
  const { policy, scope }: Named = named[name]
  if (policy !== null || scope === 'none') return null
  const who = scope === 'volatile' ? 'only keys with an expiry go, and' : 'keys go'
  return `${who} in the order of ${order}, which stands for the orders of Redis (docs/eviction.md)`
}
