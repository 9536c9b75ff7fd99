/*
 * `cluster-min-members`: while this node hears fewer nodes than that it refuses writes. When the network
 * splits a cluster of five into three and two, with 3 the two do not write, so what they have is never
 * newer than what the three have. They go on reading.
 *
 * At the start nodes count from their first answer, so a node that starts alone does not write either.
 */
import type { Membership } from '../../cluster/members/membership.ts'
import type { Config } from '../config.ts'
import type { Gate } from '../gate.ts'
import type { Log } from '../log.ts'

/** Keeps the gate in step with the members; to be called in the thread that owns both. */
export function countMembers(membership: Membership, config: Config, gate: Gate, log: Log): void {
  const judge = (): void => {
    const { heard } = membership
    const min = config['cluster-min-members']
    const minority = heard < min
    if (minority === gate.minority) return
    gate.minority = minority
    if (minority)
      log.warning({ heard, min }, `writes are refused: ${heard} of ${min} nodes are there`)
    else log.notice({ heard, min }, `writes are taken: ${heard} nodes are there`)
  }
  membership.onChange(judge)
  membership.onList(judge)
  membership.onFirstAnswer(judge)
  config.onChange('cluster-min-members', judge)
  judge()
}
