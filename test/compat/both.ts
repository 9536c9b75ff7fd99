import test, { type ExecutionContext } from 'ava'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'

export interface Both {
  readonly ours: RunningServer
  readonly theirs: RunningServer
}

/**
 * Starts ringtier and redis-server before the tests of a file, and stops them after. ringtier has one
 * thread: what clients of several threads are told has an order in each thread only. What is returned
 * gives them to a test; null: there is no redis-server to compare with, and the test has passed.
 */
export function startBoth(args: readonly string[] = []): (t: ExecutionContext) => Both | null {
  let both: Both | null = null
  test.before(async () => {
    if (!available('redis-server')) return
    const ours = await startRingtier({ args: [...args, '--threads', '1'] })
    both = { ours, theirs: await startRedis({ args }) }
  })
  test.after.always(async () => {
    await Promise.all([both?.ours.stop(), both?.theirs.stop()])
  })
  return (t) => {
    if (both === null) t.pass('redis-server is not installed')
    return both
  }
}
