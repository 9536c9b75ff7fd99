/*
 * A sequence: what a few connections send to one server, drawn from a seed.
 *
 * Each sequence keeps to some of the commands, so that these meet often (swarm testing, Groce et al.,
 * 2012), and to a few that fill and show what there is. In a transaction EXEC comes soon.
 */
import { type Line, parseLine, type Word } from '../../compat/line.ts'
import { encode, type Step } from '../../compat/player.ts'
import { SeededRandom } from '../../sim/random.ts'
import { Grammar, names } from './grammar.ts'
import { APART, markOf } from './known.ts'
import { bytes, Values } from './values.ts'

/** In every sequence: so there is something, and it is seen. */
const COMMON =
  'set set set append setrange incr get get strlen type pexpiretime object|encoding'.split(' ')
/** They always answer the same, say little, empty a database, or end a connection. */
const RARE =
  /^(auth|client(?!.(tracking|caching))|command|config|debug|flush|function|info|lastsave|latency|lolwut|memory|quit|read|reset|role|slowlog|time|wait)|^(config|object)$|\|help$/
/** What is called beside a command, for it would say little without. */
const BESIDE: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^(multi|watch)$/, ['multi', 'multi', 'watch', 'watch', 'discard']],
  [/^(dump|restore)$/, ['dump', 'dump', 'restore', 'restore', 'restore']],
  [/subscribe$/, ['publish', 'publish', 'subscribe', 'psubscribe', 'ping']],
  [/ttl|persist/, ['expire']],
  [/^bit/, ['setbit', 'bitfield']],
  [/tracking|caching/, ['client|tracking', 'client|caching', 'get', 'mget', 'getrange']],
]
/** In a transaction their replies would be more than the transaction's, or its end be lost. */
const OUTSIDE = /^[ps]?(un)?subscribe$|^client\|(kill|tracking)$/
/** They end tracking: whether what was written in the same turn is told first is a matter of reads. */
const FIRST = /^(client\|(kill|tracking)|quit|reset)$/
/** They may close the connection: what is sent behind them may reset it, and a reply be lost. */
const LAST = /^(quit|client\|kill)$/

const fuzzed = names.filter((name) => markOf(name) !== null)

/** The steps of a seed. `command`: the full name of one that is called often. */
export function sequenceOf(seed: number, command?: string): readonly Step[] {
  return new Generator(seed, command).steps()
}

class Generator {
  readonly #random: SeededRandom
  readonly #values: Values
  readonly #grammar: Grammar
  readonly #commands: readonly string[]
  readonly #connections: readonly string[]
  /** Is it about CLIENT TRACKING? */
  readonly #tracks: boolean
  readonly #inTransaction = new Set<string>()

  constructor(seed: number, command: string | undefined) {
    this.#random = new SeededRandom(seed)
    this.#values = new Values(this.#random)
    this.#grammar = new Grammar(this.#values)
    this.#commands = this.#chosen(command)
    this.#tracks = this.#commands.includes('client|tracking')
    this.#connections = ['a', 'b', 'c'].slice(0, 1 + this.#random.below(3))
  }

  steps(): readonly Step[] {
    const steps: Step[] = []
    for (const connection of this.#connections) {
      if (this.#values.once(2)) continue
      steps.push(stepOf(`${connection}: ? HELLO 3`))
      const how = this.#values.pick('', '', ' NOLOOP', ' BCAST', ' OPTIN', ' OPTOUT')
      if (this.#tracks) steps.push(stepOf(`${connection}: CLIENT TRACKING ON${how}`))
    }
    if (this.#values.once(6)) steps.push(...this.#listening())
    for (let left = 4 + this.#random.below(16); left > 0; left--) steps.push(this.#step())
    return steps
  }

  /** The last connection hears what happens to keys. */
  #listening(): readonly Step[] {
    const connection = this.#connections.at(-1)!
    // Of A and n together Redis 7.0 forgets the n when a later CONFIG SET fails.
    const events = this.#values.pick('KEA', 'EA', 'KEAm', 'KEg$n', 'K$xe', 'Eg')
    return [`CONFIG SET notify-keyspace-events ${events}`, 'PSUBSCRIBE __key*'].map((line) =>
      stepOf(`${connection}: ${line}`),
    )
  }

  /** Names, as often as they are to be called. */
  #chosen(command: string | undefined): readonly string[] {
    const chosen = [...COMMON]
    for (let left = 4 + this.#random.below(30); left > 0; left--) {
      const name = this.#random.pick(fuzzed)
      if (RARE.test(name) && !this.#values.once(6)) continue
      chosen.push(name)
      for (const [names, beside] of BESIDE) if (names.test(name)) chosen.push(...beside)
    }
    if (command !== undefined) chosen.push(...chosen.map(() => command))
    return chosen.filter((name) => fuzzed.includes(name) && !isApart(name, chosen))
  }

  #step(): Step {
    const connection = this.#random.pick(this.#connections)
    const lines: Line[] = []
    for (let left = this.#values.once(2) ? 1 : 1 + this.#random.below(8); left > 0; left--) {
      const name = this.#name(connection)
      if (this.#tracks && lines.length > 0 && FIRST.test(name)) break
      lines.push(this.#line(connection, name))
      if (LAST.test(name)) break
    }
    const length = lines.reduce((sum, line) => sum + lengthOf(line.words), 0)
    const cuts = this.#values.once(3)
      ? Array.from({ length: 1 + this.#random.below(4) }, () => this.#random.below(length))
      : []
    return { lines, cuts: cuts.sort((a, b) => a - b) }
  }

  #line(connection: string, name: string): Line {
    const words =
      name === 'nosuch' ? [bytes('NOSUCH'), this.#values.key()] : this.#grammar.call(name)
    this.#note(connection, name, words)
    return { text: '', connection, mark: markOf(name, words) ?? '', words }
  }

  #name(connection: string): string {
    if (this.#values.once(200)) return 'nosuch'
    const inTransaction = this.#inTransaction.has(connection)
    if (inTransaction && this.#values.once(6)) return 'exec'
    const name = this.#random.pick(this.#commands)
    return inTransaction && OUTSIDE.test(name) ? 'get' : name
  }

  /** Who may be in a transaction. */
  #note(connection: string, name: string, words: readonly Word[]): void {
    if (name === 'multi') this.#inTransaction.add(connection)
    else if (name === 'reset' || name === 'exec' || name === 'discard') {
      if (words.length === 1) this.#inTransaction.delete(connection)
    }
  }
}

function stepOf(line: string): Step {
  return { lines: [parseLine(line)], cuts: [] }
}

/** Is there another that it must not meet? */
function isApart(name: string, chosen: readonly string[]): boolean {
  return APART.some(([one, other]) => other.test(name) && chosen.some((each) => one.test(each)))
}

function lengthOf(words: readonly Word[]): number {
  return encode(words.map((word) => (typeof word === 'string' ? Buffer.alloc(0) : word))).length
}
