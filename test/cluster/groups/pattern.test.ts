import test from 'ava'
import { Pattern } from '../../../cluster/groups/pattern.ts'
import { RuleError } from '../../../cluster/groups/rule.ts'

/** What the named wildcards took, or null: no match. The key lies in the middle of other bytes. */
function match(text: string, key: string): Record<string, string> | null {
  const pattern = Pattern.parse(text)
  const bytes = Buffer.from(`<<${key}>>`)
  const length = Buffer.byteLength(key)
  const spans: number[] = []
  if (!pattern.matches(bytes, 2, length, spans)) return null
  const taken: Record<string, string> = {}
  for (const [i, name] of pattern.wildcards.entries()) {
    if (name !== null) taken[name] = bytes.toString('utf8', spans[2 * i], spans[2 * i + 1])
  }
  return taken
}

test('a placeholder takes one byte or more, up to the next literal', (t) => {
  t.deepEqual(match('user:{id}', 'user:42'), { id: '42' })
  t.deepEqual(match('user:{id}', 'user:a:b'), { id: 'a:b' })
  t.is(match('user:{id}', 'user:'), null)
  t.is(match('user:{id}', 'user'), null)
  t.is(match('user:{id}', 'xuser:42'), null)
  t.deepEqual(match('{shop}/{item}', 'a/b/c'), { shop: 'a', item: 'b/c' })
  t.deepEqual(match('{shop}/{item}', '//c'), { shop: '/', item: 'c' })
  t.deepEqual(match('{key}', 'ü'), { key: 'ü' })
})

test('the last literal stands at the end', (t) => {
  t.deepEqual(match('user:{id}:name', 'user:1:name:name'), { id: '1:name' })
  t.is(match('user:{id}:name', 'user:1:names'), null)
  t.is(match('user:{id}:name', 'user::name'), null)
  t.deepEqual(match('a{x}aa', 'aaaa'), { x: 'a' })
  t.is(match('a{x}aa', 'aaa'), null)
})

test('* takes any number of bytes, also none', (t) => {
  t.deepEqual(match('cfg:*', 'cfg:'), {})
  t.deepEqual(match('cfg:*', 'cfg:x'), {})
  t.is(match('cfg:*', 'cfg'), null)
  t.deepEqual(match('*', ''), {})
  t.deepEqual(match('*:{id}:*', ':7:'), { id: '7' })
  t.deepEqual(match('*:{id}:*', 'a::b:c'), { id: ':b' })
})

test('a pattern without wildcards is one key', (t) => {
  t.deepEqual(match('motd', 'motd'), {})
  t.is(match('motd', 'motd2'), null)
  t.is(match('motd', 'mot'), null)
})

test('a backslash takes { } * \\ literally', (t) => {
  t.deepEqual(match('\\{user:{id}\\}:\\*\\\\', '{user:9}:*\\'), { id: '9' })
})

test('matching agrees with a regular expression on all short keys', (t) => {
  for (const text of ['a{x}b*a', '*ab{x}a', '{x}ab*', 'a*b{y}', '*', '{x}', 'a{x}a', '*b*']) {
    const source = text.replaceAll('*', '[ab]*').replaceAll(/\{\w\}/g, '[ab]+')
    const expected = new RegExp(`^${source}$`)
    for (let length = 0; length <= 9; length++) {
      for (let bits = 0; bits < 1 << length; bits++) {
        const key = Array.from({ length }, (_, i) => ((bits >> i) & 1 ? 'b' : 'a')).join('')
        t.is(match(text, key) !== null, expected.test(key), `${text} ${key}`)
      }
    }
  }
})

test('a pattern that cannot be is refused with the reason', (t) => {
  const refused: [string, RegExp][] = [
    ['', /is no pattern/],
    ['a{x', /a { without its }/],
    ['a}x', /a } without its {/],
    ['a{}', /placeholder {} whose name/],
    ['a{1}', /placeholder \{1\} whose name/],
    ['a{x y}', /placeholder {x y} whose name/],
    ['{a}{b}', /two wildcards with nothing between/],
    ['**', /two wildcards with nothing between/],
    ['{a}*', /two wildcards with nothing between/],
    ['{a}:{a}', /has {a} twice/],
    ['a\\b', /has a \\ before/],
    ['a\\', /has a \\ before/],
  ]
  for (const [text, message] of refused) {
    t.throws(() => Pattern.parse(text), { instanceOf: RuleError, message }, text)
  }
})
