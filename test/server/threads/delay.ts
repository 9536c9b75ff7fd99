/*
 * Loaded into a server by `--import`: one of its workers hears everything from the hub late, in order.
 * What must be in force in all threads before it is answered is not, unless somebody waits for it.
 */
import { isMainThread, parentPort, threadId } from 'node:worker_threads'

const DELAY_MS = 60

if (!isMainThread && threadId === 1) {
  const port = parentPort!
  const on = port.on.bind(port)
  const late = (event: string, hear: (message: unknown) => void): unknown => {
    if (event !== 'message') return on(event, hear)
    return on(event, (message: unknown) => setTimeout(() => hear(message), DELAY_MS))
  }
  Object.assign(port, { on: late })
}
