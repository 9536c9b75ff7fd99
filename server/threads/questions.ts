/**
 * What the hub asks all threads, and how a thread answers. What it asks with and what it is answered
 * goes from thread to thread as a message: plain data.
 */
import { clientLines, killClients } from '../commands/connection.ts'
import { unblockClient } from '../commands/pause.ts'
import { factsOf } from '../facts.ts'
import type { IoThread } from '../io-thread.ts'
import { linksOf } from '../cluster/node-links.ts'

const questions = {
  /** Have you done all that you were told before? */
  settle: () => null,
  /** Commands may run again. */
  thaw: (thread: IoThread) => {
    thread.thaw()
    return null
  },
  /** What a node sent before this moment is not to be run. */
  cut: (thread: IoThread, { node, before }: { readonly node: string; readonly before: number }) => {
    thread.cut(node, before)
    return null
  },
  /** Keys of this node were others' for a while: what is watched counts as changed. */
  spoil: (thread: IoThread) => {
    for (const client of thread.clients.values()) client.spoilWatches()
    return null
  },
  /** Other nodes may have the keys that they want. */
  release: (thread: IoThread) => {
    thread.handoff?.release()
    return null
  },
  /** A pause is over, or holds fewer commands. */
  resume: (thread: IoThread) => {
    thread.held.resume()
    return null
  },
  /** CLIENT UNBLOCK; did it wait? */
  unblock: unblockClient,
  /** CLIENT LIST */
  clients: clientLines,
  /** CLIENT KILL; how many it were */
  kill: killClients,
  /** CLUSTER LINKS */
  links: linksOf,
  /** What INFO and MEMORY add up over all threads. */
  facts: factsOf,
  /** HOTKEYS GET */
  hotKeys: (thread: IoThread) => thread.hotReads.top,
  /** HOTKEYS RESET */
  resetHotKeys: (thread: IoThread) => {
    thread.hotReads.counter.reset()
    return null
  },
} as const satisfies Record<string, (thread: IoThread, argument: never) => unknown>

type Questions = typeof questions
export type QuestionName = keyof Questions
export type ArgumentOf<Name extends QuestionName> =
  Parameters<Questions[Name]> extends [IoThread, infer Argument] ? Argument : null
export type AnswerOf<Name extends QuestionName> = ReturnType<Questions[Name]>

export function answer<Name extends QuestionName>(
  thread: IoThread,
  name: Name,
  argument: ArgumentOf<Name>,
): AnswerOf<Name> {
  const find = questions[name] as (thread: IoThread, argument: unknown) => unknown
  return find(thread, argument) as AnswerOf<Name>
}
