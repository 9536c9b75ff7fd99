/*
 * The store's memory: arenas that all threads share, and each thread's own I/O memory.
 *
 *   arena k (shared, at most 2 GiB, allocated once, never grown)
 *   +--------+----------------+-------------+--------------+-----------------------------+
 *   | header | bucket headers | chunk table | first pieces | chunks                      |
 *   +--------+----------------+-------------+--------------+-----------------------------+
 *    pool     lock, index,     7 words a     the first      pieces of rings, of indexes,
 *             ring, counters   chunk: next,  index piece    of ghosts, and pages of big
 *                              generation,   of each        values
 *                              marks ...     bucket
 *
 *   I/O memory (one a thread, private)
 *   [carry 64K | read 64K | scratch 128K | 8 reply areas of 256K | the store's own 128K]
 *
 * Why WebAssembly.Memory: V8 copies into and out of shared memory with relaxed atomics, byte by
 * byte when source and target are not equally aligned: 16 KB take 5,800-14,000 ns by `set` and
 * `copyWithin`, 1,500-2,000 ns by the `memory.copy` instruction, up to 256 bytes a flat 9-20 ns.
 * Reading single bytes and words from it costs what it costs on a plain buffer. Pages of an arena
 * are committed by the operating system when they are first touched, so a large arena costs nothing
 * at the start. Above 2^31 JavaScript's addresses stop being small integers and byte loops cost two
 * to three times as much, hence several arenas instead of one large one.
 *
 * `memory.copy` between the private memory and an arena needs a module with two memories. Node 20
 * refuses those: there the I/O memory is the beginning of the one arena, the store serves one
 * thread only, and maxmemory over 2 GB is refused.
 */

/** How many parts the store has. A power of two: the low bits of a hash choose one. */
export const BUCKETS = 512

/** What WebAssembly calls a page: memories are multiples of it. */
const WASM_PAGE_BYTES = 65_536

/** What one arena is for. The last 64 KB are not used, so that no position reaches 2^31. */
const ARENA_SHARE_MAX = 2 ** 31
const ARENA_BYTES_MAX = ARENA_SHARE_MAX - WASM_PAGE_BYTES

/** 128 GiB; page ids have room for 127 arenas. */
const ARENAS_MAX = 64

/** Smaller caches spend more on their 512 headers than on values. */
export const MEMORY_BYTES_MIN = 2 * 1024 * 1024

/** What the store asks of a `WebAssembly.Memory`. A shared one can be posted to another thread. */
export interface Memory {
  readonly buffer: ArrayBufferLike
}

interface MemoryDescriptor {
  readonly initial: number
  readonly maximum: number
  readonly shared: boolean
}

/** The part of the WebAssembly API used here; @types/node does not describe it. */
declare const WebAssembly: {
  readonly Memory: new (descriptor: MemoryDescriptor) => Memory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { readonly m: { readonly io: Memory; readonly arena: Memory } },
  ) => { readonly exports: CopyExports }
  validate(bytes: Uint8Array): boolean
}

/** `to` and `from` are positions; overlapping ranges are copied as if by a detour. */
type Copy = (to: number, from: number, length: number) => void

interface CopyExports {
  readonly i: Copy
  readonly o: Copy
  readonly m: Copy
  readonly f: (to: number, byte: number, length: number) => void
}

/** Bytes of one section of a WASM module: its id, its size, its content. */
function section(id: number, content: readonly number[]): number[] {
  return [id, content.length, ...content]
}

/** A function body without locals that applies `instruction` to its three parameters. */
function body(instruction: readonly number[]): number[] {
  const code = [0, 0x20, 0, 0x20, 1, 0x20, 2, ...instruction, 0x0b]
  return [code.length, ...code]
}

/**
 * The copy helper as a WASM binary. In the text format:
 *
 *   (module
 *     (import "m" "io" (memory $io 0))
 *     (import "m" "arena" (memory $arena 0 65536 shared))
 *     (func (export "i") (param i32 i32 i32) ... (memory.copy $arena $io))
 *     (func (export "o") (param i32 i32 i32) ... (memory.copy $io $arena))
 *     (func (export "m") (param i32 i32 i32) ... (memory.copy $arena $arena))
 *     (func (export "f") (param i32 i32 i32) ... (memory.fill $arena)))
 *
 * With one memory `$io` is left out and stands for `$arena` everywhere.
 */
