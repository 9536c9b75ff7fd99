/* Stores whose sizes and hashes bring out different corners, for model.test.ts and the fuzzer. */
import type { Hash } from '../../../server/store/hash.ts'
import { multiMemory } from '../../../server/store/memory.ts'
import { POLICIES, SCOPES } from '../../../server/store/policy.ts'
import type { ModelOptions } from './model.ts'
import { dice } from './model.ts'

const KB = 1024
const MB = 1024 * 1024

export type Shape = Omit<ModelOptions, 'seed'> & {
  readonly filled: boolean
  readonly steps: number
}

/** A bad hash of 8 bits of the key. */
function byteOf(bytes: Uint8Array, pos: number, length: number): number {
  let hash = 7
  for (let i = 0; i < length; i++) hash = (Math.imul(hash, 31) + bytes[pos + i]!) | 0
  return hash & 255
}

const inSeveralArenas: Record<string, Shape> = {
  'in several arenas': {
    store: { maxMemory: 12 * MB, seed: 1, arenaShareMax: 2.5 * MB },
    filled: false,
    steps: 2_500,
    keys: 2_000,
    valueBytesMax: 90_000,
    keyBytesMax: 1_000,
    exact: false,
    checkEvery: 50,
  },
  'in several arenas with memory for all': {
    store: { maxMemory: 64 * MB, seed: 1, arenaShareMax: 9 * MB },
    filled: false,
    steps: 1_000,
    keys: 200,
    valueBytesMax: 90_000,
    keyBytesMax: 9_000,
    exact: true,
    checkEvery: 50,
  },
}

export const models: Record<string, Shape> = {
  'with memory for all': {
    store: { maxMemory: 64 * MB, seed: 1 },
    filled: false,
    steps: 2_500,
    keys: 400,
    valueBytesMax: 20_000,
    keyBytesMax: 3_000,
    exact: true,
    checkEvery: 50,
  },
  'with memory for all, values and keys longer than 64 KB': {
    store: { maxMemory: 256 * MB, seed: 1 },
    filled: false,
    steps: 1_000,
    keys: 60,
    valueBytesMax: 300_000,
    keyBytesMax: 70_000,
    exact: true,
    checkEvery: 50,
  },
  'in the least memory, always full': {
    store: { maxMemory: 2 * MB, seed: 1 },
    filled: true,
    steps: 5_000,
    keys: 5_000,
    valueBytesMax: 3_000,
    keyBytesMax: 700,
    exact: false,
    checkEvery: 500,
  },
  'in the least memory, always full of short values': {
    store: { maxMemory: 2 * MB, seed: 1 },
    filled: true,
    steps: 2_500,
    keys: 20_000,
    valueBytesMax: 60,
    keyBytesMax: 100,
    exact: false,
    checkEvery: 1_000,
  },
  'in the least memory, values of a tenth of it': {
    store: { maxMemory: 2 * MB, seed: 1 },
    filled: false,
    steps: 3_000,
    keys: 300,
    valueBytesMax: 200_000,
    keyBytesMax: 700,
    exact: false,
    checkEvery: 50,
  },
  'in the least memory, values of a tenth of it in one bucket': {
    store: { maxMemory: 2 * MB, seed: 1, hash: () => 0x12345600 },
    filled: false,
    steps: 1_500,
    keys: 60,
    valueBytesMax: 200_000,
    keyBytesMax: 700,
    exact: false,
    checkEvery: 20,
  },
  'in 6 MB': {
    store: { maxMemory: 6 * MB, seed: 1 },
    filled: false,
    steps: 3_000,
    keys: 3_000,
    valueBytesMax: 90_000,
    keyBytesMax: 1_000,
    exact: false,
    checkEvery: 100,
  },
  'with the largest hash for every key': {
    store: { maxMemory: 8 * MB, seed: 1, hash: () => 0xffffffff },
    filled: false,
    steps: 2_000,
    keys: 200,
    valueBytesMax: 9_000,
    keyBytesMax: 500,
    exact: false,
    checkEvery: 20,
  },
  'with one hash for every key': {
    store: { maxMemory: 2 * MB, seed: 1, hash: () => 0x12345600 },
    filled: false,
    steps: 2_000,
    keys: 200,
    valueBytesMax: 9_000,
    keyBytesMax: 500,
    exact: false,
    checkEvery: 20,
  },
  'with one hash for every key, no more than a run holds': {
    store: { maxMemory: 8 * MB, seed: 1, hash: () => 0x12345600 },
    filled: false,
    steps: 2_000,
    keys: 18,
    valueBytesMax: 2_000,
    keyBytesMax: 500,
    exact: true,
    checkEvery: 20,
  },
  'with 256 hashes in one bucket': {
    store: { maxMemory: 4 * MB, seed: 1, hash: (b, p, l) => byteOf(b, p, l) << 24 },
    filled: false,
    steps: 4_000,
    keys: 3_000,
    valueBytesMax: 1_000,
    keyBytesMax: 500,
    exact: false,
    checkEvery: 100,
  },
  'with 256 hashes, each in its bucket at the end of the index': {
    store: { maxMemory: 4 * MB, seed: 1, hash: (b, p, l) => byteOf(b, p, l) | 0xffffff00 },
    filled: false,
    steps: 4_000,
    keys: 3_000,
    valueBytesMax: 1_000,
    keyBytesMax: 500,
    exact: false,
    checkEvery: 100,
  },
  ...(multiMemory ? inSeveralArenas : {}),
}

