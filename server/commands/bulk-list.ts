import { Buffer } from 'node:buffer'
import type { Reply } from '../../protocol/reply.ts'

/** The first piece is small, for most lists are; long ones need few. */
const LIST_PIECE_MIN = 1024
const LIST_PIECE_MAX = 64 * 1024

/** Bulk strings for a reply that is made before it is known how many there are. */
export class BulkList {
  count = 0
  readonly #pieces: Buffer[] = []
  #piece = Buffer.alloc(0)
  #used = 0
  /** Pieces that are written. */
  #written = 0

  add(bytes: Uint8Array, pos: number, length: number): void {
    const head = `$${length}\r\n`
    const size = head.length + length + 2
    if (this.#used + size > this.#piece.length) this.#grow(size)
    const piece = this.#piece
    this.#used += piece.write(head, this.#used, 'latin1')
    piece.set(bytes.subarray(pos, pos + length), this.#used)
    this.#used += length
    this.#used += piece.write('\r\n', this.#used, 'latin1')
    this.count++
  }

  #grow(size: number): void {
    this.#pieces.push(this.#piece.subarray(0, this.#used))
    const doubled = Math.max(LIST_PIECE_MIN, 2 * this.#piece.length)
    const length = Math.max(size, Math.min(LIST_PIECE_MAX, doubled))
    this.#piece = Buffer.allocUnsafe(length)
    this.#used = 0
  }

  /** Writes them one after the other. */
  writeTo(reply: Reply): void {
    while (!this.writeSome(reply, 1));
  }

  /** Writes the next so many pieces. True: these were the last. */
  writeSome(reply: Reply, pieces: number): boolean {
    for (let i = 0; i < pieces; i++) {
      const piece = this.#pieces[this.#written]
      if (piece === undefined) {
        reply.raw(this.#piece, 0, this.#used)
        return true
      }
      reply.raw(piece)
      this.#written++
    }
    return false
  }
}
