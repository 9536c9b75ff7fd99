import test from 'ava'
import {
  meaningOf,
  policyNames,
  policyNotice,
  redisNameOf,
} from '../../../server/memory/policies.ts'

test('the log says of the names of Redis in whose order keys go, and of no other', (t) => {
  t.is(
    policyNotice('allkeys-lru'),
    'keys go in the order of s3a, which stands for the orders of Redis (docs/eviction.md)',
  )
  t.is(
    policyNotice('volatile-ttl', 'lru'),
    'only keys with an expiry go, and in the order of lru, which stands for the orders of Redis (docs/eviction.md)',
  )
  const silent = policyNames.filter((name) => policyNotice(name) === null)
  t.deepEqual(silent, ['s3a', 's3-fifo', 'fifo', 'lru', 'second-chance', 'noeviction'])
})

test('a name of Redis leaves an order that is fixed, and an own name never does', (t) => {
  t.deepEqual(meaningOf('volatile-lfu', 'second-chance'), {
    policy: 'second-chance',
    scope: 'volatile',
  })
  t.deepEqual(meaningOf('volatile-lfu'), { policy: 's3a', scope: 'volatile' })
  t.deepEqual(meaningOf('fifo', 'lru'), { policy: 'fifo', scope: 'all' })
})

test('INFO answers names that Redis has', (t) => {
  const known = policyNames.slice(5)
  for (const name of policyNames) t.true((known as string[]).includes(redisNameOf(name)), name)
  for (const name of known) t.is(redisNameOf(name), name)
})
