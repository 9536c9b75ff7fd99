/*
 * The store's memory: arenas that all threads share, and each thread's own I/O memory.
 *
 *   arena k (shared, at most 2 GiB, allocated once, never grown)
 *   +--------+----------------+-------------+-------------+--------------+------------------------+
 *   | header | bucket headers | far         | chunk table | small        | chunks                 |
 *   |        |                | directories |             | indexes,     |                        |
 *   |        |                |             |             | first pieces |                        |
 *   +--------+----------------+-------------+-------------+--------------+------------------------+
 *    pool     lock, index,     of buckets    7 words a     the first      pieces of rings, of
 *             ring, counters   with many     chunk: next,  index piece    indexes, of ghosts, and
 *                              pieces        generation,   of each        pages of big values
 *                                            marks ...     bucket
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
 * An arena is laid out for the *ceiling*, what maxmemory may be raised to while the store serves:
 * chunk table and directories have room for it. What maxmemory pays for is less: the headers, the
 * rows of as many chunks as it can hold (the pool's limit), and those of them that are used. The
 * size of a chunk follows from the first maxmemory and stays. A bucket's directories (the addresses
 * of its index's and its ghosts' pieces) stand in its header as far as the first maxmemory can need
 * them; the rest is far, and row by row, so that only the rows in use are ever touched:
 *
 *   far directories   [piece near + 0: bucket 0, 1, 2 ...] [piece near + 1: bucket 0, 1, 2 ...] ...
 *
 * Rejected: whole directories for the ceiling in each header. With 2 GiB above 6 MB that puts 48 KB
 * between headers, and so touches two pages of the system, 8 KB, for each bucket: 4 MB that
 * maxmemory would not know of.
 *
 * `memory.copy` between the private memory and an arena needs a module with two memories. Node 20
 * refuses those: there the I/O memory is the beginning of the one arena, the store serves one
 * thread only, and maxmemory over 2 GB is refused.
 */

/** How many parts a store has. A power of two: the low bits of a hash choose one. */
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
const MEMORY_BYTES_MIN_PER_BUCKET = MEMORY_BYTES_MIN / BUCKETS

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

/**
 * Copies of up to this many bytes are made byte by byte. A call into WASM takes 17-25 ns whatever the
 * length, the loop 11-24 ns for 4 bytes, 21-52 for 8 and 39-87 for 16 (Node 20 to 26).
 */
const LOOP_BYTES_MAX = 6

/** One arena: four views of the same memory, and the copies WASM makes. Positions are in bytes. */
export class Arena {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** For what begins at any byte. */
  readonly view: DataView
  readonly #io: Uint8Array
  readonly #copyIn: Copy
  readonly #copyOut: Copy
  readonly #move: Copy
  readonly #fill: (to: number, byte: number, length: number) => void

