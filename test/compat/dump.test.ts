/*
 * DUMP and RESTORE beside redis-server's: what is answered, and that payloads go from the one to the
 * other and back.
 */
import test from 'ava'
import { Crc64 } from '../../server/dump/crc64.ts'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { SeededRandom } from '../sim/random.ts'
import { transcripts } from './transcript.ts'

const hasRedis = available('redis-server')
const real = (hasRedis ? test.serial : test.serial.skip) as typeof test.serial

/** A payload as one word of a transcript. `body` is all before the version. */
function word(body: readonly number[], version = 10, change = 0): string {
  const bytes = Buffer.from([...body, version & 0xff, version >> 8])
  const checksum = new Crc64()
  checksum.update(bytes)
  const digest = Buffer.from(checksum.digest())
  digest[7]! ^= change
  const all = Buffer.concat([bytes, digest])
  return `"${[...all].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`
}

const text = (value: string): number[] => [...Buffer.from(value)]
const HELLO = word([0, 5, ...text('hello')])
const WRONG = [
  word([0, 5, ...text('hello')], 10, 1),
  word([0, 5, ...text('hello')], 10, 255),
  word([0, 5, ...text('hello')], 81),
  word([0, 5, ...text('hello')], 65_535),
  '""',
  'x',
  '0123456789',
]
/**
 * Sound, and no string. (What is too short redis-server fills up from its own checksum; here it is
 * refused: test/server/dump/dump-format.test.ts.)
 */
const ODD = [
  [],
  [0, 20, ...text('hello')],
  [0, 0xc3, 2, 3, 0x20, 0x00],
  [0, 0xc3, 3, 9, 1, 0x61, 0x61],
  [0, 0xc4],
  [255],
  [8, 1],
].map((body) => word(body))
/** Everything that stands for a string. */
const SOUND = [
  [0, 0],
  [0, 0x40, 3, ...text('abc')],
  [0, 0x80, 0, 0, 0, 3, ...text('abc')],
  [0, 0x81, 0, 0, 0, 0, 0, 0, 0, 3, ...text('abc')],
  [0, 3, ...text('abcdef')],
  [0, 0xc0, 0x80],
  [0, 0xc0, 0x7f],
  [0, 0xc1, 0xff, 0x7f],
  [0, 0xc1, 0x01, 0x80],
  [0, 0xc2, 0xff, 0xff, 0xff, 0x7f],
  [0, 0xc2, 0, 0, 0, 0x80],
  [0, 0xc3, 4, 10, 0, 0x61, 0xe0, 0, 0],
  [0, 0xc3, 5, 10, 0, 0x61, 0xe0, 0, 0],
  [0, 0xc3, 7, 9, 1, 0x61, 0x62, 0xa0, 1],
].map((body) => word(body))

const NUMBERS = ['0', '-1', '127', '128', '-128', '-129', '32767', '-32769', '2147483647']
const TEXTS = [...NUMBERS, '2147483648', '-2147483648', '-2147483649', '01', '+1', '-0', '-', '""']
const TIMES = ['0', '-1', 'x', '""', '1.5', '9223372036854775807', '9223372036854775808', '100000']
const FAR = '4102444800000'

