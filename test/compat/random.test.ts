import { SeededRandom } from '../sim/random.ts'
import { transcripts } from './transcript.ts'

/*
 * Random transcripts of all string, bit and key commands over a few keys, so that every command meets
 * what every other has left: values in pages, expiries, numbers, long keys. `SEEDS=1000-1999` plays
 * others than the usual few; a seed that finds something becomes a transcript of its own.
 */
const SEEDS = '1-6'
const LINES = 400

const FAR_SECONDS = 4102444800
const KEYS = ['a', 'b', 'c', 'd', '""', '"\\x00\\xff"', 'k'.repeat(300), 'K'.repeat(20_000)]

class Script {
  readonly #random: SeededRandom

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
  }

  lines(): string[] {
    return Array.from({ length: LINES }, () => this.#line())
  }

  #one(...of: readonly string[]): string {
    return this.#random.pick(of)
  }

  #key(): string {
    return this.#one(...KEYS)
  }

  #integer(): string {
    const digits = this.#random.below(19) + 1
    const sign = this.#one('', '', '-')
    return `${sign}${BigInt(this.#random.uint32()) ** 2n % 10n ** BigInt(digits)}`
  }

  #float(): string {
    return this.#one(`${this.#integer()}.${this.#random.below(1e6)}`, `${this.#integer()}e-7`)
  }

  #length(): number {
    const most = this.#random.pick([4, 20, 300, 5000, 66_000, 66_000, 140_000])
    return this.#random.below(most)
  }

  #value(): string {
    if (this.#random.below(3) === 0) return this.#one(this.#integer(), this.#float(), '""')
    const length = this.#length()
    if (length === 0) return '""'
    return this.#one('x', 'yz', '12').repeat(length).slice(0, length)
  }

  #offset(): string {
    return String(this.#random.below(this.#random.pick([4, 300, 70_000, 140_000])))
  }

  #bitOffset(): string {
    return String(this.#random.below(this.#random.pick([32, 2400, 560_000, 1_120_000])))
  }

  #range(): string {
    const places = `${this.#one('', '-')}${this.#bitOffset()} ${this.#one('', '-')}${this.#bitOffset()}`
    return this.#one('0 -1', `${places} BIT`, places)
  }

  #field(): string {
    const field = `${this.#one('i', 'u')}${this.#random.below(63) + 1} ${this.#one('', '#')}${this.#random.below(9000)}`
    return this.#one(
      `GET ${field}`,
      `SET ${field} ${this.#integer()}`,
      `INCRBY ${field} ${this.#integer()}`,
      `OVERFLOW ${this.#one('WRAP', 'SAT', 'FAIL')} INCRBY ${field} ${this.#integer()}`,
    )
  }

  #time(): string {
    const seconds = 1000 + this.#random.below(100_000)
    return this.#one(
      `EX ${seconds}`,
      `PX ${seconds}000`,
      `EXAT ${FAR_SECONDS + seconds}`,
      `PXAT ${FAR_SECONDS + seconds}000`,
    )
  }

  #line(): string {
    const key = this.#key()
    switch (this.#random.below(51)) {
      case 0:
        return `SET ${key} ${this.#value()}`
      case 1:
        return `SET ${key} ${this.#value()} ${this.#time()} ${this.#one('', 'GET', 'NX', 'XX')}`
      case 2:
        return `SET ${key} ${this.#value()} ${this.#one('KEEPTTL', 'NX GET', 'XX GET', 'GET')}`
      case 3:
        return `GETSET ${key} ${this.#value()}`
      case 4:
        return `SETNX ${key} ${this.#value()}`
      case 5:
        return `${this.#one('SETEX', 'PSETEX')} ${key} 1000000 ${this.#value()}`
      case 6:
        return `MSET ${key} ${this.#value()} ${this.#key()} ${this.#value()}`
      case 7:
        return `MSETNX ${key} ${this.#value()} ${this.#key()} ${this.#value()}`
      case 8:
        return `MGET ${key} ${this.#key()} ${this.#key()}`
      case 9:
        return `GETDEL ${key}`
      case 10:
        return `GETEX ${key} ${this.#one('', 'PERSIST', 'EXAT 1', this.#time())}`
      case 11:
        return `${this.#one('INCR', 'DECR')} ${key}`
      case 12:
        return `${this.#one('INCRBY', 'DECRBY')} ${key} ${this.#integer()}`
      case 13:
        return `INCRBYFLOAT ${key} ${this.#float()}`
      case 14:
      case 15:
        return `APPEND ${key} ${this.#value()}`
      case 16:
      case 17:
        return `SETRANGE ${key} ${this.#offset()} ${this.#value()}`
      case 18:
      case 19:
        return `GETRANGE ${key} ${this.#one('', '-')}${this.#offset()} ${this.#one('', '-')}${this.#offset()}`
      case 20:
        return `${this.#one('DEL', 'UNLINK', 'EXISTS', 'TOUCH')} ${key} ${this.#key()}`
      case 21:
        return `EXPIRE ${key} ${this.#one(String(5000 + this.#random.below(1e7)), '-1')} ${this.#one('', 'NX', 'XX', 'GT', 'LT')}`
      case 22:
        return `PEXPIREAT ${key} ${FAR_SECONDS}${this.#one('000', '500', '999')} ${this.#one('', 'GT', 'LT')}`
      case 23:
        return `PERSIST ${key}`
      case 24:
        return `~3 TTL ${key}`
      case 25:
        return `~3000 PEXPIRETIME ${key}`
      case 26:
        return '{} KEYS *'
      case 27:
        return '{} SCAN 0 COUNT 1000'
      case 28:
        return this.#one('DBSIZE', `SELECT ${this.#random.below(3)}`, 'FLUSHDB')
      case 29:
        return `STRLEN ${key}`
      case 32:
      case 33:
        return `SETBIT ${key} ${this.#bitOffset()} ${this.#one('0', '1')}`
      case 34:
        return `GETBIT ${key} ${this.#bitOffset()}`
      case 35:
      case 36:
        return `BITCOUNT ${key} ${this.#range()}`
      case 37:
        return `BITPOS ${key} ${this.#one('0', '1')} ${this.#one('', this.#offset(), this.#range())}`
      case 38:
      case 39:
        return `BITOP ${this.#one('AND', 'OR', 'XOR')} ${key} ${this.#key()} ${this.#key()} ${this.#key()}`
      case 40:
        return `BITOP NOT ${key} ${this.#key()}`
      case 41:
      case 42:
        return `BITFIELD ${key} ${this.#field()} ${this.#field()} ${this.#field()}`
      case 43:
        return `LCS ${key} ${this.#key()} ${this.#one('LEN', '', 'IDX MINMATCHLEN 3')}`
      case 44:
      case 45:
        return `${this.#one('RENAME', 'RENAMENX')} ${key} ${this.#key()}`
      case 46:
      case 47:
        return `COPY ${key} ${this.#key()} ${this.#one('', 'REPLACE', 'DB 1', 'DB 2 REPLACE')}`
      case 48:
        return `MOVE ${key} ${this.#random.below(3)}`
      case 49:
        return `SWAPDB ${this.#random.below(3)} ${this.#random.below(3)}`
      case 50:
        return `DUMP ${key}`
      default:
        return `GET ${key}`
    }
  }
}

const [first, last] = (process.env.SEEDS ?? SEEDS).split('-').map(Number) as [number, number?]
const table: Record<string, string[]> = {}
for (let seed = first; seed <= (last ?? first); seed++) {
  table[`commands in random order, seed ${seed}`] = new Script(seed).lines()
}

transcripts(table, {
  ringtier: ['--maxmemory', '100mb'],
  redis: ['--rdbcompression', 'no'],
})
