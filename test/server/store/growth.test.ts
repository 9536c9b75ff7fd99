import test from 'ava'
import type { Pages, StoreOptions } from '../../../server/store/store.ts'
import {
  CHANGED,
  checkInvariants,
  OUT_OF_MEMORY,
  STORED,
  Store,
} from '../../../server/store/store.ts'

const MB = 1024 * 1024
const KEY = Buffer.from('key')
/** With it no tail of a value fits into the ring: it begins its last page. */
const LONG_KEY = Buffer.alloc(460, 'k')

/** A store, its one key, and what is done to it. */
class Growing {
  readonly store: Store
  readonly #key: Buffer

  constructor(options: Partial<StoreOptions> = {}, key = KEY) {
    this.#key = key
    this.store = new Store({ maxMemory: 32 * MB, seed: 1, ...options })
  }

  open(): boolean {
    return this.store.open(0, this.#key, 0, this.#key.length)
  }

  delete(): void {
    this.store.delete(0, this.#key, 0, this.#key.length)
  }

  get value(): Buffer {
    const { store } = this
    const found = this.open()
    const value = Buffer.alloc(found ? store.valueLength : 0)
    const to = store.io.scratch
    for (let done = 0; done < value.length; done += 64 * 1024) {
      const length = Math.min(64 * 1024, value.length - done)
      store.read(done, length, to)
      value.set(store.io.bytes.subarray(to, to + length), done)
    }
    store.close()
    return value
  }

  set(value: Buffer): void {
    this.open()
    this.store.put(value, 0, value.length, 0)
    this.store.close()
  }

  append(value: Buffer): void {
    this.open()
    this.store.append(value, 0, value.length)
    this.store.close()
  }

  pages(bytes: Buffer): Pages {
    const pages = this.store.pages()
    for (let at = 0; at < bytes.length; at += 60_000) {
      pages.write(bytes, at, Math.min(60_000, bytes.length - at))
    }
    return pages
  }

  /** Writes data in steps; `meanwhile` runs between them. Null: it was not worth it. */
  grow(
    offset: number,
    data: Buffer,
    { inPages = false, meanwhile = (): void => {} } = {},
  ): number | null {
    const { store } = this
    this.open()
    const growth = store.grow(offset, data.length, inPages ? this.pages(data) : null)
    store.close()
    if (growth === null) return null
    for (;;) {
      while (!growth.step()) meanwhile()
      this.open()
      const result = store.attach(growth, data, 0)
      store.close()
      if (result !== CHANGED) return result
    }
  }
}

/** Bytes that are nowhere alike. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed | 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** What SETRANGE makes of a value. */
function written(value: Buffer, offset: number, data: Buffer): Buffer {
  const after = Buffer.alloc(Math.max(value.length, offset + data.length))
  value.copy(after)
  data.copy(after, offset)
  return after
}

/** None, in the ring, with a tail there, of whole pages, with a tail in pages. A page has 1,024 bytes. */
const lengths = [0, 1, 300, 1_024, 5_000, 4_096, 5_111, 70_000]

for (const [length, key] of lengths.flatMap((length) => [
  [length, KEY] as const,
  [length, LONG_KEY] as const,
])) {
  test(`a value of ${length} bytes under a key of ${key.length} grows in steps, by pages or bytes`, (t) => {
    const g = new Growing({}, key)
    const value = noise(length, 7)
    for (const inPages of [true, false]) {
      const data = noise(inPages ? 1_500_000 : 9_999, 3)
      for (const offset of [length, length + 1, length + 1_700_123]) {
        if (inPages && offset === 0) continue
        g.delete()
        if (length > 0) g.set(value)
        const result = g.grow(offset, data, { inPages })
        if (offset + data.length - length <= MB) {
          t.is(result, null)
          continue
        }
        t.is(result, STORED)
        t.true(g.value.equals(written(value, offset, data)), `${offset}, ${inPages}`)
        checkInvariants(g.store)
      }
    }
  })
}

test('what grows by a megabyte grows at once, by a byte more in steps', (t) => {
  const g = new Growing()
  g.set(Buffer.from('value'))
  t.is(g.grow(5 + MB - 1, Buffer.from('x')), null)
  t.is(g.grow(5 + MB, Buffer.from('x')), STORED)
  t.is(g.value.length, 5 + MB + 1)
})

test('what overwrites a part of the value, or is the value, is not done in steps', (t) => {
  const g = new Growing()
  t.is(g.grow(0, noise(2 * MB, 1), { inPages: true }), null)
  t.is(g.grow(-1, noise(2 * MB, 1), { inPages: true }), null)
  g.set(Buffer.from('value'))
  t.is(g.grow(4, noise(2 * MB, 1), { inPages: true }), null)
})

test('readers see what they pinned while the value grows', (t) => {
  const g = new Growing()
  const value = noise(70_001, 5)
  g.set(value)
  g.open()
  const pinned = g.store.pin()
  g.store.close()
  t.is(g.grow(-1, noise(1_300_000, 6), { inPages: true }), STORED)
  t.true(pinned.toBuffer().equals(value))
  t.is(g.value.length, 1_370_001)
  g.delete()
  t.true(pinned.toBuffer().equals(value))
  pinned.release()
  checkInvariants(g.store)
  t.is(g.store.stats.bigBytes, 0)
})

test('an APPEND goes behind what was appended meanwhile, a SETRANGE stays where it is', (t) => {
  for (const times of [1, 100]) {
    for (const inPages of [true, false]) {
      const g = new Growing()
      g.set(Buffer.from('begin'))
      let left = times
      const meanwhile = (): void => {
        if (left-- > 0) g.append(Buffer.from(`[${times - left}]`))
      }
      const data = noise(inPages ? 1_200_000 : 20, 9)
      const offset = inPages ? -1 : 1_500_000
      t.is(g.grow(offset, data, { inPages, meanwhile }), STORED)
      const { value } = g
      t.true(value.toString('latin1', 0, 8).startsWith('begin[1]'))
      t.true(value.subarray(-data.length).equals(data))
      if (!inPages) t.is(value.length, 1_500_020)
      checkInvariants(g.store)
    }
  }
})

test('a value that is removed or replaced meanwhile is none, or the other one', (t) => {
  const g = new Growing()
  const data = noise(1_200_000, 2)
  g.set(noise(3_000, 1))
  const meanwhile = (): void => g.delete()
  t.is(g.grow(-1, data, { inPages: true, meanwhile }), STORED)
  t.true(g.value.equals(data))
  // Longer than the offset by now: a part of it is overwritten.
  g.set(Buffer.from('short'))
  let other = noise(1_400_000, 4)
  t.is(g.grow(1_300_000, data, { inPages: true, meanwhile: () => g.set(other) }), STORED)
  t.true(g.value.equals(written(other, 1_300_000, data)))
  // Of the same length, but not in the ring any more.
  g.set(noise(2_000, 1))
  other = noise(2_000, 8)
  t.is(g.grow(-1, data, { inPages: true, meanwhile: () => g.set(other) }), STORED)
  t.true(g.value.equals(Buffer.concat([other, data])))
  checkInvariants(g.store)
})

test('a value that memory cannot hold is refused, and all pages come back', (t) => {
  const g = new Growing({ maxMemory: 8 * MB, scope: 'none' })
  g.set(Buffer.from('value'))
  // Over half of maxmemory: at once.
  t.is(g.grow(5 * MB, Buffer.from('x')), null)
  const others = g.pages(noise(1_000_000, 1))
  t.is(g.grow(3_300_000, Buffer.from('x')), OUT_OF_MEMORY)
  t.is(g.value.toString(), 'value')
  others.release()
  t.is(g.grow(3_300_000, Buffer.from('x')), STORED)
  checkInvariants(g.store)
})

test('a growth that is given up gives all pages back', (t) => {
  const g = new Growing()
  g.set(Buffer.from('value'))
  const used = g.store.stats.usedBytes
  g.open()
  const growth = g.store.grow(-1, 2 * MB, g.pages(noise(2 * MB, 1)))!
  g.store.close()
  growth.step()
  t.true(g.store.stats.usedBytes > used)
  growth.release()
  t.is(g.store.stats.usedBytes, used)
  checkInvariants(g.store)
})
