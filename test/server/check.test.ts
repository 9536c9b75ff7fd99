import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { check } from '../../server/check.ts'
import { ConfigError } from '../../server/config/sources.ts'

/** What `ringtier check` says of a file with this text, without the file's path. */
function checked(t: ExecutionContext, text: string, ...keys: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-check-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'redis.conf'), text)
  const own = (line: string): string => line.replaceAll(`${folder}/`, '')
  try {
    return check([join(folder, 'redis.conf'), ...keys], {}).map(own)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [`error: ${own(error.message)}`]
  }
}

test('each group is a line, with its place and without secrets', (t) => {
  const text = `port 7000
group user match user:{id} origin http://h/users/{id} ttl 300 header "X-Key: secret"

group old match * origin redis://me:secret@old/1 jitter 0.1
`
  t.deepEqual(checked(t, text), [
    'redis.conf:2: group user match user:{id} origin http://h/users/{id} ttl 5m header "X-Key: ***"',
    'redis.conf:4: group old match * origin redis://***@old/1 jitter 10%',
  ])
  t.deepEqual(checked(t, 'port 7000'), ['there are no groups'])
})

test('each key is told with its group and what would be asked', (t) => {
  const text = `group user match user:{id} origin http://h:8080/users/{id}?v=1
group old match old:* origin rediss://me:secret@a,b?cluster=yes
`
  const keys = ['user:42', 'user:../x y', 'user:..', 'old:1', 'other', '']
  t.deepEqual(checked(t, text, ...keys).slice(2), [
    'user:42: group user, GET http://h:8080/users/42?v=1',
    '"user:../x y": group user, GET http://h:8080/users/..%2Fx%20y?v=1',
    "user:..: group user, but ORIGIN user: the key cannot be put into the origin's URL",
    'old:1: group old, GET old:1 at rediss://***@a,b?cluster=yes',
    'other: no group',
    '"": no group',
  ])
})

test('a module that is not there is told', (t) => {
  t.deepEqual(checked(t, 'group sql match row:{id} origin module:./no/such.mjs'), [
    "error: redis.conf:1: group sql: origin 'module:./no/such.mjs': No such file or directory",
  ])
})

test('a module is asked with the key and what its placeholders stand for', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-check-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'load.mjs'), '')
  const file = join(folder, 'redis.conf')
  writeFileSync(file, 'group sql match row:{table}:{id} origin module:./load.mjs')
  t.is(
    check([file, 'row:users:7 8'], {}).at(-1),
    '"row:users:7 8": group sql, load("row:users:7 8") of ./load.mjs, table users, id "7 8"',
  )
})

test('the first thing that a start would not take is told with its place', (t) => {
  t.deepEqual(checked(t, 'port 1\ngroup user match user:{id} origin http://h/{uid}'), [
    "error: redis.conf:2: group user: origin 'http://h/{uid}' uses {uid}, but match has only {id}",
  ])
  t.deepEqual(checked(t, 'port x'), [
    "error: redis.conf:1: port 'x': argument couldn't be parsed into an integer",
  ])
})

test('a file is wanted', (t) => {
  const line = 'check: wants a file: ringtier check redis.conf [key ...]'
  t.throws(() => check([], {}), { instanceOf: ConfigError, message: line })
  t.throws(() => check(['--port', '1'], {}), { instanceOf: ConfigError, message: line })
  t.throws(() => check(['/no/such'], {}), {
    instanceOf: ConfigError,
    message: "/no/such: can't open it: No such file or directory",
  })
})

test('the environment counts, as at a start', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-check-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'redis.conf'), '')
  const environment = { RINGTIER_GROUP: 'a match a origin http://h/' }
  t.deepEqual(check([join(folder, 'redis.conf')], { environment }), [
    'RINGTIER_GROUP: group a match a origin http://h/',
  ])
})
