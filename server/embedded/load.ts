/*
 * A function of the program, as the loader of a group of an embedded cache, or of a node.
 *
 * It is called when whoever missed has returned, so it may use the cache. Its signal is its own, and is
 * aborted only while the function is at work: who ends a query by it does not end the next one on the
 * same connection. What it throws goes to those who asked, as it is.
 */
import type { Group } from '../../cluster/groups/group.ts'
import { type Loaded, type LoadRequest, OriginError } from '../../cluster/origin/loader.ts'
import { tagsFault } from '../../cluster/origin/tags.ts'
import { originBreaker, originFunction } from '../../protocol/errors.ts'
import { lifeMs, type Time } from './rules.ts'
import { typeName } from '../clients/passed.ts'
import { Impatience, type Patience } from '../../cluster/origin/patience.ts'

/** How values become bytes and back. */
export interface Codec<Value> {
  /** The bytes are copied. */
  encode(value: Value): Uint8Array
  /** The bytes are the codec's. */
  decode(bytes: Uint8Array): Value
}

/** What a load is handed beside the id. */
export interface LoadContext {
  /** Aborted when the load's timeout is over, or cache or node is closed, while the function is at work. */
  readonly signal: AbortSignal
  /** What the value is kept under: the group's prefix and the id. */
  readonly key: string
  /** How long this value is fresh, instead of the group's ttl; 0: it is not kept. */
  readonly ttl: (ttl: Time) => void
  /** Gives the value tags, by which `invalidateTag` removes it. */
  readonly tags: (...tags: string[]) => void
}

/** Null and undefined stand for "there is no such thing". */
export type Load<Value> = (
  id: string,
  context: LoadContext,
) => Value | null | undefined | Promise<Value | null | undefined>

/** What a group has in the place of an origin. */
export interface SourceOptions<Value> {
  /** A function, or an object with a method of this name. */
  readonly load: Load<Value> | { load: Load<Value> }
  /** Default: JSON. */
  readonly codec?: Codec<Value>
}

export const SOURCE_OPTION_NAMES = [
  'load',
  'codec',
] as const satisfies readonly (keyof SourceOptions<unknown>)[]

/** What a function gave for one id. */
interface Answer<Value> {
  readonly value: Value | null | undefined
  readonly freshMs: number | undefined
  readonly tags: readonly string[]
}

/** Prefix and id, in UTF-8. As the server's groups. */
const KEY_BYTES_MAX = 65_536

/** As long as a rule of a group can say. */
export const FOR_EVER_MS = 10 * 365 * 24 * 3_600_000

export class Source<Value> {
  readonly group: Group
  readonly patience: Patience
  /** What keys have before the id. */
  readonly prefix: string
  readonly #load: Load<Value>
  readonly #codec: Codec<Value>
  readonly #isJson: boolean

  /** @throws {TypeError} an option has the wrong type */
  constructor(group: Group, options: SourceOptions<Value>, patience: Patience) {
    const { load, codec } = options
    this.group = group
    this.patience = patience
    this.prefix = `${group.name}:`
    this.#load = checkedLoad(group.name, load)
    this.#codec = codec === undefined ? (json as Codec<Value>) : checkedCodec(group.name, codec)
    this.#isJson = codec === undefined
  }

