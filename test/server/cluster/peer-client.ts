import { challenge, prove, type Meeting } from '../../../cluster/peers/handshake.ts'
import type { InProcess } from '../in-process.ts'
import { SeededRandom } from '../../sim/random.ts'
import { duplexPair, type Duplex } from 'node:stream'

/** A node of the cluster as a test plays it: shakes hands, and sees every byte that it is answered. */
export class PeerClient {
  readonly stream: Duplex
  received = ''
  isClosed = false
  readonly #node: InProcess
  #nextId = 1

  private constructor(node: InProcess) {
    const [near, far] = duplexPair()
    this.#node = node
    this.stream = near
    near.setEncoding('latin1').on('data', (text: string) => (this.received += text))
    near.on('error', () => {})
    near.on('close', () => (this.isClosed = true))
    node.server.handle(far)
  }

  /** `name`: of the node that it plays. */
  static async open(node: InProcess, name: string, secret: string): Promise<PeerClient> {
    const peer = new PeerClient(node)
    const callerNonce = challenge(new SeededRandom(9))
    const hello = await peer.say(command(['PEER', 'HELLO', VERSION, name, callerNonce]))
    const [, , owner = '', , ownerNonce = ''] = hello.split('\r\n')
    const meeting: Meeting = { caller: name, callerNonce, owner, ownerNonce }
    const answer = await peer.say(command(['PEER', 'AUTH', prove(secret, 'caller', meeting)]))
    if (answer !== '+OK\r\n') throw new Error(`the handshake failed: ${hello}${answer}`)
    return peer
  }

  /** A request in the form of a link, under the next id. */
  request(words: readonly string[], protocol: 2 | 3 = 2): string {
    const id = this.#nextId++
    return command([`${id} 60000 0${protocol === 3 ? ' 3' : ''}`, ...words])
  }

  /** Sends bytes as they are, and returns what came until nothing more happens. */
  async say(bytes: string | Buffer): Promise<string> {
    this.received = ''
    this.stream.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    // A long command has its turns one after the other.
    let before = -1
    let quiet = 0
    while (quiet < SETTLED && !this.isClosed) {
      quiet = this.received.length === before ? quiet + 1 : 0
      before = this.received.length
      await this.#node.clock.settle()
    }
    return this.received
  }
}

const VERSION = '1'
/** So many rounds without a byte are the end. */
const SETTLED = 300

function command(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}
