import type { Command } from '../command.ts'
import { cacheCommands } from './cache.ts'
import { clusterCommands } from './cluster.ts'
import { commandCommands } from './command.ts'
import { connectionCommands } from './connection.ts'
import { counterCommands } from './counter.ts'
import { diagnosisCommands } from './diagnosis.ts'
import { groupCommands } from './group.ts'
import { keyCommands } from './key.ts'
import { keyspaceCommands } from './keyspace.ts'
import { leaseCommands } from './lease.ts'
import { memoryCommands } from './memory.ts'
import { objectCommands } from './object.ts'
import { persistenceCommands } from './persistence.ts'
import { pubsubCommands } from './pubsub.ts'
import { serverCommands } from './server.ts'
import { storeCommands } from './store.ts'
import { stringCommands } from './string.ts'

/** Every command there is. */
export const commands: readonly Command[] = [
  ...stringCommands,
  ...counterCommands,
  ...keyCommands,
  ...keyspaceCommands,
  ...objectCommands,
  ...connectionCommands,
  ...serverCommands,
  ...persistenceCommands,
  ...memoryCommands,
  ...diagnosisCommands,
  ...groupCommands,
  ...storeCommands,
  ...commandCommands,
  ...clusterCommands,
  ...pubsubCommands,
  ...cacheCommands,
  ...leaseCommands,
]