function copyHelper(memories: 1 | 2): Uint8Array {
  const io = 0
  const arena = memories - 1
  const ioImport = [1, 0x6d, 2, 0x69, 0x6f, 2, 0x00, 0]
  const arenaImport = [1, 0x6d, 5, 0x61, 0x72, 0x65, 0x6e, 0x61, 2, 0x03, 0, 0x80, 0x80, 4]
  const copy = (to: number, from: number): number[] => body([0xfc, 0x0a, to, from])
  const code = [copy(arena, io), copy(io, arena), copy(arena, arena), body([0xfc, 0x0b, arena])]
  const names = [0x69, 0x6f, 0x6d, 0x66]
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0]),
    ...section(2, [memories, ...(memories === 2 ? ioImport : []), ...arenaImport]),
    ...section(3, [4, 0, 0, 0, 0]),
    ...section(7, [4, ...names.flatMap((name, index) => [1, name, 0, index])]),
    ...section(10, [4, ...code.flat()]),
  ])
}

/** Does this Node let a WASM module have two memories? From Node 22 on. */
export const multiMemory: boolean = WebAssembly.validate(copyHelper(2))

let compiled: object | null = null

function compiledHelper(): object {
  compiled ??= new WebAssembly.Module(copyHelper(multiMemory ? 2 : 1))
  return compiled
}

const KB = 1024
const REPLY_BYTES = 256 * KB
const REPLY_AREAS = 8
const CARRY = 0
const READ = 64 * KB
const SCRATCH = 128 * KB
const REPLIES = 256 * KB
const OWN = REPLIES + REPLY_AREAS * REPLY_BYTES

/** Longest piece the store composes in its own part of the I/O memory: no ring entry is longer. */
export const OWN_BYTES = 64 * KB

/** Bytes from the heap come by this area: into private memory first, and from there by WASM. */
const STAGE = OWN + OWN_BYTES
const STAGE_BYTES = 64 * KB

/** The I/O memory of one thread. */
export const IO_BYTES = STAGE + STAGE_BYTES

/** The thread's private memory; positions everywhere are indexes in `bytes`. */
export interface IoMemory {
  /** A plain Uint8Array over it (on Node 20 it lies inside arena 0 and is shared). */
  readonly bytes: Uint8Array
  /** [carry, read) is where a partial command is put so that it ENDS where the read area begins. */
  readonly carry: number
  readonly read: number
  readonly readEnd: number
  readonly scratch: number
  readonly scratchEnd: number
  /** First position of each reply area, all of `replyBytes` bytes. */
  readonly replies: readonly number[]
  readonly replyBytes: number
}

function ioMemory(memory: Memory): IoMemory {
  return {
    bytes: new Uint8Array(memory.buffer, 0, IO_BYTES),
    carry: CARRY,
    read: READ,
    readEnd: SCRATCH,
    scratch: SCRATCH,
    scratchEnd: REPLIES,
    replies: Array.from({ length: REPLY_AREAS }, (_, index) => REPLIES + index * REPLY_BYTES),
    replyBytes: REPLY_BYTES,
  }
}

/** Where the store's own part of the I/O memory begins. */
export const OWN_AT = OWN

/** Copies of up to this many bytes are made byte by byte: a call into WASM costs as much. */
const LOOP_BYTES_MAX = 16

/** One arena: three views of the same memory, and the copies WASM makes. Positions are in bytes. */
export class Arena {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly #io: Uint8Array
  readonly #copyIn: Copy
  readonly #copyOut: Copy
  readonly #move: Copy
  readonly #fill: (to: number, byte: number, length: number) => void

  constructor(memory: Memory, io: Memory, ioBytes: Uint8Array) {
    this.bytes = new Uint8Array(memory.buffer)
    this.words = new Int32Array(memory.buffer)
    this.doubles = new Float64Array(memory.buffer)
    this.#io = ioBytes
    const helper = new WebAssembly.Instance(compiledHelper(), { m: { io, arena: memory } }).exports
    this.#copyIn = helper.i
    this.#copyOut = helper.o
    this.#move = helper.m
    this.#fill = helper.f
  }

  /** From the I/O memory, or from any other bytes (slower), into the arena. */
  copyIn(to: number, bytes: Uint8Array, from: number, length: number): void {
    if (length <= LOOP_BYTES_MAX) {
      const arena = this.bytes
      for (let i = 0; i < length; i++) arena[to + i] = bytes[from + i]!
    } else if (bytes === this.#io) {
      this.#copyIn(to, from, length)
    } else {
      for (let done = 0; done < length; done += STAGE_BYTES) {
        const piece = Math.min(length - done, STAGE_BYTES)
        this.#io.set(bytes.subarray(from + done, from + done + piece), STAGE)
        this.#copyIn(to + done, STAGE, piece)
      }
    }
  }

