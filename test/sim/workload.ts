/*
 * What clients do: a mix of commands on a few keys, so that they meet on them, each client one command
 * at a time. What they asked and heard goes into the history.
 */
import { HUNT_MS } from '../../cluster/routes/hunt.ts'
import { NODE_TIMEOUT_MS } from '../../cluster/members/membership.ts'
import { type Answer, type SimClient, textOf } from './client.ts'
import { GROUP_WAIT_MS, isGrouped, type SimNode } from './cluster.ts'
import type { History, Step, Write } from './history.ts'
import type { Minority } from './minority.ts'
import type { SimOrigin } from './origin.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** What the way to the node and back, and timers, may add. */
const SLACK_MS = 100
/** A node that rejoins holds the commands of its clients for so long before it begins to answer. */
const DOUBT_MS = NODE_TIMEOUT_MS
/** Of commands on plain keys. */
export const PLAIN_LIMIT_MS = HUNT_MS + SLACK_MS
/** A load is waited for, and once more by who stands in for a node that was lost meanwhile. */
const GROUP_LIMIT_MS = 2 * (HUNT_MS + GROUP_WAIT_MS) + SLACK_MS

const PLAIN_KEYS = 10
const GROUPS = ['user', 'users', 'lax'] as const
const KEYS_PER_GROUP = 3
/** Where there are hot keys: of so many reads of plain keys, and of a group's, all but one are of the first. */
const HOT_READS = 4
/** Of so many writes one is read by its client at once. */
const READ_BACK_IN = 3
const LOCK_KEYS = 4
/** Powers of four that fit below 2^63, less the sign. */
const DIGITS = 31
/** Mean time between two commands of a client. */
const THINK_MS = 130

/** Those that are passed on as they are, where another node has their key. */
const PASSED_ON = new Set(['GET', 'SET', 'EXPIRE', 'INCRBY', 'SETNX'])

/** In a lax group most changes at the origin are not told. */
const TOLD_IN = 4

export interface Stage {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly nodes: readonly SimNode[]
  readonly history: History
  readonly origin: SimOrigin
  readonly trace: Trace
  readonly minority: Minority
  readonly isHot: boolean
}

export class Workload {
  readonly #stage: Stage
  #serial = 0
  #counter = 0
  #digit = 0
  /** From then on clients begin nothing. */
  isOver = false

  constructor(stage: Stage) {
    this.#stage = stage
  }

  get groupKeys(): readonly string[] {
    return GROUPS.flatMap((group) => {
      return Array.from({ length: KEYS_PER_GROUP }, (_, i) => `${group}:id-${i}`)
    })
  }

  get plainKeys(): readonly string[] {
    return Array.from({ length: PLAIN_KEYS }, (_, i) => `p:${i}`)
  }

  get lockKeys(): readonly string[] {
    return Array.from({ length: LOCK_KEYS }, (_, i) => `l:${i}`)
  }

  /** Has a client work until the workload is over. */
  employ(client: SimClient): void {
    const { random } = this.#stage
    client.connect(() => {})
    const next = (): void => {
      if (this.isOver) return
      client.host.clock.after(1 + random.below(2 * THINK_MS), () => {
        if (this.isOver) return
        if (client.isWaiting) next()
        else this.#act(client, next)
      })
    }
    next()
  }

  #act(client: SimClient, next: () => void): void {
    const { random } = this.#stage
    const act = random.below(100)
    const plain = `p:${random.below(PLAIN_KEYS)}`
    const grouped = random.pick(this.groupKeys)
    if (act < 26) this.get(client, this.#readKey(plain), next)
    else if (act < 40) this.#set(client, plain, next)
    else if (act < 45) this.#del(client, plain, next)
    else if (act < 48) this.#expire(client, plain, next)
    else if (act < 55) this.#mget(client, [plain, `p:${random.below(PLAIN_KEYS)}`, grouped], next)
    else if (act < 64) this.#count(client, next)
    else if (act < 68) this.#sum(client, next)
    else if (act < 74) this.#lock(client, next)
    else if (act < 93) this.get(client, this.#readKey(grouped), next)
    else if (act < 95) this.#set(client, grouped, next)
    else this.#change(client, grouped, next)
  }

  /** A key, or the hot one of its kind. */
  #readKey(key: string): string {
    const { isHot, random } = this.#stage
    if (!isHot || random.below(HOT_READS) === 0) return key
    return key.replace(/\d+$/, '0')
  }

