import { originTimeout } from '../../protocol/errors.ts'
import { OriginError, type OriginGroup, type OriginRequest } from './loader.ts'

/*
 * The end of a load, which its signal tells, while something is under way that does not look at it.
 * What becomes of that afterwards does not matter.
 */

/** What `work` comes to, or a rejection with the signal's reason as soon as that is aborted. */
export function unlessAborted<T>(signal: AbortSignal, work: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
    const leave = (): void => signal.removeEventListener('abort', onAbort)
    work.then(
      (value) => {
        leave()
        resolve(value)
      },
      (error: unknown) => {
        leave()
        reject(error)
      },
    )
  })
}

/** The same of a request, in the words of its group. */
export async function withinDeadline<T>(
  { group, signal }: OriginRequest,
  work: PromiseLike<T>,
): Promise<T> {
  try {
    return await unlessAborted(signal, work)
  } catch (error) {
    throw signal.aborted && error === signal.reason ? timeoutError(group) : error
  }
}

/** The request's signal was aborted. */
export function timeoutError({ name, timeoutMs }: OriginGroup): OriginError {
  return new OriginError('timeout', originTimeout(name, timeoutMs))
}
