import type { Command } from '../command.ts'
import { clusterCommands } from './cluster.ts'
import { commandCommands } from './command.ts'
import { connectionCommands } from './connection.ts'
import { counterCommands } from './counter.ts'
import { keyCommands } from './key.ts'
import { keyspaceCommands } from './keyspace.ts'
import { persistenceCommands } from './persistence.ts'
import { serverCommands } from './server.ts'
import { stringCommands } from './string.ts'

/** Every command there is. */
export const commands: readonly Command[] = [
  ...stringCommands,
  ...counterCommands,
  ...keyCommands,
  ...keyspaceCommands,
  ...connectionCommands,
  ...serverCommands,
  ...persistenceCommands,
  ...commandCommands,
  ...clusterCommands,
]
