/** Clients that wait: CLIENT PAUSE, UNPAUSE and UNBLOCK. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import type { IoThread } from '../io-thread.ts'

/** Argument i as a time in ms; answers the error and returns NaN when it is none. */
export function readTimeout({ args, reply }: Client, i: number): number {
  const timeoutMs = args.integer(i)
  if (timeoutMs >= 0) return timeoutMs
  reply.error(Number.isNaN(timeoutMs) ? errors.ERR_TIMEOUT : errors.ERR_TIMEOUT_NEGATIVE)
  return NaN
}

/** It is answered when no command runs any more that began before it. */
function pause(client: Client): void {
  const { args, reply, hub } = client
  if (args.count > 4) return reply.error(errors.subcommandSyntax(args.text(1), 'client'))
  const isWrite = args.count === 4 && args.is(3, 'write')
  if (args.count === 4 && !isWrite && !args.is(3, 'all')) {
    return reply.error(errors.ERR_PAUSE_MODE)
  }
  const timeoutMs = readTimeout(client, 2)
  if (Number.isNaN(timeoutMs)) return
  // Redis: an end beyond 64 bits is before now.
  const isOver = hub.world.clock.wall() + timeoutMs >= 2 ** 63
  hub.pauses.pause(isWrite ? 'write' : 'all', isOver ? 0 : timeoutMs)
  client.survey('settle', null, () => reply.ok())
}

function unpause({ hub, reply }: Client): void {
  hub.pauses.unpause()
  reply.ok()
}

/** Whose wait is to end, and whether it is told so. */
interface Unblocking {
  readonly id: number
  readonly isError: boolean
}

function unblock(client: Client): void {
  const { args, reply } = client
  if (args.count > 4) return reply.error(errors.subcommandSyntax(args.text(1), 'client'))
  const isError = args.count === 4 && args.is(3, 'error')
  if (args.count === 4 && !isError && !args.is(3, 'timeout')) {
    return reply.error(errors.ERR_UNBLOCK_REASON)
  }
  const id = args.integer(2)
  if (Number.isNaN(id)) return reply.error(errors.ERR_NOT_INTEGER)
  client.survey('unblock', { id, isError }, (threads) => {
    reply.integer(threads.includes(true) ? 1 : 0)
  })
}

/** Ends the wait of a client of one thread. */
export function unblockClient({ clients }: IoThread, { id, isError }: Unblocking): boolean {
  return clients.get(id)?.unblock(isError ? errors.ERR_UNBLOCKED : null) ?? false
}

const row = {
  onHub: true,
  flags: ['admin', 'noscript', 'loading', 'stale'],
  keys: [0, 0, 0],
  group: 'connection',
} as const

export const pauseRows = [
  {
    ...row,
    name: 'pause',
    arity: -3,
    since: '2.9.50',
    history: [['6.2.0', '`CLIENT PAUSE WRITE` mode added along with the `mode` option.']],
    complexity: 'O(1)',
    summary:
      'Holds the commands of all clients, or those that write, for so many milliseconds; they run afterwards.',
    syntax: 'timeout [WRITE | ALL]',
    argumentNotes: { write_all: { as: 'mode', since: '6.2.0' } },
    argumentTypes: { timeout: 'integer' },
    run: pause,
  },
  {
    ...row,
    name: 'unpause',
    arity: 2,
    since: '6.2.0',
    complexity: 'O(N) Where N is the number of paused clients',
    summary: 'Ends CLIENT PAUSE before its time; during CLIENT PAUSE ALL it waits as well.',
    run: unpause,
  },
  {
    ...row,
    name: 'unblock',
    arity: -3,
    since: '5.0.0',
    complexity: 'O(log N) where N is the number of client connections',
    summary: 'Ends the WAIT of another client, as if its time was over or with an error.',
    syntax: 'client-id [TIMEOUT | ERROR]',
    run: unblock,
  },
] as const satisfies readonly Command[]
