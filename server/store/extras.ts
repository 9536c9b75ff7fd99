/*
 * Extras: what an entry that was loaded knows beside its value. A block between its key and its
 * value, which only such entries have (they are always wide), so that nobody else pays for it.
 *
 *   +-------+-------+------+--------+----------+----------+------+-------+-------+
 *   | bytes | flags | tags | loaded | grace    | stale    | cost | group | birth |      24 bytes
 *   | u16   | u8    | u8   | at u32 | ms f32   | ms f32   | u16  | u16   | u32   |
 *   +-------+-------+------+--------+----------+----------+------+-------+-------+
 *   | [idle u32, last asked u32] | tags, u32 each | [length u8, ETag] |
 *   +----------------------------+----------------+-------------------+
 *
 *   bytes      of the whole block
 *   flags      1 idle | 2 ETag: what of the second row is there
 *   tags       how many
 *   loaded at  seconds on the store's scale; 0: that is not known
 *   grace      the entry's expiry less the time until which it is fresh
 *   stale      so long after it is fresh it is visible
 *   cost       milliseconds its load took, at most 65,535
 *   group      number of the group it was loaded for, plus one; 0: none
 *   birth      what `Invalidation.sequence` was when its load began
 *   idle       seconds it may be there without being asked for, and the second of the last time
 *
 *   loaded            fresh until      visible until       expiry
 *      |--- fresh ---------|--- stale -----|--- error-only ---|        no expiry: fresh for ever
 *                          |<----------- grace -------------->|
 *                                          |<---- error ----->|
 *
 * The two limits are told from the end, so that who moves the expiry (a snapshot that is loaded on
 * another scale) moves them too. As f32 they are exact for whole seconds up to 37 hours and for
 * round spans beyond, and else off by some milliseconds.
 *
 * The block begins at any byte, so it is read by a DataView: `at` is its position there.
 */

/** No block is longer; nor than a quarter of a chunk. */
export const EXTRAS_BYTES_MAX = 1_024

/** Tags of one entry: their number has one byte. */
const TAGS_MAX = 255

const ETAG_BYTES_MAX = 255
const COST_MAX = 0xffff
const SECOND = 1_000

/** Offsets in a block. */
const BYTES = 0
const FLAGS = 2
const TAG_COUNT = 3
const LOADED_AT = 4
const GRACE = 8
const STALE = 12
const COST = 16
const GROUP = 18
const BIRTH = 20
const FIXED_BYTES = 24
const IDLE_BYTES = 8
const LAST_ASKED = FIXED_BYTES + 4
const TAG_BYTES = 4

const IDLE = 1
const ETAG = 2

/** What an entry is given beside its value. Times in ms on the store's scale. */
export interface FillExtras {
  /** Until when it is fresh. Of no meaning in an entry without expiry, which is fresh for ever. */
  readonly freshUntil: number
  /** Until when it may be served as stale; from then on to its expiry only where a load failed. */
  readonly visibleUntil: number
  /** When it was loaded, or when the origin made it. Kept to the second. 0: that is not known. */
  readonly loadedAt: number
  /** What the load took. */
  readonly costMs: number
  /** Number of its group, -1: none. */
  readonly group: number
  /** `Store.birth()` when the load began. */
  readonly birth: number
  /** `Store.tagHash` of each tag. */
  readonly tags: readonly number[]
  /** Dropped where it does not fit. */
  readonly etag: Uint8Array | null
  /** How long it may be there without being asked for, kept to the second. 0: as long as may be. */
  readonly idleMs: number
}

/** Copies of an entry's extras. */
export type Extras = Omit<FillExtras, 'birth'>

/** The extras of the entry that is to be written next. */
export class ExtrasBlock {
  readonly bytes = new Uint8Array(EXTRAS_BYTES_MAX)
  readonly view = new DataView(this.bytes.buffer)
  /** 0: it gets none. */
  length = 0
  readonly #bytesMax: number

  constructor(chunkBytes: number) {
    this.#bytesMax = Math.min(EXTRAS_BYTES_MAX, chunkBytes >>> 2)
  }