/** Hash functions: the real one, one value for all keys, and 8 bits of the key at each end. */
const hashes: Record<string, readonly (Hash | undefined)[]> = {
  real: [undefined],
  constant: [() => 0x12345600, () => 0xffffffff, () => 0],
  '8-bit': [byteOf, (b, p, l) => byteOf(b, p, l) << 24, (b, p, l) => byteOf(b, p, l) | 0xffffff00],
}

export const HASHES = Object.keys(hashes)

/**
 * A model drawn by lot: any policy and scope, 1 to 512 buckets, one arena or several, values from
 * a few bytes to a quarter of the memory, from half as much as fits to three times as much.
 */
export function drawn(hash: string, seed: number): Shape {
  const roll = dice(seed * 31 + HASHES.indexOf(hash))
  const pick = <T>(of: readonly T[]): T => of[roll(of.length)]!
  const buckets = hash === 'constant' ? pick([1, 8]) : pick([1, 8, 64, 512, 512])
  const maxMemory = Math.floor(buckets * (5 + roll(16)) * KB * (1 + roll(buckets < 64 ? 8 : 2)))
  const ceiling = maxMemory * (1 + roll(3))
  const several = pick([1, 1, 2, 3])
  const arenas = multiMemory && buckets >= 8 ? several : 1
  const valueBytesMax = Math.floor(pick([60, 700, 4_200, maxMemory / 9, maxMemory / 4]))
  const mean = 18 + (valueBytesMax < 100 ? 30 : 150) + valueBytesMax * 0.075
  const keys = Math.floor(((0.5 + roll(6) / 2) * maxMemory) / mean)
  return {
    store: {
      maxMemory,
      ceiling,
      buckets,
      seed: 1,
      databases: 3,
      policy: pick(POLICIES),
      scope: pick(SCOPES),
      ...(arenas > 1 ? { arenaShareMax: Math.ceil(ceiling / arenas) } : {}),
      ...optional(pick(hashes[hash]!)),
    },
    filled: roll(2) === 0,
    steps: 600,
    keys: Math.min(Math.max(keys, 10), hash === 'constant' ? 200 : 20_000),
    valueBytesMax,
    keyBytesMax: pick([60, 300, 700, Math.min(6_000, Math.floor(maxMemory / 20))]),
    exact: false,
    checkEvery: 100,
    changes: roll(3) > 0,
    listens: roll(3) === 0,
    wholeEvery: Math.max(1, Math.ceil(keys / 100)),
  }
}

function optional(hash: Hash | undefined): { hash?: Hash } {
  return hash === undefined ? {} : { hash }
}
