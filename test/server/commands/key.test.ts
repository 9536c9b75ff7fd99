import test from 'ava'
import { bulk, DataSession } from './data-session.ts'

test('TTL rounds half a second up, PTTL is exact', async (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'v', 'PX', '10500')
  t.is(session.run('TTL', 'k'), ':11\r\n')
  await session.clock.advance(1)
  t.is(session.run('TTL', 'k'), ':10\r\n')
  t.is(session.run('PTTL', 'k'), ':10499\r\n')
})

test('EXPIRETIME gives back what EXPIREAT was told, after a jump of the wall clock too', (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'v')
  for (const jump of [0, 1, 86_400_000, -172_800_000]) {
    session.clock.jumpWall(jump)
    session.run('PEXPIREAT', 'k', '1900000000123')
    t.is(session.run('PEXPIRETIME', 'k'), ':1900000000123\r\n')
    t.is(session.run('EXPIRETIME', 'k'), ':1900000000\r\n')
  }
})

test('an expiry in pages needs no copy of them', (t) => {
  const session = new DataSession()
  const large = 'x'.repeat(200_000)
  session.run('SET', 'k', large)
  const used = session.store.stats.usedBytes
  t.is(session.run('PEXPIRE', 'k', '5000'), ':1\r\n')
  t.is(session.run('PTTL', 'k'), ':5000\r\n')
  t.is(session.run('GET', 'k'), bulk(large))
  t.is(session.run('PERSIST', 'k'), ':1\r\n')
  t.is(session.run('GET', 'k'), bulk(large))
  t.is(session.store.stats.usedBytes, used)
})
