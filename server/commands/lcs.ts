/*
 * LCS: the longest common subsequence of two values.
 *
 * The usual table has a number for each pair of places. Only two rows of it are kept, and of each
 * cell one bit: whether the way back goes up. Redis keeps the numbers, and refuses where they would
 * need more than proto-max-bulk-len; so does this, though it needs a 32nd of that. The rows are worked
 * out in turns with others, from copies of the values.
 */
import {
  ERR_LCS_BUSY,
  ERR_LCS_LENGTH_AND_INDEXES,
  ERR_LCS_MEMORY,
  ERR_NOT_INTEGER,
  ERR_SYNTAX,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Pages } from '../store/store.ts'
import { countLookup, openKey } from './lookup.ts'

/** Bytes of a number in Redis's table. */
const CELL_BYTES = 4

/**
 * Bytes that all of a thread's together may need at a time: copies, and the bits of their tables. The
 * largest that proto-max-bulk-len lets pass needs 72 MB.
 */
const UNDER_WAY_BYTES_MAX = 96 * 1024 * 1024

/** What those of this thread need that are not answered yet. */
let bytesUnderWay = 0

/** Cells between two looks at the clock. */
const CELLS_PER_STEP = 32 * 1024

interface Options {
  readonly isLength: boolean
  readonly isIndexes: boolean
  readonly hasMatchLengths: boolean
  readonly matchLengthMin: number
}

/** The options, or an error's line. */
function optionsOf({ args }: Client): Options | string {
  let isLength = false
  let isIndexes = false
  let hasMatchLengths = false
  let matchLengthMin = 0
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'idx')) isIndexes = true
    else if (args.is(i, 'len')) isLength = true
    else if (args.is(i, 'withmatchlen')) hasMatchLengths = true
    else if (args.is(i, 'minmatchlen') && i + 1 < args.count) {
      matchLengthMin = Math.max(0, args.integer(++i))
      if (Number.isNaN(matchLengthMin)) return ERR_NOT_INTEGER
    } else {
      return ERR_SYNTAX
    }
  }
  if (isIndexes && isLength) return ERR_LCS_LENGTH_AND_INDEXES
  return { isLength, isIndexes, hasMatchLengths, matchLengthMin }
}

export function lcs(client: Client): void {
  const { store, args, reply, server, db } = client
  const options = optionsOf(client)
  server.notifier?.hold()
  store.lockKeys(db, args, 1, 3, 1)
  const values = [take(client, 1), take(client, 2)] as const
  store.unlockKeys()
  server.notifier?.release()
  const [a, b] = values
  const tableBytes = (a.length + 1) * (b.length + 1) * CELL_BYTES
  const bytes = a.length + b.length + Math.ceil((a.length * b.length) / 8)
  let refusal: string | null = null
  if (typeof options === 'string') refusal = options
  else if (tableBytes > server.config['proto-max-bulk-len']) refusal = ERR_LCS_MEMORY
  else if (bytesUnderWay + bytes > UNDER_WAY_BYTES_MAX) refusal = ERR_LCS_BUSY
  if (refusal !== null || typeof options === 'string') {
    for (const value of values) if (!(value instanceof Uint8Array)) value.release()
    reply.error(refusal!)
    return
  }
  bytesUnderWay += bytes
  const search = new Search(copyOf(a), copyOf(b), !options.isLength)
  client.inSteps(() => {
    if (!search.step()) return false
    bytesUnderWay -= bytes
    if (options.isLength) client.reply.integer(search.length)
    else if (options.isIndexes) replyMatches(client, search, options)
    else client.reply.bulk(search.common)
    return true
  })
}

/** The value of the key that argument i is: a copy, or its pages pinned. */
function take(client: Client, i: number): Uint8Array | Pages {
  const { store } = client
  const { bytes, scratch } = store.io
  const found = openKey(client, i)
  let value: Uint8Array | Pages
  if (store.inPages) {
    value = store.pin()
  } else {
    const length = found ? store.valueLength : 0
    if (length > 0) store.read(0, length, scratch)
    value = bytes.slice(scratch, scratch + length)
  }
  store.close()
  countLookup(client, found, i)
  return value
}

/** Within the limit of the table no copy is longer than an eighth of proto-max-bulk-len. */
function copyOf(value: Uint8Array | Pages): Uint8Array {
  if (value instanceof Uint8Array) return value
  const copy = value.toBuffer()
  value.release()
  return copy
}

