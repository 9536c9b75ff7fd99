import type { Command } from '../command.ts'
import { aclCommands } from './acl.ts'
import { bitmapCommands } from './bitmap.ts'
import { cacheCommands } from './cache.ts'
import { clusterCommands } from './cluster.ts'
import { commandCommands } from './command.ts'
import { connectionCommands } from './connection.ts'
import { counterCommands } from './counter.ts'
import { debugCommands } from './debug.ts'
import { diagnosisCommands } from './diagnosis.ts'
import { dumpCommands } from './dump.ts'
import { functionCommands } from './function.ts'
import { groupCommands } from './group.ts'
import { hotKeysCommands } from './hotkeys.ts'
import { keyCommands } from './key.ts'
import { keyspaceCommands } from './keyspace.ts'
import { leaseCommands } from './lease.ts'
import { lolwutCommands } from './lolwut.ts'
import { memoryCommands } from './memory.ts'
import { moduleCommands } from './module.ts'
import { objectCommands } from './object.ts'
import { peerCommands } from './peer.ts'
import { persistenceCommands } from './persistence.ts'
import { pubsubCommands } from './pubsub.ts'
import { renameCommands } from './rename.ts'
import { replicationCommands } from './replication.ts'
import { serverCommands } from './server.ts'
import { storeCommands } from './store.ts'
import { stringCommands } from './string.ts'
import { swapdbCommands } from './swapdb.ts'
import { transactionCommands } from './transactions.ts'

/** Every command there is. */
export const commands: readonly Command[] = [
  ...stringCommands,
  ...counterCommands,
  ...bitmapCommands,
  ...keyCommands,
  ...renameCommands,
  ...dumpCommands,
  ...keyspaceCommands,
  ...swapdbCommands,
  ...objectCommands,
  ...connectionCommands,
  ...aclCommands,
  ...moduleCommands,
  ...transactionCommands,
  ...serverCommands,
  ...persistenceCommands,
  ...memoryCommands,
  ...diagnosisCommands,
  ...debugCommands,
  ...replicationCommands,
  ...lolwutCommands,
  ...functionCommands,
  ...groupCommands,
  ...storeCommands,
  ...commandCommands,
  ...clusterCommands,
  ...peerCommands,
  ...hotKeysCommands,
  ...pubsubCommands,
  ...cacheCommands,
  ...leaseCommands,
]
