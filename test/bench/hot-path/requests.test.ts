import test from 'ava'
import { batchesOf, COMMANDS, fillBatches, KEYS, type Case, type Protocol } from './requests.ts'

const PROTOCOLS: readonly Protocol[] = ['resp', 'memcached']

const SOME: Case = { command: 'get', bytes: 3, pipeline: 2, connections: 1, keys: KEYS }

for (const protocol of PROTOCOLS) {
  for (const command of COMMANDS) {
    test(`${protocol}, ${command}: a reply has the length and the head that it is said to have`, (t) => {
      for (const bytes of [3, 100]) {
        const batches = batchesOf(protocol, { ...SOME, command, bytes, pipeline: 7 })
        t.true(batches.length > 1)
        for (const { requests, replyBytes, replyHead, reply } of batches) {
          t.is(requests, 7)
          t.is(replyBytes, reply().length)
          t.is(replyHead, reply().readUInt16BE())
        }
      }
    })
  }
}

test('a GET asks for a key, and its value is made of the key', (t) => {
  const [resp] = batchesOf('resp', { ...SOME, bytes: 7, pipeline: 1 })
  const key = /key:\d{12}/.exec(resp!.bytes.toString())![0]
  const tag = Number(key.slice(4)).toString(36).padStart(3, '0')
  const value = tag + tag + tag[0]!
  t.is(resp!.bytes.toString(), `*2\r\n$3\r\nGET\r\n$16\r\n${key}\r\n`)
  t.is(resp!.reply().toString(), `$7\r\n${value}\r\n`)
  const [memcached] = batchesOf('memcached', { ...SOME, bytes: 7, pipeline: 1 })
  t.is(memcached!.bytes.toString(), `get ${key}\r\n`)
  t.is(memcached!.reply().toString(), `VALUE ${key} 0 7\r\n${value}\r\nEND\r\n`)
})

test('a SET writes what a GET expects', (t) => {
  const [batch] = batchesOf('resp', { ...SOME, command: 'set', pipeline: 1 })
  const key = /key:\d{12}/.exec(batch!.bytes.toString())![0]
  const tag = Number(key.slice(4)).toString(36).padStart(3, '0')
  t.is(batch!.bytes.toString(), `*3\r\n$3\r\nSET\r\n$16\r\n${key}\r\n$3\r\n${tag}\r\n`)
  t.is(batch!.reply().toString(), '+OK\r\n')
})

test('mixed has nine GETs to a SET', (t) => {
  const batches = batchesOf('resp', { ...SOME, command: 'mixed', pipeline: 100 })
  const text = Buffer.concat(batches.map(({ bytes }) => bytes)).toString()
  const sets = text.split('SET').length - 1
  const gets = text.split('GET').length - 1
  t.is(sets + gets, 2 * KEYS)
  t.true(sets > 0.09 * (sets + gets) && sets < 0.11 * (sets + gets))
})

test('the same case has the same batches', (t) => {
  const bytesOf = (one: Case): Buffer =>
    Buffer.concat(batchesOf('resp', one).map(({ bytes }) => bytes))
  t.true(bytesOf(SOME).equals(bytesOf({ ...SOME, connections: 2 })))
})

test('of many keys, those above 36 ** 3 have values of other digits, as long as asked for', (t) => {
  const keys = 60_000
  for (const bytes of [3, 7]) {
    const [batch] = batchesOf('resp', { ...SOME, command: 'set', bytes, keys, pipeline: 50 })
    const found = [...batch!.bytes.toString().matchAll(/key:(\d{12})\r\n\$\d+\r\n(\w+)\r\n/g)]
    t.is(found.length, 50)
    t.true(found.some(([, key]) => Number(key) > 36 ** 3))
    for (const [, key, value] of found) {
      const tag = Number(key).toString(36).padStart(3, '0')
      t.is(value, (tag + tag + tag).slice(0, bytes))
    }
  }
})

test('big batches are few, but never fewer than eight', (t) => {
  const requestsOf = (bytes: number): number =>
    batchesOf('resp', { ...SOME, command: 'set', bytes, pipeline: 100 }).length
  t.is(requestsOf(3), (2 * KEYS) / 100)
  t.is(requestsOf(100_000), 8)
})

test('filling sets every key once', (t) => {
  for (const protocol of PROTOCOLS) {
    const text = Buffer.concat(
      [...fillBatches(protocol, { keys: KEYS + 1, bytes: 3 })].map(({ bytes }) => bytes),
    ).toString()
    const keys = text.match(/key:\d{12}/g)!
    t.is(keys.length, KEYS + 1)
    t.is(new Set(keys).size, KEYS + 1)
  }
})
