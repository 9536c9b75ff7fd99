/* The parts of a store for tests of one of them: one arena, its pool, its layout. */
import type { Arena, IoMemory, Layout } from '../../../server/store/memory.ts'
import { layoutOf, openMemories } from '../../../server/store/memory.ts'
import { Pool } from '../../../server/store/pool.ts'

export interface Parts {
  readonly layout: Layout
  readonly arena: Arena
  readonly io: IoMemory
  readonly pool: Pool
}

/** With 2 MB: 2,851 chunks of 512 bytes, index pieces of 512 bytes too. */
export function parts(maxMemory = 2 * 1024 * 1024, promised = 512): Parts {
  const layout = layoutOf({ maxMemory, databases: 16 })
  const { arenas, io } = openMemories(layout)
  const arena = arenas[0]!
  const pool = new Pool(arena.words, layout)
  pool.open(promised)
  return { layout, arena, io, pool }
}
