import test from 'ava'
import { Arc } from './arc.ts'
import { hitRatio, keyCount } from './policy.ts'
import { Lru } from './recency.ts'
import { LETTERS, mixedTrace, outcomes } from './traces.ts'

test('a key used twice outlives new ones that were used once', (t) => {
  t.is(outcomes(new Arc(2, LETTERS), 'abacda'), '--h--h')
  t.is(outcomes(new Lru(2, LETTERS), 'abacda'), '--h---')
})

test('a hit in the ghost of the recent ones makes room for them', (t) => {
  // c comes back from the ghost: the target becomes 1, so d stays and a goes; then a comes back.
  t.is(outcomes(new Arc(2, LETTERS), 'abacdacacd'), '--h--h--h-')
})

/** ARC with arrays, the newest last, word for word from figure 4 of the paper. */
class PlainArc {
  readonly #c: number
  #p = 0
  readonly #t1: number[] = []
  readonly #t2: number[] = []
  readonly #b1: number[] = []
  readonly #b2: number[] = []

  constructor(capacity: number) {
    this.#c = capacity
  }

  request(key: number): boolean {
    const [c, t1, t2, b1, b2] = [this.#c, this.#t1, this.#t2, this.#b1, this.#b2]
    if (taken(t1, key) || taken(t2, key)) {
      t2.push(key)
      return true
    }
    if (b1.includes(key)) {
      this.#p = Math.min(c, this.#p + Math.max(b2.length / b1.length, 1))
      this.#replace(key)
      taken(b1, key)
      t2.push(key)
    } else if (b2.includes(key)) {
      this.#p = Math.max(0, this.#p - Math.max(b1.length / b2.length, 1))
      this.#replace(key)
      taken(b2, key)
      t2.push(key)
    } else {
      if (t1.length + b1.length === c) {
        if (t1.length < c) {
          b1.shift()
          this.#replace(key)
        } else {
          t1.shift()
        }
      } else if (t1.length + t2.length + b1.length + b2.length >= c) {
        if (t1.length + t2.length + b1.length + b2.length === 2 * c) b2.shift()
        this.#replace(key)
      }
      t1.push(key)
    }
    return false
  }

  #replace(key: number): void {
    const [t1, t2] = [this.#t1, this.#t2]
    // The paper replaces only when the cache is full, which it always is once a ghost was filled.
    if (t1.length + t2.length < this.#c) return
    const over = t1.length > this.#p || (this.#b2.includes(key) && t1.length === this.#p)
    if (t1.length > 0 && (over || t2.length === 0)) this.#b1.push(t1.shift()!)
    else this.#b2.push(t2.shift()!)
  }
}

function taken(keys: number[], key: number): boolean {
  const at = keys.indexOf(key)
  if (at >= 0) keys.splice(at, 1)
  return at >= 0
}

test('it agrees with arrays on every access', (t) => {
  const trace = mixedTrace(20_000)
  const arc = new Arc(90, keyCount(trace))
  const plain = new PlainArc(90)
  trace.forEach((key, i) => {
    if (arc.request(key) !== plain.request(key)) t.fail(`they differ at access ${i}`)
  })
  t.is(arc.size, 90)
})

test('it never holds more than it may, and resists scans', (t) => {
  const trace = mixedTrace(30_000)
  const keys = keyCount(trace)
  const arc = new Arc(90, keys)
  for (const key of trace) {
    arc.request(key)
    if (arc.size > 90) return t.fail(`it holds ${arc.size}`)
  }
  t.is(arc.size, 90)
  const lead = hitRatio(new Arc(90, keys), trace) - hitRatio(new Lru(90, keys), trace)
  t.true(lead > 1, `ARC leads by ${lead}`)
})
