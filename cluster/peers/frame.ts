/**
 * The bytes of a link in peer mode.
 *
 * A request is an ordinary RESP array with a header in front of the command, in text:
 *
 *     *3  $.. "<id> <deadline> <view>[ 3]"  $3 "GET"  $3 "key"
 *
 * `id` is the caller's number for it, `deadline` for how many milliseconds its answer is still
 * worth waiting for, `view` the hash of the caller's view of the cluster; a 3 says that the reply is wanted
 * in RESP3. Answers come in any order:
 *
 *     @<id>  followed by that request's reply, in RESP2 or as wanted
 *     @-<id> alone: it is being worked on, go on waiting
 *
 * No reply begins with an @: an id is never taken for a reply, nor a reply for an id.
 *
 * Who serves a request that is not answered within LOADING_AFTER_MS sends the second, once,
 * whatever the request waits for: a caller that hears nothing by SILENCE_MS gives the node up.
 */
import { strict as assert } from 'node:assert'

/** The owner's word that a request is alive comes by then. */
export const LOADING_AFTER_MS = 300

/** A caller that heard nothing by then asks the next node. 100 ms for the way and the queues. */
export const SILENCE_MS = 400

/** An argument longer than this is written from where it is instead of being copied. */
const COPIED_BYTES_MAX = 16384

/** `*4294967295`, `$50` and a header of three numbers, with their line ends. */
const FRAMING_BYTES = 80
/** `$2147483647` and two line ends. */
const ARGUMENT_FRAMING_BYTES = 16

const CRLF = 0x0a0d
const STAR = 0x2a
const DOLLAR = 0x24
const SPACE = 0x20
const ZERO = 0x30
const DIGITS_MAX = 15

/** One request as it goes out. */
export interface Frame {
  readonly id: number
  readonly args: readonly Buffer[]
  /** How the reply is wanted. */
  readonly protocol: 2 | 3
}

/** Writes one request after the other into as few buffers as its long arguments allow. */
export class FrameWriter {
  readonly #chunks: Buffer[] = []
  #area: Buffer
  #start = 0
  #pos = 0

  /** `bytes`: what the requests need besides their long arguments, by `copiedBytes`. */
  constructor(bytes: number) {
    this.#area = Buffer.allocUnsafe(bytes)
  }

  add(frame: Frame, deadlineMs: number, view: number): void {
    const wants = frame.protocol === 3 ? ' 3' : ''
    const header = `${frame.id} ${Math.max(1, Math.ceil(deadlineMs))} ${view}${wants}`
    this.#head(STAR, frame.args.length + 1)
    this.#head(DOLLAR, header.length)
    this.#pos += this.#area.write(header, this.#pos, 'latin1')
    this.#lineEnd()
    for (const argument of frame.args) {
      this.#head(DOLLAR, argument.length)
      if (argument.length > COPIED_BYTES_MAX) {
        this.#cut()
        this.#chunks.push(argument)
      } else {
        this.#area.set(argument, this.#pos)
        this.#pos += argument.length
      }
      this.#lineEnd()
    }
  }

  /** All that was added, to be written in this order. Long arguments are the caller's own memory. */
  take(): readonly Buffer[] {
    this.#cut()
    return this.#chunks
  }

  #head(type: number, length: number): void {
    this.#area[this.#pos++] = type
    this.#pos += this.#area.write(String(length), this.#pos, 'latin1')
    this.#lineEnd()
  }

  #lineEnd(): void {
    this.#pos = this.#area.writeUInt16LE(CRLF, this.#pos)
  }

  #cut(): void {
    assert(this.#pos <= this.#area.length)
    if (this.#pos > this.#start) this.#chunks.push(this.#area.subarray(this.#start, this.#pos))
    this.#start = this.#pos
  }
}

/** A request has at most so many bytes on the link. */
export function frameBytes(args: readonly Buffer[]): number {
  let bytes = FRAMING_BYTES + ARGUMENT_FRAMING_BYTES * args.length
  for (const argument of args) bytes += argument.length
  return bytes
}

/** Room a FrameWriter needs for this request: long arguments are not copied. */
export function copiedBytes(args: readonly Buffer[]): number {
  let bytes = FRAMING_BYTES + ARGUMENT_FRAMING_BYTES * args.length
  for (const argument of args) if (argument.length <= COPIED_BYTES_MAX) bytes += argument.length
  return bytes
}

/** A request's header as the owner reads it. */
export interface RequestHeader {
  id: number
  deadlineMs: number
  view: number
  /** How the reply is wanted. */
  protocol: 2 | 3
}

/**
 * Reads the header that stands at `pos` with `length` bytes into `header`. False when it is none:
 * the link is then to be closed. Allocates nothing.
 */
export function readHeader(
  bytes: Uint8Array,
  pos: number,
  length: number,
  header: RequestHeader,
): boolean {
  let field = 0
  let digits = 0
  let number = 0
  header.protocol = 2
  for (let i = pos; i <= pos + length; i++) {
    const byte = i < pos + length ? bytes[i]! : SPACE
    if (byte === SPACE) {
      if (digits === 0 || digits > DIGITS_MAX) return false
      if (field === 0) header.id = number
      else if (field === 1) header.deadlineMs = number
      else if (field === 2) header.view = number
      else if (field === 3 && number === 3) header.protocol = 3
      else return false
      field++
      digits = 0
      number = 0
    } else if (byte >= ZERO && byte <= ZERO + 9) {
      number = number * 10 + (byte - ZERO)
      digits++
    } else {
      return false
    }
  }
  return field >= 3 && header.id > 0
}
