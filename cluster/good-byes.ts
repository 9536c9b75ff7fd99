/**
 * Whose good-bye is it? A node says that it leaves, or stays, and words may be heard late:
 *
 *     b, process 7   STAY 1 ....... LEAVE 2, ends
 *     b, process 8                         STAY 1, answers heartbeats
 *     a              hears 7: 1 ............... hears 8: 1 ... hears 7: 2, of a process that is gone
 *
 * So each process has a random name, which it tells with its words and with each answer to a heartbeat, and
 * numbers its words. A good-bye counts if it is of the process that was heard last, and its newest word.
 */

/** What a node has said. */
export interface Word {
  /** PEER LEAVE; else PEER STAY. */
  readonly leaves: boolean
  /** Which process of the node; '' from a node of a version that does not say. */
  readonly process: string
  /** Its words are numbered, from 1. */
  readonly number: number
}

/** Processes of a node that are remembered as gone: words of theirs may be under way. */
const GONE_MAX = 8

/** Ours have 16 characters. */
const PROCESS_LENGTH_MAX = 64

/** The name of a process as another node has told it; '' for what is none. */
export function processNamed(bytes: unknown): string {
  if (!Buffer.isBuffer(bytes) || bytes.length > PROCESS_LENGTH_MAX) return ''
  return bytes.toString('latin1')
}

/** The words of one node. */
export class GoodByes {
  #process = ''
  #number = 0
  #gone: string[] = []

  /** This process has answered; it is the node. */
  answered(process: string): void {
    if (process === this.#process) return
    if (this.#process !== '') this.#gone = [...this.#gone, this.#process].slice(-GONE_MAX)
    this.#process = process
    this.#number = 0
  }

  /** Does this word count, which is then the last one? */
  hears({ leaves, process, number }: Word): boolean {
    if (process === '') return true
    if (process !== this.#process) {
      if (this.#gone.includes(process)) return false
      // A process that nobody has heard: it will say it again when its answer to a heartbeat has come.
      if (leaves && this.#process !== '') return false
      this.answered(process)
    }
    // Nor is what is no number.
    if (!(number > this.#number)) return false
    this.#number = number
    return true
  }
}