  /** Out of the arena to a position in the I/O memory. */
  copyOut(to: number, from: number, length: number): void {
    if (length <= LOOP_BYTES_MAX) {
      const io = this.#io
      const arena = this.bytes
      for (let i = 0; i < length; i++) io[to + i] = arena[from + i]!
    } else {
      this.#copyOut(to, from, length)
    }
  }

  /** Within the arena; the ranges may overlap. */
  move(to: number, from: number, length: number): void {
    this.#move(to, from, length)
  }

  clear(from: number, length: number): void {
    this.#fill(from, 0, length)
  }
}

/** Words of a bucket's header before its counters of databases. bucket.ts and ring.ts name them. */
export const BUCKET_FIXED_WORDS = 96

/** Words of an arena's header. pool.ts names them. */
const ARENA_HEADER_WORDS = 64

/** Words of the chunk table for each chunk. pool.ts names them. */
export const CHUNK_WORDS = 7

const CHUNK_SHIFT_MAX = 16
const CHUNK_SHIFT_MIN = 9

/** Fewer chunks a bucket cost 3-5 points of hit ratio. */
const CHUNKS_PER_BUCKET = 32

/** A chunk holds up to 8 index pieces: whole chunks are too coarse an index at a million entries. */
const PIECES_PER_CHUNK_SHIFT = 3

/** What stands where in an arena. Equal in all arenas of a store, and in all threads. */
export interface Layout {
  readonly maxMemory: number
  readonly databases: number
  readonly arenas: number
  /** WASM pages of each arena's memory. */
  readonly wasmPages: number
  /** First word of the arena's header: the pool's fields. */
  readonly header: number
  /** First word of the first bucket's header, and words from one to the next. */
  readonly firstBucket: number
  readonly bucketWords: number
  readonly bucketsPerArena: number
  /** First word of the chunk table's row 0 (which no chunk has: ids begin with 1). */
  readonly chunkTable: number
  /** Position of the first bucket's first index piece; the others follow. */
  readonly firstPiece: number
  readonly pieceShift: number
  /** Pieces the directory of a bucket's index has room for. */
  readonly piecesMax: number
  /** Pieces the directory of a bucket's ghosts has room for. */
  readonly ghostPiecesMax: number
  /** First words of the two directories, counted from a bucket's header. */
  readonly indexDirectory: number
  readonly ghostDirectory: number
  readonly chunkShift: number
  /** Chunks of one arena. */
  readonly chunks: number
  /** The chunk `id` begins at position origin + (id << chunkShift). */
  readonly origin: number
  /** Bytes of an arena that are no chunks. */
  readonly fixedBytes: number
}

/** The largest maxmemory this Node can serve: `ARENAS_MAX` arenas, on Node 20 a part of one. */
export function memoryBytesMax(): number {
  return multiMemory ? ARENAS_MAX * ARENA_SHARE_MAX : ARENA_BYTES_MAX - IO_BYTES
}

/**
 * Divides `maxMemory` bytes among arenas of up to `arenaShareMax`, and each arena among its parts.
 * @throws {RangeError} when it is less than `MEMORY_BYTES_MIN` or more than `memoryBytesMax()`.
 */
