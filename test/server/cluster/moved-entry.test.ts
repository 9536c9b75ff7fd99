import test from 'ava'
import { loadConfig } from '../../../server/config.ts'
import { readLine } from '../../../server/cluster/moved-entry.ts'

const { groups } = loadConfig({ args: ['--group', 'k match k:{id} origin http://h/{id} ttl 1m'] })
const times = { now: 1000, birth: 7 }
const extras = {
  ...{ group: 'k', freshMs: 40, visibleMs: 50, loadedMs: 300, costMs: 2, idleMs: 0 },
  ...{ tags: [1, 0xffffffff], etag: 'ZQ==' },
}
const read = (line: unknown) => readLine(Buffer.from(JSON.stringify(line)), groups, times)

test('spans become times of this node, and a group its number here', (t) => {
  t.deepEqual(read({ endsMs: null, extras: null }), { expireAt: 0, extras: null, group: null })
  t.is(read({ endsMs: 60, extras: null })?.expireAt, 1060)
  const group = groups.get('k')!
  t.deepEqual(read({ endsMs: 60, extras }), {
    expireAt: 1060,
    group,
    extras: {
      ...{ freshUntil: 1040, visibleUntil: 1050, loadedAt: 700, costMs: 2, idleMs: 0 },
      ...{ tags: [1, 0xffffffff], etag: Buffer.from('e'), group: group.number, birth: 7 },
    },
  })
})

test('what is over, of an unknown group, or written by nobody is not stored', (t) => {
  const wrong: readonly unknown[] = [
    ...[null, 1, 'x', [], {}, { endsMs: 1 }, { extras: null }, { endsMs: '1', extras: null }],
    ...[0, -1].map((endsMs) => ({ endsMs, extras: null })),
    { endsMs: 60, extras: { ...extras, group: 'other' } },
    ...Object.keys(extras).map((name) => ({ endsMs: 60, extras: { ...extras, [name]: {} } })),
    ...Object.keys(extras).map((name) => ({
      endsMs: 60,
      extras: { ...extras, [name]: undefined },
    })),
    ...[[-1], [1.5], [2 ** 32], ['1']].map((tags) => ({ endsMs: 60, extras: { ...extras, tags } })),
    { endsMs: 60, extras: { ...extras, etag: 'x'.repeat(10_000) } },
  ]
  for (const line of wrong) t.is(read(line), null, JSON.stringify(line))
  for (const text of ['', '{', '\0']) t.is(readLine(Buffer.from(text), groups, times), null)
})
