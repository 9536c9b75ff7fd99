/** What a misspelt word was meant to be. */

/** Shorter words begin too many others. */
const BEGINNING_MIN = 3

/**
 * The candidate that a misspelt word was most likely meant to be: at most a third of its letters
 * wrong, missing or too many (two swapped ones count as one mistake); if none is so near, the first
 * that begins with the word. Null: none. Case counts.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const mistakesMax = Math.max(1, Math.floor(word.length / 3))
  let best: string | null = null
  let bestMistakes = mistakesMax + 1
  let longer: string | null = null
  for (const candidate of candidates) {
    if (word.length >= BEGINNING_MIN && candidate.startsWith(word)) longer ??= candidate
    if (Math.abs(candidate.length - word.length) >= bestMistakes) continue
    const mistakes = editDistance(word, candidate)
    if (mistakes < bestMistakes) {
      best = candidate
      bestMistakes = mistakes
    }
  }
  return best ?? longer
}

/** Optimal string alignment: insertions, deletions, replacements, swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1)
      }
      row.push(least)
    }
    before = above
    above = row
  }
  return above[b.length]!
}
