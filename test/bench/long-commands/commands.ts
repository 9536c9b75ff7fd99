/*
 * Long commands as they go over the wire, in an order in which each finds what it is about: of each
 * number of keys first those that need the keys, then those that remove them.
 */

export interface LongCommand {
  readonly name: string
  readonly bytes: Buffer
}

const PIPELINE = 100_000
/** More than the longest value that is not in pages. */
const PAGES_BYTES = 70_000
const HUGE_OFFSET = 536_870_000

export function longCommands(keyCounts: readonly number[]): LongCommand[] {
  return [...keyCounts.flatMap(overKeys), ...pipelines(), ...others()]
}

function overKeys(count: number): LongCommand[] {
  const keys = Array.from({ length: count }, (_, i) => `key:${i}`)
  const others = keys.map((key) => `n${key}`)
  const pairs = (names: readonly string[], value: string): string[] =>
    names.flatMap((name, i) => [name, value + String(i)])
  const value = 'v'.repeat(100)
  const one = (name: string, words: readonly string[]): LongCommand => ({
    name: `${name}, ${count.toLocaleString('en')} keys`,
    bytes: encode(words),
  })
  return [
    one('MSET', ['MSET', ...pairs(keys, 'value')]),
    one('MGET', ['MGET', ...keys]),
    one('EXISTS', ['EXISTS', ...keys]),
    one('TOUCH', ['TOUCH', ...keys]),
    one('KEYS *', ['KEYS', '*']),
    one('SCAN 0 COUNT of all', ['SCAN', '0', 'COUNT', String(count)]),
    one('MSET of 100 B', ['MSET', ...pairs(keys, value)]),
    one('MGET of 100 B', ['MGET', ...keys]),
    one('MSET, one of 70 KB', ['MSET', ...pairs(keys, 'value'), 'long', 'x'.repeat(PAGES_BYTES)]),
    one('DEL', ['DEL', ...keys]),
    one('MGET of none', ['MGET', ...keys]),
    one('MSETNX', ['MSETNX', ...pairs(others, 'value')]),
    one('UNLINK', ['UNLINK', ...others]),
    one('MSET again', ['MSET', ...pairs(keys, 'value')]),
    one('FLUSHALL', ['FLUSHALL']),
  ]
}

function pipelines(): LongCommand[] {
  const all = (words: (i: number) => string[]): Buffer =>
    Buffer.concat(Array.from({ length: PIPELINE }, (_, i) => encode(words(i))))
  return [
    { name: 'a pipeline of 100,000 SET', bytes: all((i) => ['SET', `key:${i}`, 'value']) },
    { name: 'a pipeline of 100,000 GET', bytes: all((i) => ['GET', `key:${i}`]) },
  ]
}

function others(): LongCommand[] {
  const one = (name: string, words: readonly string[]): LongCommand => ({
    name,
    bytes: encode(words),
  })
  return [
    one('INFO everything', ['INFO', 'everything']),
    one('COMMAND DOCS', ['COMMAND', 'DOCS']),
    one('CONFIG GET *', ['CONFIG', 'GET', '*']),
    one('SETRANGE to 512 MB', ['SETRANGE', 'huge', String(HUGE_OFFSET), 'x']),
    one('APPEND to it', ['APPEND', 'huge', 'y']),
    one('GETRANGE of 1 MB of it', ['GETRANGE', 'huge', '5', '1000000']),
    one('COPY of it', ['COPY', 'huge', 'huge:2']),
    one('DEL of both', ['DEL', 'huge', 'huge:2']),
    one('FLUSHALL of 100,000 keys', ['FLUSHALL']),
  ]
}

/** A request as the protocol has it; joined from text, for there are hundreds of thousands of words. */
export function encode(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${word.length}\r\n${word}\r\n`)
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`, 'latin1')
}
