import type { Group } from '../../cluster/groups/group.ts'
import type { OriginError, OriginGroup } from '../../cluster/origin/loader.ts'
import type { Clock } from '../../cluster/world.ts'
import type { Log } from '../log.ts'

/** A group's failures of one kind are logged so often. */
const AGAIN_AFTER_MS = 1000

interface Row {
  loggedAt: number
  /** Failures since then. */
  more: number
}

/**
 * What the log says of loads and writes that failed. An origin that refuses all it is asked, a wrong
 * Authorization say, fails as often as clients ask, and a line for each would bury the log and cost
 * more than the load. So there is one a second for a group and kind, and it tells how many there
 * were since the one before. INFO groups counts them all.
 */
export class Failures {
  readonly #clock: Pick<Clock, 'now'>
  readonly #log: Pick<Log, 'warning'>
  /** By group and kind, both of which are few. */
  readonly #rows = new Map<string, Row>()

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'warning'>) {
    this.#clock = clock
    this.#log = log
  }

  report({ kind, message, cause }: OriginError, group: Group): void {
    // That it opened was reported by the errors before.
    if (kind === 'breaker') return
    const name = `${group.name} ${kind}`
    const row = this.#rows.get(name)
    const now = this.#clock.now()
    if (row !== undefined && now - row.loggedAt < AGAIN_AFTER_MS) {
      row.more++
      return
    }
    this.#rows.set(name, { loggedAt: now, more: 0 })
    // Where we made the error tells nothing; what it came from does.
    const fields = {
      ...{ group: group.name, kind },
      ...(cause === undefined ? {} : { err: cause }),
      ...(row === undefined || row.more === 0 ? {} : { more: row.more }),
    }
    this.#log.warning(fields, message)
  }
}

/** What the log says when a group's breaker opens or closes. */
export function reportBreaker(
  log: Pick<Log, 'notice' | 'warning'>,
  state: 'open' | 'closed',
  { name, breakerFailures, breakerOpenMs }: OriginGroup,
): void {
  const fields = { group: name, breaker: state }
  if (state === 'closed') {
    log.notice(fields, `group ${name}: the origin answers again, the breaker is closed`)
    return
  }
  log.warning(
    fields,
    `group ${name}: the origin failed ${breakerFailures} times in a row, the breaker is open: nobody asks it for ${breakerOpenMs} ms, then one load does`,
  )
}
