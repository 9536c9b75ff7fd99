import type { Command } from '../command.ts'
import { clusterCommands } from './cluster.ts'
import { commandCommands } from './command.ts'
import { connectionCommands } from './connection.ts'
import { serverCommands } from './server.ts'

/** Every command there is. */
export const commands: readonly Command[] = [
  ...connectionCommands,
  ...serverCommands,
  ...commandCommands,
  ...clusterCommands,
]