  /** Goes on after a write, often with a look at what has become of it. */
  #after(client: SimClient, key: string, next: () => void): void {
    if (this.#stage.random.below(READ_BACK_IN) > 0 || this.isOver) next()
    else this.get(client, key, next)
  }

  /** Sends a command; `hear` gets its answer. */
  #ask(
    client: SimClient,
    words: readonly string[],
    limitMs: number,
    hear: (answer: Answer, step: Step) => void,
  ): void {
    const { scheduler, history, trace, minority } = this.#stage
    const isInDoubt = this.#nodeOf(client).server?.gate.doubtsKeys === true
    const step: Step = {
      ...{ client: client.name, node: client.node, words: words.join(' ') },
      ...{ start: scheduler.now, end: Infinity, outcome: 'open', line: '' },
      limitMs: limitMs + (isInDoubt ? DOUBT_MS : 0),
      aloneMs: minority.aloneMs(client.node),
    }
    const mayPassOn = PASSED_ON.has(words[0]!) && !this.#isAtOwner(client, words[1]!)
    if (mayPassOn) this.#nodeOf(client).passesOn++
    const asked = client.ask(words, (answer) => {
      step.end = scheduler.now
      step.outcome = answer.kind
      step.line = answer.kind === 'error' ? answer.line : ''
      const text = answer.kind === 'value' ? textOf(answer.value) : `${answer.kind} ${step.line}`
      trace.say(`${client.name} at ${client.node}: ${step.words} -> ${text}`)
      hear(answer, step)
    })
    if (!asked) {
      hear({ kind: 'lost' }, step)
      return
    }
    history.steps.push(step)
    trace.say(`${client.name} at ${client.node}: ${step.words}`)
  }

  get(client: SimClient, key: string, next: () => void): void {
    const atOwner = this.#isAtOwner(client, key)
    const limitMs = isGrouped(key) ? GROUP_LIMIT_MS : PLAIN_LIMIT_MS
    this.#ask(client, ['GET', key], limitMs, (answer, { start, end }) => {
      if (answer.kind === 'value') this.#saw({ client, key, start, end, atOwner }, answer.value)
      next()
    })
  }

  #mget(client: SimClient, keys: readonly string[], next: () => void): void {
    this.#ask(client, ['MGET', ...keys], GROUP_LIMIT_MS, (answer, { start, end }) => {
      if (answer.kind === 'value' && Array.isArray(answer.value)) {
        for (const [i, key] of keys.entries()) {
          this.#saw({ client, key, start, end, atOwner: false }, answer.value[i])
        }
      }
      next()
    })
  }

  #saw(
    read: { client: SimClient; key: string; start: number; end: number; atOwner: boolean },
    value: unknown,
  ): void {
    const { client, key, start, end, atOwner } = read
    const text = Buffer.isBuffer(value) ? value.toString('latin1') : null
    this.#stage.history.addRead({ key, node: client.node, start, end, value: text, atOwner })
  }

  #set(client: SimClient, key: string, next: () => void): void {
    const value = `v|${key}|${++this.#serial}`
    const write = this.#write(client, { key, kind: 'set', value })
    this.#ask(client, ['SET', key, value], PLAIN_LIMIT_MS, (answer) => {
      this.#ended(write, answer, answer.kind === 'value')
      this.#after(client, key, next)
    })
  }

  #del(client: SimClient, key: string, next: () => void): void {
    const { origin } = this.#stage
    const version = origin.versionsOf(key).length - 1
    const write = this.#write(client, { key, kind: 'del', value: null, version })
    this.#ask(client, ['DEL', key], PLAIN_LIMIT_MS, (answer) => {
      this.#ended(write, answer, answer.kind === 'value')
      this.#after(client, key, next)
    })
  }

  /** The origin has something new, and the cache is told; where values are fresh for a short time only now and then. */
  #change(client: SimClient, key: string, next: () => void): void {
    const { origin, random, trace } = this.#stage
    trace.say(`the origin changes ${key} to ${origin.bump(key)}`)
    const isTold = !key.startsWith('lax:') || random.below(TOLD_IN) === 0
    if (isTold) this.#del(client, key, next)
    else next()
  }

  #expire(client: SimClient, key: string, next: () => void): void {
    const seconds = 1 + this.#stage.random.below(5)
    const write = this.#write(client, { key, kind: 'expire', value: null })
    this.#ask(client, ['EXPIRE', key, String(seconds)], PLAIN_LIMIT_MS, (answer) => {
      this.#ended(write, answer, answer.kind === 'value' && answer.value === 1)
      write.effectAt = write.end + 1000 * seconds
      next()
    })
  }

  #lock(client: SimClient, next: () => void): void {
    const { random, scheduler } = this.#stage
    const key = random.pick(this.lockKeys)
    const draw = random.below(6)
    if (draw === 0) return this.#del(client, key, next)
    if (draw < 3) return this.get(client, key, next)
    const value = `v|${key}|${++this.#serial}`
    const write = this.#write(client, { key, kind: 'setnx', value })
    const isSet = draw === 3
    const words = isSet ? ['SET', key, value, 'NX'] : ['SETNX', key, value]
    this.#ask(client, words, PLAIN_LIMIT_MS, (answer) => {
      const isTaken =
        answer.kind === 'value' && (isSet ? answer.value !== null : answer.value === 1)
      this.#ended(write, answer, isTaken)
      if (answer.kind === 'value') write.end = scheduler.now
      next()
    })
  }

  /** The newest counter, until its digits are used up. */
  #count(client: SimClient, next: () => void): void {
    const { history, scheduler } = this.#stage
    if (this.#digit === DIGITS) {
      this.#digit = 0
      this.#counter++
    }
    const key = `c:${this.#counter}`
    const digit = this.#digit++
    const start = scheduler.now
    const count = history.addCount({ key, digit, start, end: Infinity, acked: false })
    const by = String(4n ** BigInt(digit))
    this.#ask(client, ['INCRBY', key, by], PLAIN_LIMIT_MS, (answer, { end }) => {
      if (answer.kind === 'value') {
        count.end = end
        count.acked = true
        const value = BigInt(answer.value as number | bigint)
        history.sums.push({ key, value, own: digit, start, end })
      }
      next()
    })
  }

  #sum(client: SimClient, next: () => void): void {
    const { history, random } = this.#stage
    const key = `c:${random.below(2) === 0 ? this.#counter : random.below(this.#counter + 1)}`
    this.#ask(client, ['GET', key], PLAIN_LIMIT_MS, (answer, { start, end }) => {
      if (answer.kind === 'value') {
        const text = Buffer.isBuffer(answer.value) ? answer.value.toString() : '0'
        history.sums.push({ key, value: BigInt(text), own: -1, start, end })
      }
      next()
    })
  }

  #write(
    { node }: SimClient,
    {
      key,
      kind,
      value,
      version = -1,
    }: Pick<Write, 'key' | 'kind' | 'value'> & { version?: number },
  ): Write {
    const { history, scheduler } = this.#stage
    const start = scheduler.now
    const end = Infinity
    const moments = { start, end, effectAt: -Infinity, acked: false }
    return history.addWrite({ key, kind, value, node, version, ...moments })
  }

  /** `isDone`: it has done what it was to do; an answer without that changed nothing. */
  #ended(write: Write, answer: Answer, isDone: boolean): void {
    if (answer.kind !== 'value') return
    write.end = this.#stage.scheduler.now
    write.effectAt = write.end
    write.acked = isDone
  }

  #isAtOwner(client: SimClient, key: string): boolean {
    return this.#nodeOf(client).server?.routing.isHere(Buffer.from(key)) ?? false
  }

  #nodeOf({ node: name }: SimClient): SimNode {
    return this.#stage.nodes.find((one) => one.name === name)!
  }
}
