/* Stores whose sizes and hashes bring out different corners, for model.test.ts and the fuzzer. */
import { multiMemory } from '../../../server/store/memory.ts'
import type { ModelOptions } from './model.ts'

const MB = 1024 * 1024

type Shape = Omit<ModelOptions, 'seed'> & { readonly filled: boolean; readonly steps: number }

/** A bad hash of 8 bits of the key. */
function byteOf(bytes: Uint8Array, pos: number, length: number): number {
  let hash = 7
  for (let i = 0; i < length; i++) hash = (Math.imul(hash, 31) + bytes[pos + i]!) | 0
  return hash & 255
}

const several: Record<string, Shape> = {
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
  ...(multiMemory ? several : {}),
}
