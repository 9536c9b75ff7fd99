/*
 * How many clients the process's limit on file descriptors allows. Each client takes one; so do
 * listeners, the event loops of Node.js and its threads, snapshots and logs, links to other nodes
 * and to origins. When none is left a connection that waits to be accepted is closed without a word
 * (libuv keeps one in reserve for that, so that the process does not spin), and files and links
 * fail. So `maxclients` must be reached first: then a client is told why it is turned away.
 *
 *     | open when all threads run | for later: files, links | maxclients | for those turned away |
 *
 * Redis: adjustOpenFilesLimit in server.c, which sets 32 aside.
 */
import type { Clock } from '../../cluster/world.ts'
import type { Config } from '../config.ts'
import { BadValue } from '../config/kinds.ts'
import type { Log } from '../log.ts'
import type { Descriptors } from '../system.ts'

/** A snapshot and its new version, the folder, the config file's, the log's, a look at /proc; twice. */
const forFiles = 12
/** Connections above maxclients that are being told so at one time. */
const forTurnedAway = 8
/** To each other node: a link there and back, each perhaps while the one before is closing. */
const forPeer = 4

/** Where nodes are found nobody knows at the start how many there will be. */
const peersFoundMin = 16

/** Clients that fit in. The origins' part is cut to a half of what there is: their loads can wait. */
export function clientsThatFit({ open, max }: Descriptors, config: Config): number {
  const peersMin = config.discovery === null ? 0 : peersFoundMin
  const peers = forPeer * Math.max((config.members?.all.length ?? 1) - 1, peersMin)
  const free = max - open - forFiles - forTurnedAway - peers
  const origins = config.groups.all.reduce((sum, { concurrency }) => sum + concurrency, 0)
  return Math.max(0, free - Math.min(origins, Math.floor(free / 2)))
}

/**
 * Lowers `maxclients` to what fits in, with a warning in Redis's words, and keeps CONFIG SET from
 * raising it above. To be called when all that the process opens for itself is open.
 * @throws {BadValue} not a single client fits in
 */
export function fitClients(descriptors: Descriptors, config: Config, log: Log): void {
  const fitting = clientsThatFit(descriptors, config)
  const { maxclients: wanted } = config
  if (fitting < 1) {
    const needed = descriptors.max - fitting + 1
    throw new BadValue(
      `the limit of ${descriptors.max} open files ('ulimit -n') is not enough for the server to start: increase it to at least ${needed}`,
    )
  }
  if (wanted > fitting) {
    const needed = descriptors.max - fitting + wanted
    log.warning(
      `You requested maxclients of ${wanted} requiring at least ${needed} max file descriptors.`,
    )
    log.warning(
      `Current maximum open files is ${descriptors.max}. maxclients has been reduced to ${fitting} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.`,
    )
    config.set([['maxclients', String(fitting)]])
  }
  config.onChange('maxclients', (clients) => {
    if (clients > fitting) {
      throw new BadValue(
        `The operating system is not able to handle the specified number of clients, try with ${fitting}`,
      )
    }
  })
}

/** Between two looks whether there is one left: two calls of the system each. */
const lookPeriodMs = 1000

/**
 * Warns when none is left, for whatever reason: libuv closes connections without a word then, and so
 * it is nowhere else to be seen. Once, until there were some again.
 */
export function watchDescriptors(
  areLeft: () => boolean,
  clock: Pick<Clock, 'every'>,
  log: Log,
): { cancel(): void } {
  let wereLeft = true
  return clock.every(lookPeriodMs, () => {
    const left = areLeft()
    if (wereLeft && !left) {
      log.warning(
        'Too many open files (EMFILE): connections are closed unserved, until some descriptors are free',
      )
    }
    wereLeft = left
  })
}
