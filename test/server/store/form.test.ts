import test from 'ava'
import { Form } from '../../../server/store/form.ts'
import { layoutOf } from '../../../server/store/memory.ts'

const MB = 1024 * 1024

test('an entry with pages has one at least, and takes half a chunk at most', (t) => {
  // The first has the least chunks, the last one chunks so large that values of half of it are wide.
  for (const maxMemory of [2 * MB, 16 * MB, 256 * MB]) {
    const layout = layoutOf({ maxMemory, databases: 16 })
    const half = 2 ** (layout.chunkShift - 1)
    for (const trailer of [0, 8, 12]) {
      const form = new Form(layout, trailer)
      for (const extras of [0, 24, 100, half / 2]) {
        for (const key of [0, 8, 90, half / 2 - 1, half / 2, half / 2 + 1]) {
          const longest = half - key - extras
          for (let value = Math.max(0, longest - 80); value < longest + 20; value++) {
            form.draw({ db: 0, hash: 0, length: key }, value, value % 2 === 0, extras)
            const about = `key ${key}, value ${value}, extras ${extras}, trailer ${trailer}`
            if (form.bytes > half) t.fail(`${about}: ${form.bytes} bytes`)
            if (form.paged && !form.keyInPages && form.tail === value) t.fail(`${about}: no page`)
          }
        }
      }
    }
  }
  t.pass()
})
