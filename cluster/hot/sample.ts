/**
 * Which requests are counted: about one in eight, by chance, which stands for all of them. A count
 * takes half a microsecond, most of it for keys that are asked for once; what is hot is found all the
 * same. By chance and not each eighth, for pipelines repeat themselves. The numbers are the same in
 * each run: xorshift (Marsaglia, Xorshift RNGs, 2003).
 */

/** A power of two. */
const ONE_IN = 8

export class Sample {
  #state = 0x9e3779b9 | 0

  /** For how many requests the next one counts: itself and others, or 0. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x & (ONE_IN - 1)) === 0 ? ONE_IN : 0
  }
}
