/*
 * The values that commands are fuzzed with: few keys, so that every command meets what every other has
 * left, and numbers, texts and times of which many are at an edge or none at all.
 *
 * Times are either over, or far enough away not to come during a sequence; those that count from now
 * differ from each other by ten seconds at least, so that it does not matter when either server came
 * to them.
 */
import type { SeededRandom } from '../../sim/random.ts'
import type { Word } from '../../compat/line.ts'

const FAR_SECONDS = 4102444800
const KEYS = ['a', 'b', 'c', 'd', 'e', '', '\x00\xff\r\n', 'k'.repeat(300)]
/** Longer than what the hot path of a store has room for: rare, for it is slow. */
const LONG_KEY = 'K'.repeat(20_000)
const CHANNELS = ['x', 'y', 'news.art', '', '__keyspace@0__:a', '__keyevent@0__:set', '\xff\x00']
const PATTERNS = [
  '*',
  '?',
  'a*',
  '[ab]',
  '[^a]',
  'x\\*',
  '',
  '__key*',
  'news.*',
  'k*',
  '*a',
  '[',
  'b-',
]
const EDGES = [
  '0', '1', '-1', '2', '7', '8', '-8', '10', '100', '127', '128', '255', '1000', '32768', '65535', '65536',
  '2147483647', '-2147483648', '2147483648', '4294967295', '4294967296', '9007199254740993',
  '9223372036854775806', '9223372036854775807', '-9223372036854775807', '-9223372036854775808',
  '9223372036854775808', '-9223372036854775809', '18446744073709551615', '99999999999999999999',
] // prettier-ignore
const NO_INTEGERS = [
  'x',
  '',
  '1.5',
  '01',
  '+1',
  '-0',
  ' 1',
  '1 ',
  '1e3',
  '0x10',
  '--1',
  '-',
  '1\x00',
  '٣',
]
const FLOATS = [
  '0', '1', '-1', '1.5', '-0.1', '0.1', '3.0e3', '1e-7', '-2.5e-10', '1e17', '1e18', '123456789.123456789',
  '3.14159265358979323846', '10000000000000000000000', '1.7e308', '-1.7e308', '1e308', '5e-324',
] // prettier-ignore
const NO_FLOATS = [
  'inf',
  '-inf',
  '+inf',
  'infinity',
  'nan',
  '1e5000',
  '.5',
  '5.',
  '0x1p3',
  ' 1',
  '1 ',
  '',
  '1e',
  'x',
  '-0',
]

export class Values {
  readonly random: SeededRandom

  constructor(random: SeededRandom) {
    this.random = random
  }

  /** True one time in `times`. */
  once(times: number): boolean {
    return this.random.below(times) === 0
  }

  pick<T>(...of: readonly T[]): T {
    return this.random.pick(of)
  }

  key(): Word {
    if (this.once(60)) return bytes(LONG_KEY)
    return bytes(this.once(4) ? this.random.pick(KEYS) : this.pick('a', 'b', 'c'))
  }

  channel(): Word {
    return bytes(this.once(2) ? this.pick('x', 'y') : this.random.pick(CHANNELS))
  }

  pattern(): Word {
    return bytes(this.random.pick(PATTERNS))
  }

  notInteger(): Word {
    return bytes(this.random.pick(NO_INTEGERS))
  }

  /** Any integer, or one time in ten what is none. */
  integer(): Word {
    if (this.once(10)) return this.notInteger()
    if (this.once(2)) return bytes(this.random.pick(EDGES))
    const digits = this.random.below(19) + 1
    const sign = this.pick('', '', '-')
    return bytes(`${sign}${BigInt(this.random.uint32()) ** 2n % 10n ** BigInt(digits)}`)
  }

  /** An integer from `least` to `most`, seldom any other. */
  between(least: number, most: number): Word {
    return this.once(12)
      ? this.integer()
      : bytes(String(least + this.random.below(most - least + 1)))
  }

  float(): Word {
    if (this.once(10)) return bytes(this.random.pick(NO_FLOATS))
    if (this.once(2)) return bytes(this.random.pick(FLOATS))
    const integer = this.random.below(this.pick(10, 1e6, 4e9))
    return bytes(`${this.pick('', '-')}${integer}.${this.random.below(this.pick(10, 1000, 1e9))}`)
  }

  /** An index into a value, from either end. */
  index(): Word {
    if (this.once(10)) return this.integer()
    const most = this.pick(4, 10, 300, 70_000, 140_000)
    return bytes(`${this.pick('', '', '-')}${this.random.below(most)}`)
  }

  offset(): Word {
    if (this.once(10)) return this.integer()
    return bytes(String(this.random.below(this.pick(4, 20, 300, 5_000, 70_000, 140_000))))
  }

  value(): Word {
    if (this.once(3)) return this.once(2) ? this.integer() : this.float()
    if (this.once(12)) return this.random.bytes(this.random.below(this.pick(3, 20, 100)))
    const length = this.random.below(this.pick(2, 5, 20, 60, 60, 300, 5_000, 70_000, 140_000))
    const unit = this.pick('x', 'yz', '12', 'abc', '\x00')
    return bytes(unit.repeat(length).slice(0, length))
  }

  seconds(): Word {
    return this.#time(1, () => 1_000 + 10 * this.random.below(100_000))
  }

  milliseconds(): Word {
    return this.#time(1_000, () => 1_000_000 + 10_000 * this.random.below(100_000))
  }

  unixSeconds(): Word {
    return this.#time(1, () => FAR_SECONDS + this.random.below(4))
  }

  unixMilliseconds(): Word {
    return this.#time(
      1_000,
      () => FAR_SECONDS * 1_000 + this.pick(0, 1, 499, 500, 999, 1000, 60_000),
    )
  }

  #time(unit: number, far: () => number): Word {
    if (!this.once(5)) return bytes(String(far()))
    const most = 9223372036854775807n / BigInt(1_000 / unit)
    return bytes(
      this.pick(
        ...[
          '0',
          '-1',
          '-1000',
          '-9223372036854775808',
          '9223372036854775807',
          'x',
          '',
          '1.5',
          '1e3',
        ],
        ...[String(most), String(most + 1n), `-${most}`, `-${most + 1n}`, '9223372036854775808'],
      ),
    )
  }
}

/** One char a byte. */
export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