function replyMatches(client: Client, search: Search, options: Options): void {
  const { reply } = client
  const { hasMatchLengths, matchLengthMin } = options
  const matches = search.matches.filter(({ length }) => length >= matchLengthMin)
  reply.map(2)
  reply.text('matches')
  reply.array(matches.length)
  for (const { a, b, length } of matches) {
    reply.array(hasMatchLengths ? 3 : 2)
    for (const from of [a, b]) {
      reply.array(2)
      reply.integer(from)
      reply.integer(from + length - 1)
    }
    if (hasMatchLengths) reply.integer(length)
  }
  reply.text('len')
  reply.integer(search.length)
}

/** So many bytes from `a` in the one value and from `b` in the other are the same. */
interface Match {
  readonly a: number
  readonly b: number
  readonly length: number
}

class Search {
  readonly #a: Uint8Array
  readonly #b: Uint8Array
  /** The table's last two rows, the older one first. */
  #above: Uint32Array
  #row: Uint32Array
  /** A bit for each cell, row by row; null: nobody wants the way back. */
  readonly #goesUp: Uint8Array | null
  #rows = 0
  /** Where the way back is: rows and columns that are left. */
  #i = 0
  #j = 0
  #common = new Uint8Array(0)
  /** Bytes of it that are not known yet. */
  #left = 0
  #match: { -readonly [K in keyof Match]: Match[K] } | null = null
  /**
   * Where it lies in both values, from the end, as Redis finds it: the byte at which a match is seen to
   * be over, because the two do not go on side by side, belongs to none.
   */
  readonly matches: Match[] = []

  constructor(a: Uint8Array, b: Uint8Array, wantsWay: boolean) {
    this.#a = a
    this.#b = b
    this.#above = new Uint32Array(b.length + 1)
    this.#row = new Uint32Array(b.length + 1)
    this.#goesUp = wantsWay ? new Uint8Array(Math.ceil((a.length * b.length) / 8)) : null
  }

  /** Of the longest common subsequence, once all rows are worked out. */
  get length(): number {
    return this.#row[this.#b.length]!
  }

  /** Does some work more: rows first, then steps of the way back. True: all is done. */
  step(): boolean {
    const a = this.#a
    const b = this.#b
    if (a.length === 0 || b.length === 0) return true
    if (this.#rows === a.length) return this.#goesUp === null || this.#goBack()
    const rows = Math.ceil(CELLS_PER_STEP / b.length)
    const end = Math.min(a.length, this.#rows + rows)
    while (this.#rows < end) this.#addRow(this.#rows++)
    if (this.#rows === a.length) this.#begin()
    return false
  }

  #addRow(i: number): void {
    const b = this.#b
    const above = this.#row
    const row = this.#above
    const goesUp = this.#goesUp
    const byte = this.#a[i]
    let bit = i * b.length
    let left = 0
    for (let j = 0; j < b.length; j++, bit++) {
      const up = above[j + 1]!
      if (byte === b[j]) {
        left = above[j]! + 1
      } else if (up > left) {
        left = up
        if (goesUp !== null) goesUp[Math.floor(bit / 8)]! |= 1 << (bit & 7)
      }
      row[j + 1] = left
    }
    this.#above = above
    this.#row = row
  }

  /** Does the way back from row i, column j, of which the bytes differ, go up? */
  #isUp(i: number, j: number): boolean {
    const bit = i * this.#b.length + j
    return ((this.#goesUp![Math.floor(bit / 8)]! >> (bit & 7)) & 1) === 1
  }

  /** The table is there: the way back begins at its last cell. */
  #begin(): void {
    this.#i = this.#a.length
    this.#j = this.#b.length
    if (this.#goesUp !== null) this.#common = new Uint8Array(this.length)
    this.#left = this.#common.length
  }

  /** True: the way back is at its end. */
  #goBack(): boolean {
    for (let n = 0; n < CELLS_PER_STEP; n++) {
      if (this.#i === 0 || this.#j === 0) return true
      this.#goStep()
    }
    return false
  }

  #goStep(): void {
    const i = --this.#i
    const j = --this.#j
    const byte = this.#a[i]!
    if (byte === this.#b[j]) {
      this.#common[--this.#left] = byte
      this.#meet(i, j)
      return
    }
    if (this.#isUp(i, j)) this.#j++
    else this.#i++
    this.#endMatch()
  }

  /** The bytes at i and j are the same. */
  #meet(i: number, j: number): void {
    const match = this.#match
    if (match === null) {
      this.#match = { a: i, b: j, length: 1 }
    } else if (match.a === i + 1 && match.b === j + 1) {
      match.a--
      match.b--
      match.length++
    } else {
      this.#endMatch()
    }
    if (this.#match?.a === 0 || this.#match?.b === 0) this.#endMatch()
  }

  #endMatch(): void {
    if (this.#match !== null) this.matches.push(this.#match)
    this.#match = null
  }

  /** The subsequence itself, once all is done. */
  get common(): Uint8Array {
    return this.#common
  }
}
