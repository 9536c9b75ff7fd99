/** Seed of the generated inputs of a run; tests print it, and FUZZ_SEED brings it back. */
export const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
