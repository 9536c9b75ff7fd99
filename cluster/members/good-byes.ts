/**
 * Whose good-bye is it? A node says that it leaves, or stays, and words may be heard late:
 *
 *     b, process 7   STAY 1 ....... LEAVE 2, ends
 *     b, process 8                         STAY 1, answers heartbeats
 *     a              hears 7: 1 ............... hears 8: 1 ... hears 7: 2, of a process that is gone
 *
 * So each process tells its incarnation (cluster/peers/handshake.ts) with its words and with each answer to a
 * heartbeat, and numbers its words. A good-bye counts if it is of the process that was heard last, and its newest word.
 */

/** What a node has said. */
export interface Word {
  /** PEER LEAVE; else PEER STAY. */
  readonly leaves: boolean
  /** Which process of the node; '' from a node of a version that does not say. */
  readonly incarnation: string
  /** Its words are numbered, from 1. */
  readonly number: number
}

/** Processes of a node that are remembered as gone: words of theirs may be under way. */
const GONE_MAX = 8

/** The words of one node. */
export class GoodByes {
  #incarnation = ''
  #number = 0
  #gone: string[] = []

  /** This process has answered; it is the node. */
  answered(incarnation: string): void {
    if (incarnation === this.#incarnation) return
    if (this.#incarnation !== '') this.#gone = [...this.#gone, this.#incarnation].slice(-GONE_MAX)
    this.#incarnation = incarnation
    this.#number = 0
  }

  /** Does this word count, which is then the last one? */
  hears({ leaves, incarnation, number }: Word): boolean {
    if (incarnation === '') return true
    if (incarnation !== this.#incarnation) {
      if (this.#gone.includes(incarnation)) return false
      // A process that nobody has heard: it will say it again when its answer to a heartbeat has come.
      if (leaves && this.#incarnation !== '') return false
      this.answered(incarnation)
    }
    // Nor is what is no number.
    if (!(number > this.#number)) return false
    this.#number = number
    return true
  }
}