export function layoutOf(
  maxMemory: number,
  databases: number,
  arenaShareMax: number = ARENA_SHARE_MAX,
): Layout {
  if (!(maxMemory >= MEMORY_BYTES_MIN)) {
    throw new RangeError(
      `maxmemory must be at least ${MEMORY_BYTES_MIN} bytes (2mb), but is ${maxMemory}`,
    )
  }
  if (maxMemory > memoryBytesMax()) {
    const reason = multiMemory
      ? ''
      : ': Node.js 20 allows a WebAssembly module one memory only; Node.js 22 and later allow more'
    throw new RangeError(
      `maxmemory can be at most ${memoryBytesMax()} bytes, but is ${maxMemory}${reason}`,
    )
  }
  const base = multiMemory ? 0 : IO_BYTES
  const arenas = Math.ceil(maxMemory / arenaShareMax)
  const share = maxMemory / BUCKETS
  let chunkShift = CHUNK_SHIFT_MAX
  while (chunkShift > CHUNK_SHIFT_MIN && share < CHUNKS_PER_BUCKET << chunkShift) chunkShift--
  const pieceShift = Math.max(chunkShift - PIECES_PER_CHUNK_SHIFT, CHUNK_SHIFT_MIN)
  // An index of a bucket's whole mean share: that of a bucket twice as large and half index.
  const piecesMax = Math.ceil(share / (1 << pieceShift))

  const bytesPerArena = Math.min(Math.floor(maxMemory / arenas), ARENA_BYTES_MAX - base)
  const bucketsPerArena = Math.ceil(BUCKETS / arenas)
  // A ghost takes less than half of what its slot took.
  const ghostPiecesMax = Math.ceil(piecesMax / 2)
  const indexDirectory = BUCKET_FIXED_WORDS + 2 * databases
  const ghostDirectory = indexDirectory + piecesMax
  const bucketWords = roundUp(ghostDirectory + ghostPiecesMax, 16)
  const header = base / 4
  const firstBucket = header + ARENA_HEADER_WORDS
  const chunkTable = firstBucket + bucketsPerArena * bucketWords
  const beforeTable = chunkTable * 4 - base
  const pieces = bucketsPerArena << pieceShift
  const chunkBytes = 1 << chunkShift
  // The table has a row 0 besides, and the pieces are aligned to 64 bytes.
  const left = bytesPerArena - beforeTable - pieces - CHUNK_WORDS * 4 - 64
  const chunks = Math.floor(left / (chunkBytes + CHUNK_WORDS * 4))
  const firstPiece = roundUp((chunkTable + (chunks + 1) * CHUNK_WORDS) * 4, 64)
  const firstChunk = firstPiece + pieces
  const end = firstChunk + chunks * chunkBytes
  return {
    maxMemory,
    databases,
    arenas,
    wasmPages: Math.ceil(end / WASM_PAGE_BYTES),
    header,
    firstBucket,
    bucketWords,
    bucketsPerArena,
    chunkTable,
    firstPiece,
    pieceShift,
    piecesMax,
    ghostPiecesMax,
    indexDirectory,
    ghostDirectory,
    chunkShift,
    chunks,
    origin: firstChunk - chunkBytes,
    fixedBytes: firstChunk - base,
  }
}

/** `n` rounded up to a multiple of `unit`, a power of two. */
function roundUp(n: number, unit: number): number {
  return (n + unit - 1) & -unit
}

/** The arenas of a store and one thread's I/O memory. */
export interface Memories {
  readonly shared: readonly Memory[]
  readonly arenas: readonly Arena[]
  readonly io: IoMemory
}

/** Allocates the arenas (all zero), or takes those another thread allocated for the same layout. */
export function openMemories(layout: Layout, attach?: readonly Memory[]): Memories {
  const shared =
    attach ??
    Array.from(
      { length: layout.arenas },
      () =>
        new WebAssembly.Memory({
          initial: layout.wasmPages,
          maximum: layout.wasmPages,
          shared: true,
        }),
    )
  const ioPages = Math.ceil(IO_BYTES / WASM_PAGE_BYTES)
  const io = multiMemory
    ? new WebAssembly.Memory({ initial: ioPages, maximum: ioPages, shared: false })
    : shared[0]!
  const area = ioMemory(io)
  return { shared, arenas: shared.map((memory) => new Arena(memory, io, area.bytes)), io: area }
}

/**
 * A programmer's mistake ends the process: a thread that died elsewhere may hold a lock.
 * @throws {Error} which nobody may catch
 */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`store: ${what}`)
}

/** Spins before a waiting thread sleeps: a lock is held for a look-up and a copy, 1 us or so. */
const SPINS_MAX = 1_000
const SLEEP_MS = 0.05

/** Takes the lock at a word (0: free). Not re-entrant. */
export function acquire(words: Int32Array, at: number): void {
  let spins = 0
  while (Atomics.compareExchange(words, at, 0, 1) !== 0) {
    // The holder may have lost its core: leave it ours for a moment. Nobody notifies.
    if (++spins > SPINS_MAX) Atomics.wait(words, at, 1, SLEEP_MS)
  }
}

/** Takes the lock if nobody holds it. */
export function tryAcquire(words: Int32Array, at: number): boolean {
  return Atomics.compareExchange(words, at, 0, 1) === 0
}

export function release(words: Int32Array, at: number): void {
  Atomics.store(words, at, 0)
}
