/*
 * Makes a sequence that shows a difference as short as it can, while it still shows it: lines are left
 * out, then pipelines and cuts, then words, and long words become short.
 */
import type { Line } from '../../compat/line.ts'
import type { Step } from '../../compat/player.ts'

/** So often a smaller sequence is tried at most. */
const TRIES_MAX = 1_000

export async function shrink(
  steps: readonly Step[],
  differs: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let tries = 0
  let best = steps
  const better = async (steps: readonly Step[]): Promise<boolean> => {
    if (steps.length === 0 || ++tries > TRIES_MAX || !(await differs(steps))) return false
    best = steps
    return true
  }

  await better(best.map(({ lines }) => ({ lines, cuts: [] })))
  await better(best.flatMap(({ lines }) => lines.map((line) => ({ lines: [line], cuts: [] }))))
  for (
    let size = Math.ceil(countOf(best) / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let from = countOf(best) - size; from > -size; from -= size) {
      await better(without(best, Math.max(0, from), size))
    }
  }
  for (let i = 0; i < countOf(best); i++) {
    for (let word = lineAt(best, i).words.length - 1; word > 0; word--) {
      const { words } = lineAt(best, i)
      if (await better(replaced(best, i, [...words.slice(0, word), ...words.slice(word + 1)])))
        continue
      const long = words[word]!
      for (let length = long.length >> 1; length >= 8 && typeof long === 'object'; length >>= 1) {
        const shorter = words.with(word, long.subarray(0, length))
        if (!(await better(replaced(best, i, shorter)))) break
      }
    }
  }
  return best
}

function countOf(steps: readonly Step[]): number {
  return steps.reduce((sum, { lines }) => sum + lines.length, 0)
}

function lineAt(steps: readonly Step[], index: number): Line {
  return steps.flatMap(({ lines }) => lines)[index]!
}

/** The steps after each line has become some other lines. */
function mapped(steps: readonly Step[], change: (line: Line, index: number) => Line[]): Step[] {
  let index = 0
  return steps
    .map(({ lines, cuts }) => ({ lines: lines.flatMap((line) => change(line, index++)), cuts }))
    .filter(({ lines }) => lines.length > 0)
}

function without(steps: readonly Step[], from: number, count: number): Step[] {
  return mapped(steps, (line, i) => (i >= from && i < from + count ? [] : [line]))
}

function replaced(steps: readonly Step[], index: number, words: Line['words']): Step[] {
  return mapped(steps, (line, i) => (i === index ? [{ ...line, words }] : [line]))
}
