/*
 * BITOP: a value put together bit by bit from those of other keys.
 *
 *     first       the first 64 KB of the result: every short source is folded into it at once
 *     long        sources in pages, pinned; window by window of 64 KB they are folded into what follows
 *     result      pages, which become the destination's value
 *
 * So nothing is copied but the result, however many sources there are and however long. Where all
 * sources are short the whole command is atomic, up to `SOURCES_WHOLE_MAX` of them. Otherwise it takes
 * turns with others: the sources are as they were when it began (of very many, when it came to them),
 * and the destination is replaced in the end.
 */
import { ERR_BITOP_NOT, ERR_OOM, ERR_SYNTAX } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type Pages, STORED } from '../store/store.ts'
import { holding, notify } from '../notifications.ts'
import { countLookup, notifyWrite, openKey } from './lookup.ts'

/** Looked up under one lock: up to 64 KB each, that is a millisecond or two. */
const SOURCES_WHOLE_MAX = 64

/** Bytes of the result at a time. A value in pages is longer than that. */
const WINDOW_BYTES = 64 * 1024

const DESTINATION = 2
const FIRST_SOURCE = 3

/** One of the operations: `identity` leaves the other operand as it is, or turns it over (NOT). */
interface Operation {
  readonly identity: 0 | 0xff
  /** Is the result 0 where a source has ended? */
  readonly endsInZeros: boolean
  fold(words: Target, others: Target, length: number): void
}

type Target = Uint8Array | Int32Array

const and: Operation = {
  identity: 0xff,
  endsInZeros: true,
  fold(target, others, length) {
    for (let i = 0; i < length; i++) target[i]! &= others[i]!
  },
}

const or: Operation = {
  identity: 0,
  endsInZeros: false,
  fold(target, others, length) {
    for (let i = 0; i < length; i++) target[i]! |= others[i]!
  },
}

const xor: Operation = {
  identity: 0,
  endsInZeros: false,
  fold(target, others, length) {
    for (let i = 0; i < length; i++) target[i]! ^= others[i]!
  },
}

const not: Operation = { ...xor, identity: 0xff }

const operations = [
  { word: 'and', operation: and },
  { word: 'or', operation: or },
  { word: 'xor', operation: xor },
  { word: 'not', operation: not },
] as const

export function bitop(client: Client): void {
  const { store, args, reply, db } = client
  const operation = operations.find(({ word }) => args.is(1, word))?.operation
  if (operation === undefined) return reply.error(ERR_SYNTAX)
  if (operation === not && args.count !== FIRST_SOURCE + 1) return reply.error(ERR_BITOP_NOT)
  const { count } = args
  if (count - FIRST_SOURCE <= SOURCES_WHOLE_MAX) {
    const sources = new Sources(operation, windowForShort)
    // What is told waits until the keys are unlocked.
    holding(client, () => {
      store.lockKeys(db, args, DESTINATION, count, 1)
      sources.take(client, FIRST_SOURCE, count)
      if (sources.long.length === 0) putShort(client, sources)
      store.unlockKeys()
    })
    if (sources.long.length > 0) putLong(client, sources.kept())
    return
  }
  takeInSteps(client, new Sources(operation, new Uint8Array(WINDOW_BYTES)))
}

/** So that a call with short sources allocates nothing; used within one call only. */
const windowForShort = new Uint8Array(WINDOW_BYTES)

function takeInSteps(client: Client, sources: Sources): void {
  let i = FIRST_SOURCE
  client.inSteps(() => {
    const { args, store, db } = client
    const end = Math.min(args.count, i + SOURCES_WHOLE_MAX)
    holding(client, () => {
      store.lockKeys(db, args, i, end, 1)
      sources.take(client, i, end)
      store.unlockKeys()
    })
    i = end
    if (i < args.count) return false
    if (sources.long.length === 0) putShort(client, sources)
    else putLong(client, sources)
    return true
  })
}

/** What was found of the sources. */
class Sources {
  readonly operation: Operation
  /** The first window of the result, as far as short sources make it. */
  readonly first: Uint8Array
  readonly long: Pages[] = []
  /** Bytes of the longest. */
  length = 0
  hasShort = false
  /** Bytes of `first` that mean something. */
  #used = 0

  constructor(operation: Operation, first: Uint8Array) {
    this.operation = operation
    this.first = first
  }

