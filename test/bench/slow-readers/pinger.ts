/*
 * A thread that asks PING all the time, so that how long the server takes is not mistaken for how long
 * this process is busy. Told the port as workerData; posts 'ready' once; asked for anything, it posts
 * the longest round trip in ms since it was last asked.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { RawClient } from '../../raw.ts'

const PAUSE_MS = 1

const client = await RawClient.open(workerData as number)
let worst = 0
parentPort!.on('message', () => {
  parentPort!.postMessage(worst, [])
  worst = 0
})
parentPort!.postMessage('ready', [])
for (;;) {
  const begin = performance.now()
  await client.command('PING')
  worst = Math.max(worst, performance.now() - begin)
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
