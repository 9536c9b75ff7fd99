import { duplexPair } from 'node:stream'
import test from 'ava'
import { LookAhead } from '../../../server/clients/look-ahead.ts'
import { FETCHED_MAX, type Store } from '../../../server/store/store.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startInProcess } from '../in-process.ts'

/** What a look fetches from these bytes, and where the next one is due. */
function look(text: string, from = 0): { keys: string[]; next: number } {
  const keys: string[] = []
  const bytes = new Uint8Array(Buffer.from(text, 'latin1'))
  const fetch: Store['fetch'] = (_db, seen, positions, lengths, count) => {
    for (let i = 0; i < count; i++) {
      const at = positions[i]!
      keys.push(Buffer.from(seen.subarray(at, at + lengths[i]!)).toString('latin1'))
    }
  }
  const next = new LookAhead({ fetch } as Store).look(0, bytes, from, bytes.length)
  return { keys, next }
}

const request = (...words: string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`

test('the first key of each command is fetched', (t) => {
  const text = request('GET', 'a') + request('SET', 'bc', 'value') + request('MGET', 'd', 'e')
  t.deepEqual(look(text), { keys: ['a', 'bc', 'd'], next: text.length })
})

test('a command without arguments is passed over', (t) => {
  t.deepEqual(look(request('GET', 'a') + request('PING') + request('GET', 'b')).keys, ['a', 'b'])
})

test('one key alone is not worth it', (t) => {
  t.deepEqual(look(request('GET', 'a')).keys, [])
})

test('what is not whole, or of another form, ends the look', (t) => {
  const good = request('GET', 'a') + request('GET', 'b')
  const whole = request('GET', 'ccc')
  for (let cut = 0; cut < whole.length; cut++) {
    t.deepEqual(look(good + whole.slice(0, cut)).keys, ['a', 'b'], `cut at ${cut}`)
  }
  for (const other of [
    'GET c\r\n',
    '*-1\r\n',
    '*2\r\n:1\r\n',
    '*x\r\n',
    '*2\r\n$99999999999\r\n',
    '\r\n',
  ]) {
    t.deepEqual(look(good + other + whole).keys, ['a', 'b'], other)
  }
})

test('so many commands are looked at in one go, and the next look is due behind them', (t) => {
  const names = Array.from({ length: FETCHED_MAX + 1 }, (_, i) => `key:${i}`)
  const text = names.map((name) => request('GET', name)).join('')
  const first = look(text)
  t.deepEqual(first.keys, names.slice(0, FETCHED_MAX))
  t.is(text.slice(first.next), request('GET', names.at(-1)!))
})

/** Commands whose keys, databases and forms a wrong guess would confuse. */
function randomCommand(random: SeededRandom): Buffer {
  const pick = (n: number): number => random.uint32() % n
  const key = (): string => `k${pick(6)}`.repeat(1 + pick(3))
  const words = (): string[] => {
    switch (pick(12)) {
      case 0:
        return ['SELECT', String(pick(2))]
      case 1:
        return ['MSET', key(), 'm', key(), 'n']
      case 2:
        return ['MGET', key(), key(), key()]
      case 3:
        return ['DEL', key(), key()]
      case 4:
        return ['ECHO', key()]
      case 5:
        return ['PING']
      case 6:
        return ['APPEND', key(), key()]
      case 7:
        return ['SET', key(), 'x'.repeat(70_000 + pick(3))]
      case 8:
        return ['STRLEN', key()]
      default:
        return pick(2) === 0 ? ['GET', key()] : ['SET', key(), key()]
    }
  }
  if (pick(20) === 0) return Buffer.from(`GET ${key()}\r\n`)
  return Buffer.from(request(...words()))
}

/** All replies to these pieces, written one after the other. */
async function replies(pieces: readonly Buffer[]): Promise<string> {
  const { server } = await startInProcess(['--maxmemory', '64mb'])
  const [near, far] = duplexPair()
  server.handle(far)
  const received: Buffer[] = []
  near.on('data', (bytes: Buffer) => received.push(bytes))
  for (const piece of pieces) {
    await new Promise<void>((resolve) => near.write(piece, () => resolve()))
  }
  const ended = new Promise((resolve) => near.once('end', resolve))
  near.end()
  await ended
  return Buffer.concat(received).toString('latin1')
}

test('a pipeline is answered as its commands are one by one, wherever it is cut', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed)
    const commands = Array.from({ length: 400 }, () => randomCommand(random))
    const bytes = Buffer.concat(commands)
    const pieces: Buffer[] = []
    for (let from = 0; from < bytes.length;) {
      const length = 1 + (random.uint32() % (seed % 2 === 0 ? 100_000 : 3_000))
      pieces.push(bytes.subarray(from, from + length))
      from += length
    }
    const expected = await replies(commands)
    t.true((await replies(pieces)) === expected, `seed ${seed}`)
  }
})
