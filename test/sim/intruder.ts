import { challenge, PEER_PROTOCOL_VERSION, prove } from '../../cluster/peers/handshake.ts'
import { PeerError, Replies, type PeerValue } from '../../cluster/peers/replies.ts'
import { textOf } from './client.ts'
import type { Violation } from './invariants.ts'
import type { SeededRandom } from './random.ts'
import type { Host } from './scheduler.ts'
import type { Wires, WireStream } from './wires.ts'

const PERIOD_MS = 5_000
const NAME = '10.0.0.66:7000'

/**
 * C10: somebody without the secret, who knocks at the nodes' doors in the name of one of them, or in
 * his own, and asks as a node does. He must never hear an answer to it.
 */
export class Intruder {
  readonly #wires: Wires
  readonly #host: Host
  readonly #random: SeededRandom
  readonly #names: readonly string[]
  readonly #report: (violation: Violation) => void

  constructor(
    wires: Wires,
    host: Host,
    parts: {
      readonly random: SeededRandom
      readonly names: readonly string[]
      readonly report: (violation: Violation) => void
    },
  ) {
    this.#wires = wires
    this.#host = host
    this.#random = parts.random
    this.#names = parts.names
    this.#report = parts.report
  }

  start(): void {
    this.#host.clock.every(PERIOD_MS, () => this.#knock())
  }

  #knock(): void {
    const random = this.#random
    const door = random.pick(this.#names)
    const name = random.below(2) === 0 ? NAME : random.pick(this.#names)
    const nonce = challenge(random)
    const stream = this.#wires.connect(this.#host, door)
    for (const event of ['error', 'end', 'close']) stream.on(event, () => {})
    let replies = 0
    const hear = (value: PeerValue): void => {
      replies++
      if (replies === 1 && Array.isArray(value)) {
        const [owner, ownerNonce] = (value as Buffer[]).map(String) as [string, string]
        const meeting = { caller: name, callerNonce: nonce, owner, ownerNonce }
        const proof = prove(random.below(2) === 0 ? '' : 'a guess', 'caller', meeting)
        return say(
          stream,
          ['PEER', 'AUTH', proof],
          ['1 1000 1', 'GET', 'p:1'],
          ['2 1000 1', 'PING'],
        )
      }
      if (value instanceof PeerError) return
      const text = `${door} answered ${textOf(value)} to an intruder`
      this.#report({
        invariant: 'C10 no secret, no entry',
        at: this.#host.clock.now(),
        text,
        about: '',
      })
    }
    const parser = new Replies({ bytesMax: 4096, depthMax: 2 }, hear)
    stream.on('data', (bytes: Buffer) => parser.feed(bytes))
    stream.on('connect', () =>
      say(stream, ['PEER', 'HELLO', String(PEER_PROTOCOL_VERSION), name, nonce]),
    )
    this.#host.clock.after(PERIOD_MS / 2, () => stream.destroy())
  }
}

function say(stream: WireStream, ...commands: readonly (readonly string[])[]): void {
  const texts = commands.map((words) => {
    return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
  })
  stream.write(Buffer.from(texts.join('')))
}
