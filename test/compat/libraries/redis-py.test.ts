/* redis-py, from Debian's package python3-redis. It speaks RESP2. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { PROJECT, run } from '../../process.ts'
import { onEachServer } from './site.ts'

/** Debian's: another that comes first in PATH does not see Debian's packages. */
const PYTHON = '/usr/bin/python3'

const isHere = spawnSync(PYTHON, ['-c', 'import redis']).status === 0
if (!isHere && process.env.CI !== undefined) {
  throw new Error('python3-redis is not installed, and CI is set')
}

if (!isHere) {
  test('redis-py is skipped', (t) => {
    t.log('python3-redis is not installed')
    t.pass()
  })
} else {
  onEachServer('redis-py', async (t, { port, raw }) => {
    const script = join(PROJECT, 'test/compat/libraries/redis-py.py')
    const { code, stdout, stderr } = await run(PYTHON, [script, String(port)])
    t.is(code, 0, stderr)
    t.deepEqual(JSON.parse(stdout), {
      ping: true,
      name: 'redis-py',
      'every byte': true,
      missing: null,
      set: [true, null, 'ä'],
      'old value': 'ä',
      ttl: true,
      counters: [1, 42, 1.5],
      range: [5, 'ewer', 5],
      mget: ['7', null, '299'],
      scan: true,
      delete: [1, 2],
      pipeline: [201, '99', "wrong number of arguments for 'get' command"],
      transaction: [true, 2, '2'],
      watch: 'WatchError: Watched variable changed.',
      optimistic: [1],
      receivers: [1, 1],
      heard: [
        { type: 'subscribe', pattern: null, channel: 'news', data: 1 },
        { type: 'psubscribe', pattern: null, channel: 'wea*', data: 2 },
        { type: 'message', pattern: null, channel: 'news', data: 'hello' },
        { type: 'pmessage', pattern: 'wea*', channel: 'weather', data: 'rain' },
      ],
      errors: [
        "ResponseError: unknown command 'NOSUCH', with args beginning with: 'a' ",
        'ResponseError: value is not an integer or out of range',
        "ResponseError: invalid expire time in 'set' command",
        "ResponseError: wrong number of arguments for 'get' command",
        'ResponseError: DB index is out of range',
      ],
      databases: [null, 1, true, 0],
      info: ['int', 'str'],
      keyspace: 1,
      config: { maxclients: '10000' },
      list: true,
      time: 2,
      object: 'int',
      type: ['string', 'none', 1],
      command: 2,
    })
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    t.is((await raw.get(everyByte))?.length, 256_000)
    t.is(String(await raw.get('k')), 'newer')
    t.is(String(await raw.get('t')), 'changed meanwhile')
    t.is(String(await raw.get('piped:99')), '99')
    t.is(await raw.command('EXISTS', 'many:0', 'many:1', 'many:3'), ':1\r\n')
  })
}
