/*
 * Where the callers of an embedded cache put their keys and values: strings and bytes are brought into
 * the scratch area of the I/O memory, from which copies into the store are fastest, key and value one
 * behind the other, as the store's verbs want them. What does not fit is brought together elsewhere.
 */
import type { IoMemory } from '../store/store.ts'

/** What keys and values are given as; a string stands for its UTF-8. */
export type Bytes = string | Uint8Array

/** Up to here a loop over characters or bytes is faster than a call. */
const LOOP_LENGTH_MAX = 20

/** A UTF-16 unit becomes at most so many bytes of UTF-8. */
const UTF8_PER_UNIT_MAX = 3

const ASCII_MAX = 0x7f

/** One key, or one pair, at a time: the next one overwrites it. */
export class Staging {
  /** All of the I/O memory. */
  readonly io: Buffer
  /** The key lies at bytes[pos, pos + keyLength), the value of a pair behind it. */
  bytes: Uint8Array
  pos: number
  keyLength = 0
  valueLength = 0
  readonly #ioBytes: Uint8Array
  readonly #scratch: number
  readonly #room: number

  constructor(io: IoMemory) {
    this.io = Buffer.from(io.bytes.buffer, io.bytes.byteOffset, io.bytes.length)
    this.bytes = io.bytes
    this.pos = io.scratch
    this.#ioBytes = io.bytes
    this.#scratch = io.scratch
    this.#room = io.scratchEnd - io.scratch
  }

  /** Brings a key to bytes[pos, pos + keyLength). */
  key(key: Bytes): void {
    this.bytes = this.#ioBytes
    this.pos = this.#scratch
    if (bytesMax(key) <= this.#room) this.keyLength = this.#write(key, this.pos)
    else this.#apart(key, '')
  }

  /** The same, and the value right behind it. */
  pair(key: Bytes, value: Bytes): void {
    this.bytes = this.#ioBytes
    this.pos = this.#scratch
    if (bytesMax(key) + bytesMax(value) <= this.#room) {
      this.keyLength = this.#write(key, this.pos)
      this.valueLength = this.#write(value, this.pos + this.keyLength)
    } else {
      this.#apart(key, value)
    }
  }

  /** Lets go of what was brought together elsewhere, which may be long. */
  forget(): void {
    this.bytes = this.#ioBytes
  }

  #apart(key: Bytes, value: Bytes): void {
    this.keyLength = byteLength(key)
    this.valueLength = byteLength(value)
    const length = this.keyLength + this.valueLength
    if (length > this.#room) {
      this.bytes = Buffer.allocUnsafeSlow(length)
      this.pos = 0
    }
    const buffer = length > this.#room ? (this.bytes as Buffer) : this.io
    put(key, buffer, this.pos)
    put(value, buffer, this.pos + this.keyLength)
  }

  /** Into the I/O memory. @returns the bytes written */
  #write(text: Bytes, at: number): number {
    const { length } = text
    const io = this.#ioBytes
    if (typeof text !== 'string') {
      if (length > LOOP_LENGTH_MAX) io.set(text, at)
      else for (let i = 0; i < length; i++) io[at + i] = text[i]!
      return length
    }
    if (length > LOOP_LENGTH_MAX) return this.io.write(text, at, 'utf8')
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > ASCII_MAX) return this.io.write(text, at, 'utf8')
      io[at + i] = unit
    }
    return length
  }
}

function byteLength(text: Bytes): number {
  return typeof text === 'string' ? Buffer.byteLength(text) : text.length
}

function bytesMax(text: Bytes): number {
  return typeof text === 'string' ? text.length * UTF8_PER_UNIT_MAX : text.length
}

function put(text: Bytes, buffer: Buffer, at: number): void {
  if (typeof text === 'string') buffer.write(text, at, 'utf8')
  else buffer.set(text, at)
}