  constructor(memory: Memory, io: Memory, ioBytes: Uint8Array) {
    this.bytes = new Uint8Array(memory.buffer)
    this.words = new Int32Array(memory.buffer)
    this.doubles = new Float64Array(memory.buffer)
    this.view = new DataView(memory.buffer)
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

/** Words of the ghosts that lie in a bucket's header. */
export const NEAR_GHOST_WORDS = 32

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

/** A bucket's first ring chunk is promised to it: it can always store an entry. */
const PROMISED_PER_BUCKET = 1

export interface LayoutOptions {
  /** Bytes to begin with; the size of a chunk follows from it. */
  readonly maxMemory: number
  /** Bytes it can be raised to. Default: maxMemory. */
  readonly ceiling?: number
  readonly databases: number
  /** A power of two from 1 to 512. Default: 512. */
  readonly buckets?: number
  /** Bytes of the ceiling that one arena may hold. Default: 2 GiB. */
  readonly arenaShareMax?: number
}

/** What stands where in an arena. Equal in all arenas of a store, and in all threads. */
export interface Layout {
  /** At the start. What it is now, the pools know. */
  readonly maxMemory: number
  readonly ceiling: number
  readonly databases: number
  readonly buckets: number
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
  /** Position of the first bucket's small index; the others follow. */
  readonly firstSmallIndex: number
  /** Logarithm of its bytes; 0: there are none, where a piece is hardly larger. */
  readonly smallIndexShift: number
  /** Position of the first bucket's first index piece; the others follow. */
  readonly firstPiece: number
  readonly pieceShift: number
  /** Where the addresses of a bucket's pieces stand: those of its index, and of its ghosts. */
  readonly indexPieces: DirectoryShape
  readonly ghostPieces: DirectoryShape
  /** First word in a bucket's header of the few ghosts that lie there, while they are enough. */
  readonly nearGhosts: number
  readonly chunkShift: number
  /** Chunks one arena has room for: what the ceiling pays for. */
  readonly chunks: number
  /** The chunk `id` begins at position origin + (id << chunkShift). */
  readonly origin: number
}

/** Where the addresses of a bucket's pieces stand. */
export interface DirectoryShape {
  /** Pieces there is room for, and how many of them in the bucket's header. */
  readonly piecesMax: number
  readonly near: number
  /** First word in the header, counted from the header's first. */
  readonly first: number
  /** First word of the far rows, one a piece, a word a bucket in each. */
  readonly far: number
}

/** The addresses of all buckets' pieces in one arena: of their indexes, or of their ghosts. */
export class Directory {
  readonly piecesMax: number
  readonly #near: number
  readonly #first: number
  readonly #far: number
  readonly #row: number
  readonly #firstBucket: number
  readonly #bucketWords: number

  constructor(layout: Layout, shape: DirectoryShape) {
    this.piecesMax = shape.piecesMax
    this.#near = shape.near
    this.#first = shape.first
    this.#far = shape.far - shape.near * layout.bucketsPerArena
    this.#row = layout.bucketsPerArena
    this.#firstBucket = layout.firstBucket
    this.#bucketWords = layout.bucketWords
  }

  /** The word with the address of a bucket's piece; 0 <= piece < piecesMax. */
  word(bucket: number, piece: number): number {
    if (piece < this.#near) return bucket + this.#first + piece
    const number = ((bucket - this.#firstBucket) / this.#bucketWords) | 0
    return this.#far + piece * this.#row + number
  }
}

/** The largest maxmemory this Node can serve: `ARENAS_MAX` arenas, on Node 20 a part of one. */
export function memoryBytesMax(): number {
  return multiMemory ? ARENAS_MAX * ARENA_SHARE_MAX : ARENA_BYTES_MAX - IO_BYTES
}

/**
 * Divides the ceiling's bytes among arenas of up to `arenaShareMax`, and each arena among its parts.
 * @throws {RangeError} one sentence: what is too little, too much, or not a number of buckets
 */
export function layoutOf(options: LayoutOptions): Layout {
  const { maxMemory, databases, ceiling = maxMemory, buckets = BUCKETS } = options
  checkSizes(maxMemory, ceiling, buckets)
  const base = multiMemory ? 0 : IO_BYTES
  const arenas = Math.ceil(ceiling / (options.arenaShareMax ?? ARENA_SHARE_MAX))
  const bucketsPerArena = Math.ceil(buckets / arenas)
  let chunkShift = CHUNK_SHIFT_MAX
  const mean = maxMemory / buckets
  while (chunkShift > CHUNK_SHIFT_MIN && mean < CHUNKS_PER_BUCKET << chunkShift) chunkShift--
  const pieceShift = Math.max(chunkShift - PIECES_PER_CHUNK_SHIFT, CHUNK_SHIFT_MIN)
  const smallIndexShift = pieceShift - SMALL_INDEX_SHIFT >= 2 ? SMALL_INDEX_SHIFT : 0
  const shape = { buckets, pieceShift }
  const near = { index: indexPiecesFor(shape, maxMemory), ghost: ghostPiecesFor(shape, maxMemory) }
  const most = { index: indexPiecesFor(shape, ceiling), ghost: ghostPiecesFor(shape, ceiling) }

  const header = base / 4
  const firstBucket = header + ARENA_HEADER_WORDS
  const indexFirst = BUCKET_FIXED_WORDS + 2 * databases
  const ghostFirst = indexFirst + near.index
  const nearGhosts = roundUp(ghostFirst + near.ghost, 2)
  const bucketWords = roundUp(nearGhosts + NEAR_GHOST_WORDS, 16)
  const indexFar = firstBucket + bucketsPerArena * bucketWords
  const ghostFar = indexFar + (most.index - near.index) * bucketsPerArena
  const chunkTable = ghostFar + (most.ghost - near.ghost) * bucketsPerArena
  const layout = {
    maxMemory,
    ceiling,
    databases,
    buckets,
    arenas,
    wasmPages: 0,
    header,
    firstBucket,
    bucketWords,
    bucketsPerArena,
    chunkTable,
    firstSmallIndex: 0,
    smallIndexShift,
    firstPiece: 0,
    pieceShift,
    indexPieces: { piecesMax: most.index, near: near.index, first: indexFirst, far: indexFar },
    nearGhosts,
    ghostPieces: { piecesMax: most.ghost, near: near.ghost, first: ghostFirst, far: ghostFar },
    chunkShift,
    chunks: 0,
    origin: 0,
  }
  const chunks = chunksFor(layout, ceiling)
  const firstSmallIndex = roundUp((chunkTable + (chunks + 1) * CHUNK_WORDS) * 4, PIECE_ALIGNMENT)
  const firstPiece = firstSmallIndex + smallIndexBytes(layout)
  const firstChunk = firstPiece + (bucketsPerArena << pieceShift)
  const end = firstChunk + (chunks << chunkShift)
  const done = {
    ...layout,
    wasmPages: Math.ceil(end / WASM_PAGE_BYTES),
    firstSmallIndex,
    firstPiece,
    chunks,
    origin: firstChunk - (1 << chunkShift),
  }
  if (maxMemory < memoryBytesMin(done)) {
    throw new RangeError(
      `maxmemory must be at least ${memoryBytesMin(done)} bytes for ${databases} databases, but is ${maxMemory}`,
    )
  }
  return done
}

function checkSizes(maxMemory: number, ceiling: number, buckets: number): void {
  if (!(buckets >= 1 && buckets <= BUCKETS && Number.isInteger(Math.log2(buckets)))) {
    throw new RangeError(`buckets must be a power of two up to ${BUCKETS}, but are ${buckets}`)
  }
  const least = MEMORY_BYTES_MIN_PER_BUCKET * buckets
  if (!(maxMemory >= least)) {
    const inWords = buckets === BUCKETS ? ' (2mb)' : ''
    throw new RangeError(`maxmemory must be at least ${least} bytes${inWords}, but is ${maxMemory}`)
  }
  if (!(ceiling >= maxMemory)) {
    throw new RangeError(
      `the ceiling of maxmemory must be at least ${maxMemory} bytes, which is maxmemory, but is ${ceiling}`,
    )
  }
  if (ceiling > memoryBytesMax()) {
    const what = ceiling > maxMemory ? 'the ceiling of maxmemory' : 'maxmemory'
    const reason = multiMemory
      ? ''
      : ': Node.js 20 allows a WebAssembly module one memory only; Node.js 22 and later allow more'
    throw new RangeError(
      `${what} can be at most ${memoryBytesMax()} bytes, but is ${ceiling}${reason}`,
    )
  }
}

type PieceShape = Pick<Layout, 'buckets' | 'pieceShift'>

/**
 * Pieces that an index may have when maxmemory is this: those of a bucket's whole mean share, which
 * is what a bucket twice as large and half index has.
 */
export function indexPiecesFor({ buckets, pieceShift }: PieceShape, maxMemory: number): number {
  return Math.ceil(maxMemory / buckets / (1 << pieceShift))
}

/** The same for ghosts: one takes less than half of what its slot took. */
function ghostPiecesFor(shape: PieceShape, maxMemory: number): number {
  return Math.ceil(indexPiecesFor(shape, maxMemory) / 2)
}

/** A small index has 512 bytes, 64 slots, and is there if a piece has four times as many. */
const SMALL_INDEX_SHIFT = 9

/** The first small index begins at a multiple of it. */
const PIECE_ALIGNMENT = 64

/** Bytes of an arena that are there for any number of chunks: headers, directories, first pieces. */
function settledBytes(layout: Layout, maxMemory: number): number {
  const { bucketsPerArena, indexPieces, ghostPieces } = layout
  const headers = layout.firstBucket - layout.header + bucketsPerArena * layout.bucketWords
  const farIndex = Math.max(0, indexPiecesFor(layout, maxMemory) - indexPieces.near)
  const farGhost = Math.max(0, ghostPiecesFor(layout, maxMemory) - ghostPieces.near)
  const words = headers + (farIndex + farGhost) * bucketsPerArena
  return (
    words * 4 + PIECE_ALIGNMENT + smallIndexBytes(layout) + (bucketsPerArena << layout.pieceShift)
  )
}

/** Bytes of an arena's small indexes. */
function smallIndexBytes({ bucketsPerArena, smallIndexShift }: Layout): number {
  return smallIndexShift === 0 ? 0 : bucketsPerArena << smallIndexShift
}

/** Bytes of an arena of which `chunks` chunks are paid for, without those chunks themselves. */
export function fixedBytes(layout: Layout, maxMemory: number, chunks: number): number {
  return settledBytes(layout, maxMemory) + (chunks + 1) * CHUNK_WORDS * 4
}

/** Chunks of one arena that a maxmemory pays for; less than 0 when it does not pay for the rest. */
export function chunksFor(layout: Layout, maxMemory: number): number {
  const base = multiMemory ? 0 : IO_BYTES
  const share = Math.min(Math.floor(maxMemory / layout.arenas), ARENA_BYTES_MAX - base)
  const left = share - fixedBytes(layout, maxMemory, 0)
  return Math.floor(left / ((1 << layout.chunkShift) + CHUNK_WORDS * 4))
}

/** The least maxmemory this layout can do with: each bucket has the chunk that it is promised. */
export function memoryBytesMin(layout: Layout): number {
  const chunks = layout.bucketsPerArena * PROMISED_PER_BUCKET
  const bytes = fixedBytes(layout, 0, chunks) + (chunks << layout.chunkShift)
  return Math.max(bytes * layout.arenas, MEMORY_BYTES_MIN_PER_BUCKET * layout.buckets)
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
/** About ten seconds. No verb takes so long: the thread that has the lock is dead. */
const NAPS_MAX = 100_000

/**
 * Takes the lock at a word (0: free). Not re-entrant. A holder that needs it for long writes another
 * number to the word now and then (`renew`): then those who wait know that it lives.
 */
export function acquire(words: Int32Array, at: number, napsMax = NAPS_MAX): void {
  let spins = 0
  let seen = 1
  for (;;) {
    const held = Atomics.compareExchange(words, at, 0, 1)
    if (held === 0) return
    // The holder may have lost its core: leave it ours for a moment. Nobody notifies.
    if (++spins <= SPINS_MAX) continue
    if (held !== seen) spins = SPINS_MAX
    seen = held
    assert(spins <= SPINS_MAX + napsMax, 'a lock is not given back: the thread that had it is dead')
    nap(words, at)
  }
}

/** Waits until a lock may be free, but not for long. Nobody notifies. */
export function nap(words: Int32Array, at: number): void {
  const held = Atomics.load(words, at)
  if (held !== 0) Atomics.wait(words, at, held, SLEEP_MS)
}

/** Shows who waits for a lock of this thread that it is at work. `beat`: another number each time, not 0. */
export function renew(words: Int32Array, at: number, beat: number): void {
  Atomics.store(words, at, beat)
}

/** Takes the lock if nobody holds it. */
export function tryAcquire(words: Int32Array, at: number): boolean {
  return Atomics.compareExchange(words, at, 0, 1) === 0
}

export function release(words: Int32Array, at: number): void {
  Atomics.store(words, at, 0)
}
