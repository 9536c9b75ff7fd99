/*
 * Loaded into a server by `--import`: what lies further back in a file than the first megabyte is not
 * read before the file that TEST_OF_LOADING names is there.
 */
import { existsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { isMainThread } from 'node:worker_threads'

const path = process.env.TEST_OF_LOADING
const FREE_BYTES = 1_000_000

if (isMainThread && path !== undefined) {
  const any = await open(new URL(import.meta.url))
  const handles = Object.getPrototypeOf(any) as FileHandle
  await any.close()
  const read = handles.read as (...values: unknown[]) => Promise<unknown>
  const late = async function (this: FileHandle, ...values: unknown[]): Promise<unknown> {
    while (Number(values[3]) > FREE_BYTES && !existsSync(path)) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return read.apply(this, values)
  }
  Object.assign(handles, { read: late })
}
