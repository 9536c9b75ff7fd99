/** CONTRACT (to be replaced by the implementation; keep these signatures). */
import type { Args, BigBulk } from './args.ts'

/** Shared by all decoders of a server; CONFIG SET changes the fields. */
export interface DecoderLimits {
  /** proto-max-bulk-len: longest announced bulk. */
  bulkBytesMax: number
  /** Bulks longer than this are handed out as BIG. 64 KB. */
  bigBytesMin: number
}

/** More bytes are needed: keep [base, to) and present it again, contiguous, with more behind it. */
export const MORE = 0
/** A command stands in `args`; it ended before index `end`. */
export const COMMAND = 1
/** `error` is the line to answer (Redis's words, no '-' and no CRLF); then close the connection. */
export const ERROR = 2
/**
 * A bulk of `bigLength` bytes begins at index `end`. The caller takes `bigLength + 2` bytes (the
 * CRLF is skipped unread, as Redis does) out of the stream, wherever they go, calls `endBig(bulk)`
 * and goes on with `next`, having removed them: the bytes [base, end) kept, directly followed by
 * what came after the bulk.
 */
export const BIG = 3
export type Status = typeof MORE | typeof COMMAND | typeof ERROR | typeof BIG

/**
 * Resumable decoder of one connection's requests (RESP arrays and inline commands). It never
 * throws, never copies an argument, and allocates only for arguments that have arrived. Inline
 * commands with quotes are unescaped in place (that only shrinks).
 */
export declare class Decoder {
  constructor(args: Args, limits: DecoderLimits)
  /** Before AUTH: at most 10 arguments of at most 16,384 bytes. */
  restricted: boolean
  /** Index in the bytes of the last call where the unfinished (or just finished) command begins. */
  base: number
  end: number
  bigLength: number
  error: string
  /**
   * Decodes from where it stopped. `bytes[base_ ..)` must begin with the kept bytes of an
   * unfinished command: `from` is the index where they (or a new command) now begin, `to` the end
   * of what has arrived. Decoded before is not decoded again.
   */
  next(bytes: Uint8Array, from: number, to: number): Status
  endBig(bulk: BigBulk): void
  /** Bytes this decoder holds beyond a fixed few hundred (grown offset tables). */
  get heldBytes(): number
}
