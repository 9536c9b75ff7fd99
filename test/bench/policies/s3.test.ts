import test from 'ava'
import { hitRatio, keyCount, type Policy } from './policy.ts'
import { Lru } from './recency.ts'
import { S3, s3a, s3Fifo, type S3Options } from './s3.ts'
import { LETTERS, mixedTrace, outcomes } from './traces.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz'

test('S3-FIFO keeps a key that was hit in small, and one the ghost knew, through a scan', (t) => {
  t.regex(outcomes(new S3(10, LETTERS, s3Fifo), `aa${ALPHABET.slice(1)}a`), /h$/)
  // k and l push a and b out of small; a comes back from the ghost into main.
  const fromGhost = `abcdefghijkla${ALPHABET.slice(12)}a`
  t.regex(outcomes(new S3(10, LETTERS, s3Fifo), fromGhost), /h$/)
  t.regex(outcomes(new Lru(10, LETTERS), fromGhost), /-$/)
  const forgetful = { ...s3Fifo, ghost: { factor: 0.1 } }
  t.regex(outcomes(new S3(10, LETTERS, forgetful), fromGhost), /-$/)
})

/** S3-FIFO with arrays, word for word from the paper's algorithm 1. */
class PlainS3 implements Policy {
  readonly #small: number[] = []
  readonly #main: number[] = []
  readonly #ghost: number[] = []
  readonly #frequency = new Map<number, number>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#small.length + this.#main.length
  }

  request(key: number): boolean {
    if (this.#small.includes(key) || this.#main.includes(key)) {
      this.#frequency.set(key, Math.min(3, this.#frequency.get(key)! + 1))
      return true
    }
    const remembered = this.#ghost.includes(key)
    if (remembered) this.#ghost.splice(this.#ghost.indexOf(key), 1)
    while (this.size >= this.#capacity) this.#evict()
    this.#frequency.set(key, 0)
    if (remembered) this.#main.push(key)
    else this.#small.push(key)
    return false
  }

  #evict(): void {
    if (this.#small.length >= this.#capacity * 0.1 || this.#main.length === 0) {
      const key = this.#small.shift()!
      if (this.#frequency.get(key)! > 0) {
        this.#frequency.set(key, 0)
        this.#main.push(key)
        return
      }
      this.#ghost.push(key)
      if (this.#ghost.length > this.#capacity * 0.9) this.#ghost.shift()
      return
    }
    for (;;) {
      const key = this.#main.shift()!
      const frequency = this.#frequency.get(key)!
      if (frequency === 0) return
      this.#frequency.set(key, frequency - 1)
      this.#main.push(key)
    }
  }
}

test('S3-FIFO agrees with arrays on every access', (t) => {
  const trace = mixedTrace(20_000)
  const policy = new S3(90, keyCount(trace), s3Fifo)
  const plain = new PlainS3(90)
  trace.forEach((key, i) => {
    if (policy.request(key) !== plain.request(key)) t.fail(`they differ at access ${i}`)
  })
  t.is(policy.size, plain.size)
  t.true(policy.promoted > 0 && policy.reinserted > 0)
})

test('with a window, hits right after the insertion do not count', (t) => {
  // Small has 4 entries: b and c lie between the hit and a's insertion, and with d it counts.
  const scan = 'efghijklmnopqrstuvwxyz'
  const options = { ...s3Fifo, r: 0.2, smallWindow: 0.5 }
  const last = (letters: string): string => outcomes(new S3(20, LETTERS, options), letters).at(-1)!
  t.is(last(`abacd${scan}a`), '-')
  t.is(last(`abcad${scan}a`), 'h')
})

test('the window of main keeps hits right after the insertion from counting there', (t) => {
  // A main of 9 is filled with a to i; a hit of a counts once more than 8 were put in behind it.
  const run = (mainWindow: number): string => {
    const policy = new S3(10, LETTERS, { ...s3Fifo, fill: 'leave', mainWindow })
    return outcomes(policy, 'abcdefghijaajkljmlnmonpa').at(-1)!
  }
  t.is(run(-1), 'h')
  t.is(run(2), '-')
})

test('while main has room, `leave` drops nothing of small and `direct` passes it by', (t) => {
  const held = (options: S3Options): string => {
    const policy = new S3(10, LETTERS, options)
    outcomes(policy, 'abcdefghijk')
    return ['a', 'j'].map((letter) => outcomes(policy, letter)).join('')
  }
  // k pushes out what small holds then: j, which no longer finds room in main, or a.
  t.is(held({ ...s3Fifo, fill: 'leave' }), 'h-')
  t.is(held({ ...s3Fifo, fill: 'direct' }), '-h')
  t.is(new S3(10, LETTERS, s3a).size, 0)
})

test('under a loop longer than the cache main stays as it is with the age rule', (t) => {
  const loop = Array.from({ length: 6_000 }, (_, i) => i % 150)
  const ratio = (options: S3Options): number => hitRatio(new S3(100, 150, options), loop)
  t.is(hitRatio(new Lru(100, 150), loop), 0)
  t.true(ratio(s3a) > 55, `${ratio(s3a)}`)
  t.true(ratio({ ...s3a, lookback: null }) < 45, `${ratio({ ...s3a, lookback: null })}`)
})

test('a key that costs more than half of small begins in main', (t) => {
  const remains = (cost: number): boolean => {
    const policy = new S3(100, 40, s3Fifo, [cost, ...Array.from({ length: 39 }, () => 5)])
    for (let key = 0; key < 40; key++) policy.request(key)
    return policy.request(0)
  }
  t.false(remains(5))
  t.true(remains(6))
})

for (const [name, options] of Object.entries({ s3Fifo, s3a })) {
  test(`${name}: costs of 1 change nothing`, (t) => {
    const trace = mixedTrace(10_000)
    const keys = keyCount(trace)
    const plain = new S3(100, keys, options)
    const costing = new S3(100, keys, options, new Uint8Array(keys).fill(1))
    t.is(hitRatio(costing, trace), hitRatio(plain, trace))
    t.is(costing.used, plain.size)
  })

  test(`${name}: entries never cost more together than the capacity, and fill it`, (t) => {
    const trace = mixedTrace(20_000)
    const keys = keyCount(trace)
    const costs = Array.from({ length: keys }, (_, key) => 1 + ((key * 7919) % 200))
    const policy = new S3(5_000, keys, options, costs)
    for (const key of trace) {
      policy.request(key)
      if (policy.used > 5_000) return t.fail(`${policy.used}`)
    }
    t.true(policy.used > 4_600, `${policy.used}`)
  })

  test(`${name}: a key as large as main is stored, a larger one is not and evicts nothing`, (t) => {
    const policy = new S3(100, 3, options, [90, 91, 5])
    t.deepEqual(
      [0, 0, 2, 1, 1, 0, 2].map((key) => policy.request(key)),
      [false, true, false, false, false, true, true],
    )
  })
}