  /** See Loader.load. */
  async load({ key, signal }: LoadRequest): Promise<Loaded> {
    const { name } = this.group
    // Not within whoever missed.
    await Promise.resolve()
    try {
      const text = Buffer.from(key.buffer, key.byteOffset, key.length).toString()
      const { value, ...kept } = await this.patience.run(signal, () => this.#call(text, signal))
      return { ...kept, value: value === null || value === undefined ? null : this.encode(value) }
    } catch (error) {
      if (error instanceof Impatience) throw new OriginError('breaker', originBreaker(name))
      throw new OriginError('module', originFunction(name, 'load'), error)
    }
  }

  /** What a value is kept under. Throws a TypeError or RangeError for what is no id. */
  keyOf(id: string): string {
    const { name } = this.group
    if (typeof id === 'string' && id !== '') {
      const key = this.prefix + id
      // No character has more than three bytes a unit.
      if (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX) return key
      throw new RangeError(`group ${name}: prefix and id are over ${KEY_BYTES_MAX} bytes`)
    }
    const is = id === '' ? 'empty' : `${typeName(id)}: try String(id)`
    throw new TypeError(`group ${name}: an id must be a string that is not empty, but is ${is}`)
  }

  /** Bytes of ours. Throws what the codec throws, and a TypeError for what is no value. */
  encode(value: Value): Buffer {
    if (value === null || value === undefined) {
      throw new TypeError(
        `group ${this.group.name}: ${String(value)} stands for "there is no such thing": delete the id instead`,
      )
    }
    const bytes: unknown = this.#codec.encode(value)
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(
        `group ${this.group.name}: codec.encode must return a Uint8Array, but returned ${typeName(bytes)}`,
      )
    }
    return this.#isJson ? (bytes as Buffer) : Buffer.from(bytes)
  }

  /** Throws what the codec throws. The bytes stay as they are. */
  decode(bytes: Buffer): Value {
    return this.#codec.decode(this.#isJson ? bytes : Buffer.from(bytes))
  }

  /** One try. */
  async #call(key: string, signal: AbortSignal): Promise<Answer<Value>> {
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    let freshMs: number | undefined
    let tags: readonly string[] = []
    try {
      const value = await this.#load(key.slice(this.prefix.length), {
        ...{ key, signal: controller.signal },
        ttl: (ttl) => {
          freshMs = ttl === 0 ? 0 : freshMsOf(`group ${this.group.name}: ttl`, ttl)
        },
        tags: (...given) => {
          tags = checkedTags(`group ${this.group.name}: tags`, [...tags, ...given])
        },
      })
      return { value, freshMs, tags }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}

/** Milliseconds for `Loaded.freshMs`. Throws a TypeError or RangeError that begins with `what`. */
export function freshMsOf(what: string, ttl: Time): number {
  return Math.min(lifeMs(what, ttl), FOR_EVER_MS)
}

/** The tags, none twice. Throws a TypeError or RangeError that begins with `what`. */
export function checkedTags(what: string, tags: unknown): readonly string[] {
  if (!Array.isArray(tags))
    throw new TypeError(`${what} must be an array, but is ${typeName(tags)}`)
  for (const tag of tags as readonly unknown[]) checkTag(what, tag)
  const distinct = [...new Set(tags as readonly string[])]
  const fault = tagsFault(distinct)
  if (fault !== null) throw new RangeError(`${what}: ${fault}`)
  return distinct
}

export function checkTag(what: string, tag: unknown): void {
  if (typeof tag === 'string' && tag !== '') return
  const is = tag === '' ? 'empty' : typeName(tag)
  throw new TypeError(`${what} must be strings that are not empty, but one is ${is}`)
}

function checkedLoad<Value>(group: string, load: unknown): Load<Value> {
  if (typeof load === 'function') return load as Load<Value>
  if (typeof load === 'object' && load !== null && 'load' in load) {
    if (typeof load.load === 'function')
      return (...args) => (load as { load: Load<Value> }).load(...args)
  }
  throw new TypeError(
    `group ${group}: load must be a function (id, { signal }) => value, but is ${typeName(load)}`,
  )
}

function checkedCodec<Value>(group: string, codec: Codec<Value>): Codec<Value> {
  for (const name of ['encode', 'decode'] as const) {
    if (typeof (codec as Partial<Codec<Value>> | null)?.[name] === 'function') continue
    throw new TypeError(`group ${group}: codec must have a function ${name}`)
  }
  return codec
}

const json: Codec<unknown> = {
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    // 'null' would come back as null, which stands for "there is no such thing".
    if (text === undefined || text === 'null') {
      throw new TypeError(`a ${typeName(value)} has no JSON: give the group a codec`)
    }
    return Buffer.from(text)
  },
  decode(bytes) {
    return JSON.parse((bytes as Buffer).toString()) as unknown
  },
}
