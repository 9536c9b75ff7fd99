import test from 'ava'
import { parseGroup } from '../../../cluster/groups/group.ts'
import { OriginError, type OriginErrorKind } from '../../../cluster/origin/loader.ts'
import { Failures } from '../../../server/loads/failures.ts'
import { createLog } from '../../../server/log.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { startInProcess } from '../in-process.ts'

const words = (name: string): string[] => [name, 'match', `${name}:*`, 'origin', 'http://h/']
const [user, item] = [parseGroup(words('user')), parseGroup(words('item'))]

/** Failures, and what was logged of them: the message, and how many more it stands for. */
function start() {
  const clock = new VirtualClock()
  const lines: [string, number | undefined][] = []
  const errors: unknown[] = []
  const failures = new Failures(clock, {
    warning: (first: object | string, message?: string): void => {
      const { more, err } = first as { more?: number; err?: unknown }
      lines.push([message!, more])
      errors.push(err)
    },
  })
  const fail = (kind: OriginErrorKind, group = user, cause?: unknown): void =>
    failures.report(new OriginError(kind, `${group.name} ${kind}`, cause), group)
  return { clock, lines, errors, fail }
}

test('failures of a group and kind are one line a second, which says how many there were', async (t) => {
  const { clock, lines, fail } = start()
  for (let i = 0; i < 500; i++) fail('status')
  t.deepEqual(lines, [['user status', undefined]])
  await clock.advance(999)
  fail('status')
  t.is(lines.length, 1)
  await clock.advance(1)
  fail('status')
  fail('status')
  await clock.advance(1000)
  fail('status')
  await clock.advance(1000)
  fail('status')
  t.deepEqual(lines.slice(1), [
    ['user status', 500],
    ['user status', 1],
    ['user status', undefined],
  ])
})

test('failures of another kind or another group have lines of their own', (t) => {
  const { lines, fail } = start()
  fail('status')
  fail('timeout')
  fail('status', item)
  t.deepEqual(
    lines.map(([line]) => line),
    ['user status', 'user timeout', 'item status'],
  )
})

test('of an open breaker nothing is said, and of an error where it came from', (t) => {
  const { lines, errors, fail } = start()
  fail('breaker')
  t.deepEqual(lines, [])
  const cause = new Error('connect ECONNREFUSED')
  fail('unreachable', user, cause)
  fail('status')
  t.deepEqual(errors, [cause, undefined])
})

test('a server whose origin refuses everything logs loads and writes so', async (t) => {
  const refuses = (): Promise<never> =>
    Promise.reject(new OriginError('status', 'ORIGIN g: the origin answered 403'))
  const loader = { load: refuses, write: refuses, close: () => Promise.resolve() }
  const lines: (number | undefined)[] = []
  const log = {
    ...createLog({ level: 'nothing' }),
    warning: (first: object | string): void => void lines.push((first as { more?: number }).more),
  }
  const group = 'g match g:* origin http://h/ write yes'
  const { connect, clock, server } = await startInProcess(['--group', group], { loader, log })
  t.teardown(() => server.shutdown())
  const client = connect()
  const line = '-ORIGIN g: the origin answered 403\r\n'
  for (let i = 0; i < 50; i++) t.is(await client.command('GET', `g:${i}`), line)
  for (let i = 0; i < 50; i++) t.is(await client.command('SET', `g:${i}`, 'v'), line)
  t.deepEqual(lines, [undefined])
  await clock.advance(1000)
  t.is(await client.command('SET', 'g:1', 'v'), line)
  t.deepEqual(lines, [undefined, 99])
})