  /** How many tags fit, whatever else there is but for the ETag. */
  get tagsMax(): number {
    return Math.min(TAGS_MAX, ((this.#bytesMax - FIXED_BYTES - IDLE_BYTES) / TAG_BYTES) | 0)
  }

  /**
   * Writes the block of an entry that expires at `expireAt` (0: never). An ETag that does not fit is
   * left out. False: the tags do not fit, and without them the entry must not be kept.
   */
  encode(extras: FillExtras, expireAt: number, now: number): boolean {
    const { tags, etag } = extras
    const { view } = this
    const idle = extras.idleMs > 0 ? IDLE : 0
    const tagsEnd = FIXED_BYTES + (idle === 0 ? 0 : IDLE_BYTES) + tags.length * TAG_BYTES
    this.length = 0
    if (tags.length > TAGS_MAX || tagsEnd > this.#bytesMax) return false
    const withTag =
      etag !== null && etag.length <= ETAG_BYTES_MAX && tagsEnd + 1 + etag.length <= this.#bytesMax
    this.length = withTag ? tagsEnd + 1 + etag.length : tagsEnd
    const expiry = Math.ceil(expireAt)
    view.setUint16(BYTES, this.length, true)
    view.setUint8(FLAGS, idle | (withTag ? ETAG : 0))
    view.setUint8(TAG_COUNT, tags.length)
    view.setUint32(LOADED_AT, extras.loadedAt / SECOND, true)
    const graceMs = spanBefore(expiry, extras.freshUntil)
    view.setFloat32(GRACE, graceMs, true)
    view.setFloat32(STALE, graceMs - spanBefore(expiry, extras.visibleUntil), true)
    view.setUint16(COST, Math.min(Math.max(0, Math.round(extras.costMs)), COST_MAX), true)
    view.setUint16(GROUP, extras.group + 1, true)
    view.setUint32(BIRTH, extras.birth, true)
    let at = FIXED_BYTES
    if (idle !== 0) {
      view.setUint32(at, Math.ceil(extras.idleMs / SECOND), true)
      view.setUint32(LAST_ASKED, now / SECOND, true)
      at += IDLE_BYTES
    }
    for (const tag of tags) {
      view.setUint32(at, tag, true)
      at += TAG_BYTES
    }
    if (withTag) {
      view.setUint8(at, etag.length)
      this.bytes.set(etag, at + 1)
    }
    return true
  }

  /** Takes a block over as it is. False: it is too long for this store's chunks. */
  copy(bytes: Uint8Array, at: number, length: number): boolean {
    this.length = 0
    if (length > this.#bytesMax) return false
    this.bytes.set(bytes.subarray(at, at + length))
    this.length = length
    return true
  }

  /** The next entry gets none. */
  clear(): void {
    this.length = 0
  }
}

/** The expiry of an entry that is to end at `expireAt`, or as soon after it as its extras can say. */
export function expiryOf(expireAt: number, freshUntil: number): number {
  const graceMs = spanBefore(Math.ceil(expireAt), freshUntil)
  if (graceMs < 2 ** FLOAT_BITS) return expireAt
  const grain = 2 ** (Math.floor(Math.log2(graceMs)) + 1 - FLOAT_BITS)
  return expireAt + ((grain - (graceMs % grain)) % grain)
}

/** Of a 32-bit float's mantissa. */
const FLOAT_BITS = 24

/** Milliseconds from a time to the expiry; none where there is none, or it lies behind. */
function spanBefore(expiry: number, until: number): number {
  return expiry === 0 ? 0 : Math.max(0, expiry - Math.ceil(until))
}

/* ---- a block in an entry ---- */

/** Milliseconds from the end of its freshness to the entry's expiry. */
export function graceAt(view: DataView, at: number): number {
  return view.getFloat32(at + GRACE, true)
}

/** Milliseconds from the end of its visibility to the entry's expiry. */
export function errorAt(view: DataView, at: number): number {
  return Math.max(0, graceAt(view, at) - view.getFloat32(at + STALE, true))
}

/** Milliseconds on the store's scale, whole seconds; 0: that is not known. */
export function loadedAtOf(view: DataView, at: number): number {
  return view.getUint32(at + LOADED_AT, true) * SECOND
}

/** Milliseconds. */
export function costAt(view: DataView, at: number): number {
  return view.getUint16(at + COST, true)
}

/** Number of its group, -1: none. */
export function groupAt(view: DataView, at: number): number {
  return view.getUint16(at + GROUP, true) - 1
}

/** uint32 */
export function birthAt(view: DataView, at: number): number {
  return view.getUint32(at + BIRTH, true)
}

export function tagCountAt(view: DataView, at: number): number {
  return view.getUint8(at + TAG_COUNT)
}

/** uint32 */
export function tagAt(view: DataView, at: number, n: number): number {
  return view.getUint32(tagsAt(view, at) + n * TAG_BYTES, true)
}

function tagsAt(view: DataView, at: number): number {
  return at + FIXED_BYTES + (hasIdle(view, at) ? IDLE_BYTES : 0)
}

export function hasIdle(view: DataView, at: number): boolean {
  return (view.getUint8(at + FLAGS) & IDLE) !== 0
}

/** Has it not been asked for in too long a time? */
export function isIdle(view: DataView, at: number, now: number): boolean {
  if (!hasIdle(view, at)) return false
  const idle = view.getUint32(at + FIXED_BYTES, true)
  return Math.floor(now / SECOND) - view.getUint32(at + LAST_ASKED, true) > idle
}

/** It was asked for. */
export function noteAsked(view: DataView, at: number, now: number): void {
  if (hasIdle(view, at)) view.setUint32(at + LAST_ASKED, now / SECOND, true)
}

/** Copies of all of it, for an entry with this expiry. */
export function decode(view: DataView, at: number, expireAt: number): Extras {
  const withIdle = hasIdle(view, at)
  const tags = Array.from({ length: tagCountAt(view, at) }, (_, n) => tagAt(view, at, n))
  let etag: Uint8Array | null = null
  if ((view.getUint8(at + FLAGS) & ETAG) !== 0) {
    const from = tagsAt(view, at) + tags.length * TAG_BYTES
    const length = view.getUint8(from)
    etag = new Uint8Array(view.buffer, view.byteOffset + from + 1, length).slice()
  }
  return {
    freshUntil: expireAt === 0 ? 0 : expireAt - graceAt(view, at),
    visibleUntil: expireAt === 0 ? 0 : expireAt - errorAt(view, at),
    loadedAt: loadedAtOf(view, at),
    costMs: costAt(view, at),
    group: groupAt(view, at),
    tags,
    etag,
    idleMs: withIdle ? view.getUint32(at + FIXED_BYTES, true) * SECOND : 0,
  }
}

/* ---- a block that comes back from a snapshot ---- */

/** It is as if it had been loaded now, for what may be invalidated. */
export function setBirth(view: DataView, at: number, birth: number): void {
  view.setUint32(at + BIRTH, birth, true)
}

/** The number of its group may be another now; -1: none. */
export function setGroup(view: DataView, at: number, group: number): void {
  view.setUint16(at + GROUP, group + 1, true)
}

/** Moves its times by as many seconds as its entry's expiry. (The limits move with that.) */
export function shiftTimes(view: DataView, at: number, shiftMs: number): void {
  const seconds = Math.round(shiftMs / SECOND)
  shiftSecond(view, at + LOADED_AT, seconds)
  if (hasIdle(view, at)) shiftSecond(view, at + LAST_ASKED, seconds)
}

/** What lies before the beginning of the scale is not known. */
function shiftSecond(view: DataView, at: number, seconds: number): void {
  const second = view.getUint32(at, true)
  if (second !== 0) view.setUint32(at, Math.max(0, second + seconds), true)
}

/** Do its lengths agree with each other? `bytesMax`: what is there from `at` on. */
export function isSound(view: DataView, at: number, bytesMax: number): boolean {
  if (bytesMax < FIXED_BYTES) return false
  const bytes = view.getUint16(at + BYTES, true)
  if (bytes < FIXED_BYTES || bytes > Math.min(bytesMax, EXTRAS_BYTES_MAX)) return false
  const tagsEnd = tagsAt(view, at) - at + tagCountAt(view, at) * TAG_BYTES
  if ((view.getUint8(at + FLAGS) & ETAG) === 0) return tagsEnd === bytes
  return tagsEnd < bytes && tagsEnd + 1 + view.getUint8(at + tagsEnd) === bytes
}
