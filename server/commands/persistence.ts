/** Commands about snapshots. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { reasonOf } from '../config/sources.ts'

/** Answers when the file is on the disk; others are served meanwhile. */
function save(client: Client): void {
  const { hub, reply } = client
  const { snapshots } = hub
  if (snapshots.inProgress) {
    reply.error(errors.ERR_SAVE_IN_PROGRESS)
    return
  }
  const slot = client.defer()
  snapshots.save().then(
    () => slot.settle((later) => later.ok()),
    (error: NodeJS.ErrnoException) => {
      slot.settle((later) => later.error(errors.saveFailed(reasonOf(error))))
    },
  )
}

/** A transaction alone stands in the way of a save, for as long as it runs; so with SCHEDULE it is as without. */
function bgsave({ args, hub, isInExec, reply }: Client): void {
  const { snapshots } = hub
  if (args.count > 2 || (args.count === 2 && !args.is(1, 'schedule'))) {
    reply.error(errors.ERR_SYNTAX)
  } else if (snapshots.inProgress) {
    reply.error(errors.ERR_SAVE_IN_PROGRESS)
  } else if (isInExec) {
    hub.world.clock.soon(() => {
      if (!snapshots.inProgress) snapshots.saveInBackground()
    })
    reply.simple('Background saving scheduled')
  } else {
    snapshots.saveInBackground()
    reply.simple('Background saving started')
  }
}

function lastsave({ hub, reply }: Client): void {
  reply.integer(hub.snapshots.lastSaveSeconds)
}

const noKeys = [0, 0, 0] as const

export const persistenceCommands = [
  {
    name: 'save',
    differs: 'a file of [its own format](snapshot.md)',
    onHub: true,
    arity: 1,
    flags: ['admin', 'noscript', 'no_async_loading', 'no_multi'],
    keys: noKeys,
    group: 'server',
    since: '1.0.0',
    complexity: 'O(N) where N is the total number of keys in all databases',
    summary: 'Writes a snapshot to disk and answers when it is there.',
    run: save,
  },
  {
    name: 'bgsave',
    differs: 'a file of [its own format](snapshot.md); nothing forks',
    onHub: true,
    arity: -1,
    flags: ['admin', 'noscript', 'no_async_loading'],
    keys: noKeys,
    group: 'server',
    since: '1.0.0',
    history: [['3.2.2', 'Added the `SCHEDULE` option.']],
    complexity: 'O(1)',
    summary: 'Begins to write a snapshot to disk.',
    syntax: '[SCHEDULE]',
    argumentNotes: { schedule: { since: '3.2.2' } },
    run: bgsave,
  },
  {
    name: 'lastsave',
    onHub: true,
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'server',
    categories: ['admin', 'dangerous'],
    tips: ['nondeterministic_output'],
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Tells when the last snapshot was written, in seconds since 1970.',
    run: lastsave,
  },
] as const satisfies readonly Command[]
