/** Seed of the generated inputs of a run; tests print it, and FUZZ_SEED brings it back. */
export const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

/** How many inputs to generate: FUZZ_FACTOR times as many for a long run. */
export function runs(count: number): number {
  return count * Number(process.env.FUZZ_FACTOR ?? 1)
}
