import test from 'ava'
import { type OriginAddress, parseOrigin } from '../../../cluster/origin/address.ts'
import { RuleError } from '../../../cluster/groups/rule.ts'

const parse = (text: string): OriginAddress => parseOrigin(text, ['id'])

test('an http origin is a URL with placeholders', (t) => {
  const address = parse('HTTPS://H:8443/{id}@x')
  t.like(address, { kind: 'http', text: 'HTTPS://H:8443/{id}@x', shown: 'HTTPS://H:8443/{id}@x' })
  t.is(address.kind === 'http' ? address.url.origin : '', 'https://h:8443')
})

const nobody = { username: null, password: null }
const redis: [text: string, address: object][] = [
  [
    'redis://h',
    { tls: false, ...nobody, hosts: [{ host: 'h', port: 6379 }], db: 0, cluster: false },
  ],
  ['rediss://h:6380/', { tls: true, ...nobody, hosts: [{ host: 'h', port: 6380 }], db: 0 }],
  ['redis://h/7', { hosts: [{ host: 'h', port: 6379 }], db: 7 }],
  ['redis://[::1]:7000/1', { hosts: [{ host: '::1', port: 7000 }], db: 1 }],
  ['redis://:p%40ss@h', { username: null, password: 'p@ss', shown: 'redis://***@h' }],
  ['redis://me:a@b:c/d@h:1', { username: 'me', password: 'a@b:c/d', shown: 'redis://***@h:1' }],
  [
    'REDISS://me:x@a:1,b,c:3/0?cluster=YES',
    {
      tls: true,
      cluster: true,
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
        { host: 'c', port: 3 },
      ],
    },
  ],
  ['redis://h?cluster=no', { cluster: false }],
  ['redis://h:65535/65535', { hosts: [{ host: 'h', port: 65535 }], db: 65535 }],
]
for (const [text, address] of redis) {
  test(`read: ${text}`, (t) => t.like(parse(text), { kind: 'redis', text, ...address }))
}

test('a module is a file', (t) => {
  for (const path of ['./load.mjs', '../a/load.js', '/srv/load.ts', './x.cjs', './x.mts']) {
    t.like(parse(`module:${path}`), { kind: 'module', path, shown: `module:${path}` })
  }
})

const noHost = 'has no valid host'
const refused: [text: string, says: string][] = [
  ['', "'' does not begin with http://, https://, redis://, rediss:// or module:"],
  [
    'mysql://u:secret@h',
    "'mysql://***@h' does not begin with http://, https://, redis://, rediss:// or module:",
  ],
  ['redis:h', "'redis:h' does not begin with redis://"],
  ['redis://', `'redis://' ${noHost}`],
  ['redis://:6379', `'redis://:6379' ${noHost}`],
  ['redis://h:x', `'redis://h:x' ${noHost}`],
  ['redis://::1', `'redis://::1' ${noHost}`],
  ['redis://h h', `'redis://h h' ${noHost}`],
  ['redis://a,,b?cluster=yes', `'redis://a,,b?cluster=yes' ${noHost}`],
  ['redis://h:0', "'redis://h:0' has a port that is not 1 to 65535"],
  ['redis://h:65536', "'redis://h:65536' has a port that is not 1 to 65535"],
  ['redis://h/x', "'redis://h/x' has a path that is no database (write /0 to /65535)"],
  ['redis://h/65536', "'redis://h/65536' has a path that is no database (write /0 to /65535)"],
  ['redis://h/{id}', "'redis://h/{id}' has a placeholder: a Redis is asked for the key itself"],
  ['redis://a,b', "'redis://a,b' has several hosts: those of a cluster want ?cluster=yes"],
  [
    'redis://h/1?cluster=yes',
    "'redis://h/1?cluster=yes' has a database, but in a cluster there is only 0",
  ],
  [
    'redis://h?tls=yes',
    "'redis://h?tls=yes' has something else than ?cluster=yes or ?cluster=no at its end",
  ],
  ['redis://h#x', "'redis://h#x' has a fragment (#), which means nothing"],
  ['redis://me@h', "'redis://***@h' has a user without a password: write user:password@"],
  ['redis://me:@h', "'redis://***@h' has an empty password"],
  [
    'redis://me:secret%zz@h',
    "'redis://***@h' has a % in its user or password that is not followed by two hex digits",
  ],
  ['redis://me:secret@h:0', "'redis://***@h:0' has a port that is not 1 to 65535"],
  [
    'http://u:secret@h/',
    '\'http://***@h/\' has a user or password in it: send them with header "Authorization: Basic ..."',
  ],
  ['module:', "'module:' names no file: write module:./file.mjs or module:/folder/file.mjs"],
  [
    'module:load.mjs',
    "'module:load.mjs' names no file: write module:./file.mjs or module:/folder/file.mjs",
  ],
  [
    'module://h/load.mjs',
    "'module://h/load.mjs' names no file: write module:./file.mjs or module:/folder/file.mjs",
  ],
  [
    'module:./load.py',
    "'module:./load.py' is no JavaScript or TypeScript file (.mjs, .js, .mts, .ts)",
  ],
  ['module:./{id}.mjs', "'module:./{id}.mjs' has a placeholder: the module is handed the key"],
]
for (const [text, message] of refused) {
  test(`refused: ${text}`, (t) => {
    t.throws(() => parse(text), { instanceOf: RuleError, message })
  })
}

test('a cluster is asked for by 64 hosts at most', (t) => {
  const hosts = (count: number): string => Array.from({ length: count }, (_, i) => `h${i}`).join()
  t.like(parse(`redis://${hosts(64)}?cluster=yes`), { cluster: true })
  t.throws(() => parse(`redis://${hosts(65)}?cluster=yes`), { message: /has more than 64 hosts$/ })
})
