/** SWAPDB: see databases.ts for how. */
import {
  ERR_DB_INDEX,
  ERR_FIRST_DB_INDEX,
  ERR_SECOND_DB_INDEX,
  ERR_SWAPDB_IN_CLUSTER,
  tooManyMoved,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { MOVED_MAX } from '../snapshots/snapshot-file.ts'

const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1

function swapdb(client: Client): void {
  const { args, hub, reply } = client
  const { config, databases } = hub
  if (hub.routing.enabled) return reply.error(ERR_SWAPDB_IN_CLUSTER)
  const [one, two] = [args.integer(1), args.integer(2)]
  if (!(one >= INT32_MIN && one <= INT32_MAX)) return reply.error(ERR_FIRST_DB_INDEX)
  if (!(two >= INT32_MIN && two <= INT32_MAX)) return reply.error(ERR_SECOND_DB_INDEX)
  const isThere = (number: number): boolean => number >= 0 && number < config.databases
  if (!isThere(one) || !isThere(two)) return reply.error(ERR_DB_INDEX)
  if (one === two) return reply.ok()
  if (databases.movedAfter(one, two) > MOVED_MAX) return reply.error(tooManyMoved(MOVED_MAX))
  // Those that come later on this connection wait; where nothing is in the way nobody does.
  let isDone = false
  let answer = (): void => reply.ok()
  hub.swapDatabases(one, two, () => {
    isDone = true
    answer()
  })
  if (isDone) return
  const slot = client.hold()
  answer = () => slot.settle((later) => later.ok())
}

/** Exchanging databases. */
export const swapdbCommands = [
  {
    name: 'swapdb',
    onHub: true,
    arity: 3,
    flags: ['write', 'fast'],
    keys: [0, 0, 0],
    group: 'server',
    categories: ['keyspace', 'dangerous'],
    since: '4.0.0',
    complexity: 'O(N) where N is the number of clients',
    summary: 'Exchanges two databases: clients of the one see what was in the other.',
    syntax: 'index1 index2',
    differs: `waits for a snapshot that is being written; at most ${MOVED_MAX} databases can stand in the place of another one; with several threads not in a transaction`,
    run: swapdb,
  },
] as const satisfies readonly Command[]
