/*
 * What the generator sends and what must come back, in bytes.
 *
 * Everything that is asked for is there, and every value is made of its key's number: so the reply
 * to a batch is known before it is sent, its length to the byte, and its bytes where somebody wants
 * to look. Batches are made once for each case and sent again and again; making them is not part of
 * any figure.
 *
 * memcached gets the text protocol, one key a `get`: the same work, one request one reply. (Its
 * `get` of many keys at once is cheaper, as MGET is.)
 */
import { SeededRandom } from '../../sim/random.ts'

export type Protocol = 'resp' | 'memcached'

export const COMMANDS = ['get', 'set', 'mixed'] as const
/** `mixed`: nine GETs to a SET. */
export type Command = (typeof COMMANDS)[number]

/** What is measured in one go. */
export interface Case {
  readonly command: Command
  /** Of a value. */
  readonly bytes: number
  /** Requests of a batch. */
  readonly pipeline: number
  readonly connections: number
  /** That there are, and that are asked for at random. */
  readonly keys: number
}

/** Enough that a key is not hot in a CPU cache; 16 KB of each make 160 MB. */
export const KEYS = 10_000
/** So many that neither an index of them nor their values lie in a CPU cache. */
export const MANY_KEYS = 1_000_000
const KEY_BYTES = 'key:000000000000'.length
/**
 * A value is its key's number in base 36, again and again, in three digits at least: 36 ** 3 > KEYS.
 * Numbers above that have four, which a value of three bytes cuts.
 */
const TAG_BYTES_MIN = 3
const TAG_BASE = 36

/** Of ten requests of `mixed`. */
const MIXED_GETS = 9

/** A case's batches have two requests a key, or as many as the bytes of the next lines hold. */
const REQUESTS_PER_KEY = 2
/** Making more takes longer than sending them. */
const REQUESTS_MAX = 400_000
/** More would push everything else out of the CPU caches while the generator sends it. */
const BYTES_MAX = 16 * 2 ** 20
/** Where the keys themselves do so: 400,000 SETs of 100 bytes. */
const MANY_KEYS_BYTES_MAX = 64 * 2 ** 20
/** Even where one is longer than that. */
const BATCHES_MIN = 8

const FILL_REQUESTS = 100
const SEED = 0x5eed

/** Requests that are sent in one write, and what must come back. */
export interface Batch {
  readonly bytes: Buffer
  readonly requests: number
  readonly replyBytes: number
  /** The first two bytes that must come back, high and low: an error or a miss has others. */
  readonly replyHead: number
  /** Made anew at each call. */
  reply(): Buffer
}

/** What goes out and comes back for a key. */
interface Dialect {
  get(key: string): string
  set(key: string, value: string): string
  found(key: string, value: string): string
  readonly stored: string
}

const DIALECTS: Readonly<Record<Protocol, Dialect>> = {
  resp: {
    get: (key) => `*2\r\n$3\r\nGET\r\n$${KEY_BYTES}\r\n${key}\r\n`,
    set: (key, value) =>
      `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`,
    found: (_key, value) => `$${value.length}\r\n${value}\r\n`,
    stored: '+OK\r\n',
  },
  memcached: {
    get: (key) => `get ${key}\r\n`,
    set: (key, value) => `set ${key} 0 0 ${value.length}\r\n${value}\r\n`,
    found: (key, value) => `VALUE ${key} 0 ${value.length}\r\n${value}\r\nEND\r\n`,
    stored: 'STORED\r\n',
  },
}

/** Batches with keys at random, the same ones for the same case; SETs write what is there already. */
export function batchesOf(protocol: Protocol, one: Case): Batch[] {
  const random = new SeededRandom(SEED)
  const requests = Math.min(REQUESTS_PER_KEY * one.keys, REQUESTS_MAX)
  const bytesMax = one.keys > KEYS ? MANY_KEYS_BYTES_MAX : BYTES_MAX
  const batches: Batch[] = []
  let bytes = 0
  while (batches.length * one.pipeline < requests) {
    if (bytes > bytesMax && batches.length >= BATCHES_MIN) break
    const keys = Array.from({ length: one.pipeline }, () => random.below(one.keys))
    const isSet = keys.map(
      () => one.command === 'set' || (one.command === 'mixed' && random.below(10) >= MIXED_GETS),
    )
    const batch = batchOf(protocol, one.bytes, keys, isSet)
    bytes += batch.bytes.length
    batches.push(batch)
  }
  return batches
}

/** Batches that set every key once, made as they are asked for: all of them may be gigabytes. */
export function* fillBatches(
  protocol: Protocol,
  { keys, bytes }: Pick<Case, 'keys' | 'bytes'>,
): Generator<Batch, undefined> {
  for (let first = 0; first < keys; first += FILL_REQUESTS) {
    const length = Math.min(FILL_REQUESTS, keys - first)
    const some = Array.from({ length }, (_, i) => first + i)
    const isSet = some.map(() => true)
    yield batchOf(protocol, bytes, some, isSet)
  }
  return undefined
}

function batchOf(
  protocol: Protocol,
  bytes: number,
  keys: readonly number[],
  isSet: readonly boolean[],
): Batch {
  const { get, set, found, stored } = DIALECTS[protocol]
  const requests = keys.map((key, i) => {
    const name = nameOf(key)
    return isSet[i]! ? set(name, valueOf(key, bytes)) : get(name)
  })
  const replyTo = (key: number, i: number): string =>
    isSet[i]! ? stored : found(nameOf(key), valueOf(key, bytes))
  // Names are all of one length, and so are values.
  const foundBytes = found(nameOf(0), valueOf(0, bytes)).length
  const sets = isSet.filter(Boolean).length
  return {
    bytes: Buffer.from(requests.join(''), 'latin1'),
    requests: keys.length,
    replyBytes: sets * stored.length + (keys.length - sets) * foundBytes,
    replyHead: Buffer.from(replyTo(keys[0]!, 0), 'latin1').readUInt16BE(),
    reply: () => Buffer.from(keys.map(replyTo).join(''), 'latin1'),
  }
}

function nameOf(key: number): string {
  return `key:${String(key).padStart(KEY_BYTES - 'key:'.length, '0')}`
}

function valueOf(key: number, bytes: number): string {
  const tag = key.toString(TAG_BASE).padStart(TAG_BYTES_MIN, '0')
  return tag.repeat(Math.ceil(bytes / tag.length)).slice(0, bytes)
}
