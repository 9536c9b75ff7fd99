/*
 * Loaded into a server by `--import`: one of its workers throws, where nothing catches it, once the
 * file that TEST_OF_FAULT names is there.
 */
import { existsSync } from 'node:fs'
import { isMainThread, threadId } from 'node:worker_threads'

const path = process.env.TEST_OF_FAULT
if (!isMainThread && threadId === 1 && path !== undefined) {
  setInterval(() => {
    if (existsSync(path)) throw new Error('a fault of this test')
  }, 5)
}
