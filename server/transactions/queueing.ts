/** Which commands may be queued between MULTI and EXEC, and what becomes of a transaction if one may not. */
import { ERR_NO_MULTI, execAborted, writesThroughInMulti } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits } from '../command.ts'
import { refusalInCluster } from './routing.ts'

/** About keys. */
const keyspaceFlags = flagBits.write | flagBits.readonly

/** Why a command may not be queued at all; null: it may. */
export function refusalInMulti(client: Client, entry: CommandEntry): string | null {
  const { delegate, routing, writing } = client.server
  if ((entry.flags & flagBits.no_multi) !== 0) return ERR_NO_MULTI
  // The hub would do it before or after.
  if (entry.onHub && delegate !== null && (entry.flags & keyspaceFlags) !== 0) return ERR_NO_MULTI
  const group = writing.enabled ? writing.groupTold(entry, client.args) : null
  if (group !== null) return writesThroughInMulti(group.name)
  return routing.enabled ? refusalInCluster(client, entry) : null
}

/** Why EXEC is refused now, because of the commands it is to run; null: it is not. */
export function refusalOfExec({ server, transaction }: Client): string | null {
  if (transaction === null || !server.gate.restricts) return null
  for (const { entry } of transaction.commands) {
    const line = server.gate.refusalOf(entry)
    if (line !== null) return line
  }
  return null
}

/** EXEC was refused, or a command before it, so that EXEC will be. @returns what is answered */
export function refusedInMulti(client: Client, entry: CommandEntry, line: string): string {
  if (entry.fullName !== 'exec') {
    client.transaction!.isBroken = true
    return line
  }
  client.endTransaction()
  client.unwatch()
  return execAborted(line)
}
