import type { Duplex } from 'node:stream'
import { readHeader } from '../../../cluster/peers/frame.ts'
import { answerHello, verify } from '../../../cluster/peers/handshake.ts'
import type { Meeting } from '../../../cluster/peers/handshake.ts'
import { SeededRandom } from '../../sim/random.ts'

export interface SeenRequest {
  readonly id: number
  readonly deadlineMs: number
  readonly view: number
  readonly protocol: 2 | 3
  readonly args: readonly string[]
}

/**
 * The other side of a peer link, as small as it can be: shakes hands, then notes what is asked.
 * What it answers, and whether, the test says.
 */
export class FakeOwner {
  readonly name: string
  secret: string
  incarnation = '00000000000000f0'
  /** Requests of peer mode, in order. */
  readonly seen: SeenRequest[] = []
  /** Reads that brought them. */
  reads = 0
  accepted = 0
  onRequest: (request: SeenRequest) => void = () => {}
  /** Replaces the handshake's answer to the command of this name (HELLO or AUTH) if set. */
  readonly insteadOf = new Map<string, string>()
  readonly #random = new SeededRandom(77)
  #stream: Duplex | null = null

  constructor(name: string, secret = '') {
    this.name = name
    this.secret = secret
  }

  accept(stream: Duplex): void {
    this.accepted++
    this.#stream = stream
    let kept = Buffer.alloc(0)
    const arrived: Buffer[] = []
    let length = 0
    let needed = 0
    let meeting: Meeting | null = null
    let peerMode = false
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      if (peerMode) this.reads++
      arrived.push(chunk)
      length += chunk.length
      if (length < needed) return
      kept = Buffer.concat([kept, ...arrived.splice(0)])
      for (;;) {
        const request = takeRequest(kept)
        if (typeof request === 'number') {
          length = kept.length
          needed = request
          return
        }
        kept = kept.subarray(request.end)
        if (peerMode) {
          this.#note(request.args)
          continue
        }
        const [command, sub, ...words] = request.args.map(String)
        if (command !== 'PEER') throw new Error(`before the handshake: ${command}`)
        const instead = this.insteadOf.get(sub!)
        if (instead !== undefined) {
          stream.write(instead)
        } else if (sub === 'HELLO') {
          const { incarnation, name, secret } = this
          const owner = { name, secret, random: this.#random, incarnation }
          const answer = answerHello(owner, words)
          if ('refusal' in answer) stream.write(`-${answer.refusal}\r\n`)
          else {
            meeting = answer.meeting
            stream.write(
              `*${answer.reply.length}\r\n${answer.reply.map((word) => bulk(word)).join('')}`,
            )
          }
        } else if (meeting !== null && verify(this.secret, 'caller', meeting, words[0]!)) {
          peerMode = true
          stream.write('+OK\r\n')
        } else {
          stream.write('-NOAUTH wrong proof\r\n')
        }
      }
    })
  }

  /** Answers the request with a reply as it stands on the wire. */
  answer(id: number, reply: string): void {
    this.say(`@${id}\r\n${reply}`)
  }

  /** Says that the request is being worked on. */
  loading(id: number): void {
    this.say(`@-${id}\r\n`)
  }

  say(bytes: string | Buffer): void {
    this.#stream!.write(bytes)
  }

  /** Breaks the link. */
  cut(): void {
    this.#stream!.destroy()
  }

  #note(args: readonly Buffer[]): void {
    const header = { id: 0, deadlineMs: 0, view: 0, protocol: 2 as 2 | 3 }
    if (!readHeader(args[0]!, 0, args[0]!.length, header)) throw new Error('no header')
    const request = { ...header, args: args.slice(1).map((arg) => arg.toString('latin1')) }
    this.seen.push(request)
    this.onRequest(request)
  }
}

export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`
}

/** The RESP array at the beginning of the bytes; while it is not whole, how many are needed. */
function takeRequest(bytes: Buffer): { args: Buffer[]; end: number } | number {
  let at = 0
  const line = (type: string): number | null => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return null
    if (String.fromCharCode(bytes[at]!) !== type) throw new Error(`no ${type} at ${at}`)
    const length = Number(bytes.toString('latin1', at + 1, end))
    at = end + 2
    return length
  }
  const count = line('*')
  if (count === null) return bytes.length + 1
  const args: Buffer[] = []
  while (args.length < count) {
    const length = line('$')
    if (length === null) return bytes.length + 1
    if (at + length + 2 > bytes.length) return at + length + 2
    args.push(bytes.subarray(at, at + length))
    at += length + 2
  }
  return { args, end: at }
}
