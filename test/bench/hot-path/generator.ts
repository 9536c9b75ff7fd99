/*
 * The generator is a process of its own, the same one for the whole run: its code is compiled after
 * the first cases, and whatever it costs it costs all servers alike.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Figures, Filling, Target, Window } from './load.ts'
import type { Case } from './requests.ts'

const CHILD = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

export type Question =
  | { readonly kind: 'setKeys'; readonly target: Target; readonly filling: Filling }
  | {
      readonly kind: 'load'
      readonly target: Target
      readonly case: Case
      readonly window: Window
    }

export interface Answer {
  readonly figures?: Figures
  readonly error?: string
}

/** One thing at a time. What goes wrong in its process rejects. */
export class Generator {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** On this Node. */
  static start(node: string): Generator {
    return new Generator(fork(CHILD, [], { execPath: node, execArgv: [] }))
  }

  /** Sets all keys to values of so many bytes. */
  async setKeys(target: Target, { keys, bytes }: Filling): Promise<void> {
    await this.#ask({ kind: 'setKeys', target, filling: { keys, bytes } })
  }

  async load(target: Target, one: Case, window: Window): Promise<Figures> {
    const { figures } = await this.#ask({ kind: 'load', target, case: one, window })
    return figures!
  }

  stop(): void {
    this.#child.disconnect()
  }

  #ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('the generator ended'))
      this.#child.once('exit', ended)
      this.#child.once('message', (answer: Answer) => {
        this.#child.off('exit', ended)
        if (answer.error === undefined) resolve(answer)
        else reject(new Error(answer.error))
      })
      this.#child.send(question)
    })
  }
}
