import { nodeNonsense } from '../../protocol/errors.ts'
import type { Hunt, Hunter, KeysOf } from './hunt.ts'
import { PeerError, PeerStatus } from '../peers/replies.ts'
import type { PeerValue } from '../peers/replies.ts'
import { keySlot } from '../slots.ts'

/** One request's keys: at the owner they are one atomic step. */
export const PART_KEYS_MAX = 16384

/** One request's bytes: others on the link wait behind them. */
export const PART_BYTES_MAX = 8 * 1024 * 1024

/** A command of many keys, each followed by `step - 1` more arguments (MSET: 2). */
export interface ScatterRequest {
  /** The command's name and all its arguments. Not to be changed any more. */
  readonly args: readonly Buffer[]
  readonly step: number
  /** Index of the first key: 1, or more where all parts begin with more words than the name. */
  readonly firstKey?: number
  /** `list`: one value a key (MGET); `sum`: a count (DEL); `ok`: OK (MSET). */
  readonly gather: 'list' | 'sum' | 'ok'
  readonly repeatable: boolean
  /** As in Hunt. */
  readonly written?: KeysOf | undefined
  readonly deadlineMs?: number
}

/** Runs a command on this node and hands back its reply, now or later, once. */
export type RunHere = (args: readonly Buffer[], done: (value: PeerValue) => void) => void

/**
 * One command of many keys on its way: split by owner, each owner's part cut into requests of
 * bounded size that follow one another, and when an owner is lost, what it has not answered is
 * split anew by who comes next on the ring, which may be a different node for each key.
 */
export class Scattering {
  readonly #hunter: Hunter
  readonly #request: ScatterRequest
  readonly #runHere: RunHere
  readonly #done: (value: PeerValue) => void
  readonly #values: PeerValue[]
  readonly #firstKey: number
  #sum = 0
  #error: PeerError | null = null
  /** Parts that have not ended. */
  #open = 0

  constructor(
    hunter: Hunter,
    request: ScatterRequest,
    runHere: RunHere,
    done: (value: PeerValue) => void,
  ) {
    this.#hunter = hunter
    this.#request = request
    this.#runHere = runHere
    this.#done = done
    this.#firstKey = request.firstKey ?? 1
    const keys = (request.args.length - this.#firstKey) / request.step
    this.#values = new Array<PeerValue>(keys).fill(null)
  }

  start(): void {
    const { repeatable, written, deadlineMs } = this.#request
    const how = { repeatable, written, keyAt: -1, share: false, mayPassOn: true }
    const hunt = this.#hunter.begin(how, deadlineMs)
    this.#open++
    this.#spread([...this.#values.keys()], hunt)
    this.#ended()
  }

  /** Sends each of these keys (by their place in the command) to whose turn it is. */
  #spread(keys: readonly number[], hunt: Hunt): void {
    const byOwner = new Map<string, number[]>()
    for (const key of keys) {
      const bytes = this.#request.args[this.#firstKey + key * this.#request.step]!
      const owner = this.#hunter.next(keySlot(bytes, 0, bytes.length), hunt.skipped)
      const part = byOwner.get(owner)
      if (part === undefined) byOwner.set(owner, [key])
      else part.push(key)
    }
    for (const [owner, part] of byOwner) {
      this.#open++
      if (owner !== this.#hunter.view.self) {
        this.#send(owner, part, hunt)
        continue
      }
      this.#runHere(this.#argsOf(part), (value) => {
        this.#accept(owner, part, value)
        this.#ended()
      })
    }
  }

  #send(owner: string, keys: readonly number[], hunt: Hunt): void {
    const part = this.#front(keys)
    this.#hunter.ask(owner, this.#argsOf(part), hunt, (verdict) => {
      if (verdict.kind === 'elsewhere') this.#spread(keys, verdict.hunt)
      else if (verdict.kind === 'failed') this.#error ??= new PeerError(verdict.line)
      else this.#accept(owner, part, verdict.value)
      const more = verdict.kind === 'reply' && part.length < keys.length && this.#error === null
      if (!more) return this.#ended()
      const next = this.#hunter.begin(hunt, this.#request.deadlineMs, hunt.skipped)
      this.#send(owner, keys.slice(part.length), next)
    })
  }

  /** As many of these keys as one request may carry, at least one. */
  #front(keys: readonly number[]): readonly number[] {
    const { args, step } = this.#request
    let bytes = 0
    let count = 0
    while (count < keys.length && count < PART_KEYS_MAX) {
      const at = this.#firstKey + keys[count]! * step
      for (let i = at; i < at + step; i++) bytes += args[i]!.length
      if (count > 0 && bytes > PART_BYTES_MAX) break
      count++
    }
    return count === keys.length ? keys : keys.slice(0, count)
  }

  #argsOf(keys: readonly number[]): readonly Buffer[] {
    const { args, step } = this.#request
    if (keys.length === this.#values.length) return args
    const part = args.slice(0, this.#firstKey)
    for (const key of keys) {
      const at = this.#firstKey + key * step
      for (let i = at; i < at + step; i++) part.push(args[i]!)
    }
    return part
  }

  #accept(owner: string, keys: readonly number[], value: PeerValue): void {
    const { gather } = this.#request
    if (value instanceof PeerError) {
      this.#error ??= value
    } else if (gather === 'list' && Array.isArray(value) && value.length === keys.length) {
      for (const [i, key] of keys.entries()) this.#values[key] = value[i] as PeerValue
    } else if (gather === 'sum' && typeof value === 'number') {
      this.#sum += value
    } else if (gather !== 'ok' || !(value instanceof PeerStatus)) {
      this.#error ??= new PeerError(nodeNonsense(owner))
    }
  }

  #ended(): void {
    if (--this.#open > 0) return
    const { gather } = this.#request
    if (this.#error !== null) this.#done(this.#error)
    else if (gather === 'list') this.#done(this.#values)
    else if (gather === 'sum') this.#done(this.#sum)
    else this.#done(new PeerStatus('OK'))
  }
}
