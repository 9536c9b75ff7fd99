/** Commands about replicas, of which there are none. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { readTimeout } from './pause.ts'

/** A master without replicas, that has sent nothing. */
function role({ reply }: Client): void {
  reply.array(3)
  reply.text('master')
  reply.integer(0)
  reply.array(0)
}

/** None will ever answer: who waits for one waits until the time is over, with 0 for ever. */
function wait(client: Client): void {
  const { args, reply } = client
  const replicas = args.integer(1)
  if (Number.isNaN(replicas)) return reply.error(errors.ERR_NOT_INTEGER)
  const timeoutMs = readTimeout(client, 2)
  if (Number.isNaN(timeoutMs)) return
  // Nobody waits in the middle of a transaction.
  if (replicas <= 0 || client.transaction !== null) return reply.integer(0)
  client.wait(timeoutMs === 0 || timeoutMs > WAIT_MS_MAX ? Infinity : timeoutMs, (later, line) => {
    if (line === null) later.integer(0)
    else later.error(line)
  })
}

/** Over three weeks: as long as a timer may be set for. */
const WAIT_MS_MAX = 2 ** 31 - 1

export const replicationCommands = [
  {
    name: 'role',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast'],
    keys: [0, 0, 0],
    group: 'server',
    categories: ['admin', 'dangerous'],
    since: '2.8.12',
    complexity: 'O(1)',
    summary: 'Answers that this is a master without replicas.',
    run: role,
  },
  {
    name: 'wait',
    arity: 3,
    flags: ['noscript'],
    keys: [0, 0, 0],
    group: 'generic',
    isOutsideGroup: true,
    categories: ['connection'],
    tips: ['request_policy:all_shards', 'response_policy:agg_min'],
    since: '3.0.0',
    complexity: 'O(1)',
    summary:
      'Waits for replicas, of which there are none: for 0 at once, else until the time is over.',
    syntax: 'numreplicas timeout',
    argumentTypes: { numreplicas: 'integer', timeout: 'integer' },
    run: wait,
  },
] as const satisfies readonly Command[]
