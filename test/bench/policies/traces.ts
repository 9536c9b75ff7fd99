import type { Trace } from '../../replay/trace.ts'
import { SeededRandom } from '../../sim/random.ts'
import type { Policy } from './policy.ts'

/** Requests a key a letter and tells what became of each: 'h' a hit, '-' a miss. */
export function outcomes(policy: Policy, letters: string): string {
  const request = (letter: string): boolean =>
    policy.request(letter.charCodeAt(0) - 'a'.charCodeAt(0))
  return Array.from(letters, (letter) => (request(letter) ? 'h' : '-')).join('')
}

/** Keys of the alphabet. */
export const LETTERS = 26

/** 500 popular keys, scanned over now and then by 60 new ones: policies differ on it. */
export function mixedTrace(accesses: number, seed = 7): Trace {
  const random = new SeededRandom(seed)
  const trace: number[] = []
  let fresh = 500
  while (trace.length < accesses) {
    trace.push(Math.floor(500 * (random.uint32() / 2 ** 32) ** 3))
    if (random.below(200) === 0) for (let i = 0; i < 60; i++) trace.push(fresh++)
  }
  return trace.slice(0, accesses)
}
