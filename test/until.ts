import { setTimeout } from 'node:timers/promises'

/** Polls until it holds, for what a socket, a process or a thread brings about. A test's limit is its end. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setTimeout(2)
}