  /** Takes the sources that the arguments [from, end) are. */
  take(client: Client, from: number, end: number): void {
    const { store } = client
    const { bytes, scratch } = store.io
    for (let i = from; i < end; i++) {
      const found = openKey(client, i)
      const length = found ? store.valueLength : 0
      this.length = Math.max(this.length, length)
      if (store.inPages) {
        this.long.push(store.pin())
      } else {
        if (length > 0) store.read(0, length, scratch)
        this.#foldShort(bytes.subarray(scratch, scratch + length))
      }
      store.close()
      countLookup(client, found, i)
    }
  }

  #foldShort(bytes: Uint8Array): void {
    const { operation } = this
    this.use(bytes.length)
    this.hasShort = true
    foldInto(operation, this.first, 0, bytes)
    if (operation.endsInZeros) this.first.fill(0, bytes.length, this.#used)
  }

  /** From now on `first` has so many bytes. */
  use(length: number): void {
    if (length <= this.#used) return
    const { identity, endsInZeros } = this.operation
    this.first.fill(endsInZeros && this.hasShort ? 0 : identity, this.#used, length)
    this.#used = length
  }

  /** The same with a window of its own. */
  kept(): Sources {
    const copy = new Sources(this.operation, new Uint8Array(WINDOW_BYTES))
    copy.first.set(this.first.subarray(0, this.#used))
    copy.long.push(...this.long)
    copy.length = this.length
    copy.hasShort = this.hasShort
    copy.#used = this.#used
    return copy
  }
}

/** Folds bytes into those of `window` from `at` on. */
function foldInto(operation: Operation, window: Uint8Array, at: number, bytes: Uint8Array): void {
  const { length } = bytes
  const areAligned = ((window.byteOffset + at) & 3) === 0 && (bytes.byteOffset & 3) === 0
  const whole = areAligned ? length & -4 : 0
  if (whole > 0) {
    const words = whole >> 2
    operation.fold(
      new Int32Array(window.buffer, window.byteOffset + at, words),
      new Int32Array(bytes.buffer, bytes.byteOffset, words),
      words,
    )
  }
  if (whole === length) return
  operation.fold(window.subarray(at + whole), bytes.subarray(whole), length - whole)
}

/** Makes the destination what short sources have become. */
function putShort(client: Client, { first, length }: Sources): void {
  const { store, reply } = client
  const found = openKey(client, DESTINATION)
  let status: number = STORED
  if (length > 0) status = store.put(first, 0, length, 0)
  else if (found) store.remove()
  store.close()
  if (status === STORED && length > 0) notifyWrite(client, 'set', DESTINATION, found)
  else if (status === STORED && found) notify(client, 'del', DESTINATION)
  if (status === STORED) reply.integer(length)
  else reply.error(ERR_OOM)
}

/** Folds the long ones in turns with others, and makes the destination what comes of it. */
function putLong(client: Client, sources: Sources): void {
  const { operation, first, long, length, hasShort } = sources
  const result = client.store.pages()
  let window = 0
  let source = 0
  let size = Math.min(WINDOW_BYTES, length)
  sources.use(size)
  const end = (status: number): boolean => {
    for (const pages of long) pages.release()
    if (status === STORED) client.reply.integer(length)
    else client.reply.error(ERR_OOM)
    return true
  }
  client.inSteps(() => {
    if (source < long.length) {
      foldWindow(operation, first.subarray(0, size), long[source++]!, window)
      return false
    }
    if (!result.write(first, 0, size)) return end(NOT_WRITTEN)
    window += size
    if (window < length) {
      source = 0
      size = Math.min(WINDOW_BYTES, length - window)
      first.fill(operation.endsInZeros && hasShort ? 0 : operation.identity, 0, size)
      return false
    }
    const found = openKey(client, DESTINATION)
    const status = client.store.putPages(result, 0)
    client.store.close()
    if (status === STORED) notifyWrite(client, 'set', DESTINATION, found)
    return end(status)
  })
}

/** Beside what the store says. */
const NOT_WRITTEN = -1

/** Folds a source's bytes from `at` on into those of the window. */
function foldWindow(operation: Operation, window: Uint8Array, source: Pages, at: number): void {
  const length = Math.max(0, Math.min(window.length, source.length - at))
  for (let done = 0; done < length;) {
    const bytes = source.piece(at + done)
    const part = bytes.length > length - done ? bytes.subarray(0, length - done) : bytes
    foldInto(operation, window, done, part)
    done += part.length
  }
  if (operation.endsInZeros) window.fill(0, length)
}
