import test from 'ava'
import { hitRatio, keyCount, type Policy } from './policy.ts'
import { Fifo, Lru } from './recency.ts'
import { LETTERS, mixedTrace, outcomes } from './traces.ts'

test('FIFO drops what came in first, hit or not', (t) => {
  t.is(outcomes(new Fifo(2, LETTERS), 'abacab'), '--h---')
})

test('LRU drops what was used least recently', (t) => {
  t.is(outcomes(new Lru(2, LETTERS), 'abacab'), '--h-h-')
})

test('a cache of one entry holds the last key', (t) => {
  for (const policy of [new Fifo(1, LETTERS), new Lru(1, LETTERS)]) {
    t.is(outcomes(policy, 'aabba'), '-h-h-')
    t.is(policy.size, 1)
  }
})

/** FIFO or LRU with nothing but an array. */
class Plain implements Policy {
  readonly #keys: number[] = []
  readonly #capacity: number
  readonly #moves: boolean

  constructor(capacity: number, moves: boolean) {
    this.#capacity = capacity
    this.#moves = moves
  }

  get size(): number {
    return this.#keys.length
  }

  request(key: number): boolean {
    const at = this.#keys.indexOf(key)
    if (at >= 0 && this.#moves) this.#keys.push(...this.#keys.splice(at, 1))
    if (at >= 0) return true
    if (this.#keys.length === this.#capacity) this.#keys.shift()
    this.#keys.push(key)
    return false
  }
}

test('both agree with an array on every access', (t) => {
  const trace = mixedTrace(20_000)
  const keys = keyCount(trace)
  const pairs: [Policy, Policy][] = [
    [new Fifo(90, keys), new Plain(90, false)],
    [new Lru(90, keys), new Plain(90, true)],
  ]
  for (const [policy, plain] of pairs) {
    for (const key of trace) {
      if (policy.request(key) !== plain.request(key)) return t.fail(`they differ at ${key}`)
    }
    t.is(policy.size, plain.size)
  }
  t.not(hitRatio(new Fifo(90, keys), trace), hitRatio(new Lru(90, keys), trace))
})