if (hasRedis) {
  transcripts(
    {
      'DUMP gives what redis-server gives': [
        ...TEXTS.flatMap((value) => [`SET a ${value}`, 'DUMP a']),
        ...[1, 11, 12, 19, 20, 63, 64, 65, 1_000, 16_383, 16_384, 65_536, 65_537, 200_000].flatMap(
          (length) => [`SET a ${'x'.repeat(length)}`, 'DUMP a'],
        ),
        'SET a 1 EX 100',
        'DUMP a',
        'DUMP missing',
        'DUMP',
        'DUMP a b',
      ],
      'RESTORE sets a key': [
        `RESTORE a 0 ${HELLO}`,
        'GET a',
        'TTL a',
        `RESTORE a 0 ${HELLO}`,
        `RESTORE a 100000 ${HELLO} REPLACE`,
        '~1 TTL a',
        `RESTORE a ${FAR} ${HELLO} ABSTTL replace`,
        'PEXPIRETIME a',
        `RESTORE a 1 ${HELLO} ABSTTL REPLACE`,
        'GET a',
        `RESTORE a 1 ${HELLO} ABSTTL`,
        'GET a',
        `RESTORE a 9223372036854775807 ${HELLO}`,
        'GET a',
        `RESTORE a 0 ${HELLO} IDLETIME 5`,
        `RESTORE b 0 ${HELLO} FREQ 5 REPLACE`,
        'MGET a b',
      ],
      'what counts as a look-up': [
        'CONFIG RESETSTAT',
        `RESTORE a 0 ${HELLO}`,
        `RESTORE a 0 ${HELLO}`,
        `RESTORE b 0 ${HELLO} REPLACE`,
        '#keyspace_hits,keyspace_misses INFO stats',
        'DUMP a',
        'DUMP missing',
        '#keyspace_hits,keyspace_misses INFO stats',
        'COPY a c',
        'COPY a c',
        'COPY missing c',
        'COPY missing c REPLACE',
        '#keyspace_hits,keyspace_misses INFO stats',
        'RENAME a d',
        'RENAME missing d',
        'RENAMENX b d',
        'MOVE missing 1',
        'MOVE d 1',
        '#keyspace_hits,keyspace_misses INFO stats',
      ],
      'RESTORE takes every way to write a string': SOUND.flatMap((payload) => [
        `RESTORE a 0 ${payload} REPLACE`,
        'GET a',
      ]),
      'RESTORE takes nothing else': [
        ...[...WRONG, ...ODD].flatMap((payload) => [`RESTORE a 0 ${payload}`, 'EXISTS a']),
        'SET a 1',
        ...[...WRONG, ...ODD].flatMap((payload) => [`RESTORE a 0 ${payload} REPLACE`, 'GET a']),
      ],
      'what RESTORE is told wrong, and what of it first': [
        'SET taken 1',
        'RESTORE',
        'RESTORE a 0',
        ...TIMES.flatMap((time) => [
          `RESTORE a ${time} x`,
          `RESTORE taken ${time} x`,
          `RESTORE a ${time} x ABSTTL`,
          `RESTORE a ${time} x REPLACE foo`,
        ]),
        ...['IDLETIME', 'FREQ', 'idletime 1 freq', 'foo', '""', 'REPLACE x'].map(
          (options) => `RESTORE a 0 ${HELLO} ${options}`,
        ),
        ...['-1', '0', '255', '256', 'x', '9223372036854775808'].flatMap((number) => [
          `RESTORE taken 0 ${HELLO} IDLETIME ${number}`,
          `RESTORE taken 0 ${HELLO} FREQ ${number}`,
          `RESTORE taken 0 ${HELLO} FREQ 1 IDLETIME ${number}`,
          `RESTORE taken 0 ${HELLO} IDLETIME 1 FREQ ${number}`,
          `RESTORE taken 0 ${HELLO} IDLETIME 1 IDLETIME ${number}`,
        ]),
      ],
    },
    { redis: ['--rdbcompression', 'no'] },
  )
}

/** Values that compress well, a little and not at all, of many lengths. */
function values(random: SeededRandom): Buffer[] {
  const lengths = [21, 100, 300, 4_000, 70_000, 300_000, 3_000_000]
  return lengths.flatMap((length) => {
    const noise = Buffer.from(Array.from({ length }, () => random.below(256)))
    const words = Buffer.from(Array.from({ length }, () => 0x61 + random.below(2)))
    const long = Buffer.alloc(length, noise.subarray(0, Math.min(length, 9_000)))
    return [Buffer.alloc(length, 'x'), words, noise, long]
  })
}

function bodyOf(reply: string): Buffer {
  return Buffer.from(reply.slice(reply.indexOf('\n') + 1, -2), 'latin1')
}

async function carry(from: RunningServer, to: RunningServer, value: Buffer): Promise<Buffer> {
  const [source, target] = [await RawClient.open(from.port), await RawClient.open(to.port)]
  await source.command('SET', 'carried', value)
  const payload = bodyOf(await source.command('DUMP', 'carried'))
  const answer = await target.command('RESTORE', 'carried', '0', payload, 'REPLACE')
  if (answer !== '+OK\r\n') throw new Error(answer)
  const restored = (await target.get('carried'))!
  payload[payload.length >> 1]! ^= 1
  const refusal = await target.command('RESTORE', 'carried', '0', payload, 'REPLACE')
  if (!refusal.startsWith('-ERR DUMP payload')) throw new Error(refusal)
  for (const client of [source, target]) client.close()
  return restored
}

real('values go from redis-server, compressed or not, to ringtier and back', async (t) => {
  const ringtier = await startRingtier()
  const redis = await startRedis()
  try {
    for (const value of values(new SeededRandom(1))) {
      t.true((await carry(redis, ringtier, value)).equals(value), `from Redis ${value.length}`)
      t.true((await carry(ringtier, redis, value)).equals(value), `to Redis ${value.length}`)
      t.true((await carry(ringtier, ringtier, value)).equals(value), `here ${value.length}`)
    }
  } finally {
    await Promise.all([ringtier.stop(), redis.stop()])
  }
})
