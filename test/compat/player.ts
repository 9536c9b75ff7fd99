/*
 * Plays lines of several connections to one server, and gives what each was answered.
 *
 * A step is what one connection sends at once: one line, or several in one write, or cut into pieces at
 * any byte. The next step is sent when the replies of the one before are here. So what connections do
 * to each other is in one order, though each has its own state.
 *
 * How many replies a line has is known from its words and from what came so far: SUBSCRIBE has one for
 * each channel, UNSUBSCRIBE without a channel one for each that is left. Messages that nobody asked for
 * are kept apart from replies. After each step every connection that may have been sent some (one that
 * is subscribed, or all where CLIENT TRACKING is played) is asked PING: when it has answered, they are here.
 */
import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { replyEnd } from '../raw.ts'
import type { Answer, Line, Word } from './line.ts'

/** What one connection sends at once. */
export interface Step {
  /** All of one connection. */
  readonly lines: readonly Line[]
  /** Offsets in the bytes of the step at which they are cut; ascending. */
  readonly cuts: readonly number[]
}

/** What a server said. */
export interface Played {
  /** An answer for each line of each step. */
  readonly answers: readonly (readonly Answer[])[]
  /** By connection: the messages that it was sent, in their order. */
  readonly messages: ReadonlyMap<string, readonly string[]>
}

/** After so long nothing more will come. */
const SILENCE_MS = 5_000

const SUBSCRIBES = new Set(['subscribe', 'psubscribe', 'ssubscribe'])
const UNSUBSCRIBES = new Set(['unsubscribe', 'punsubscribe', 'sunsubscribe'])
/** What is sent to who is subscribed, as RESP2 and RESP3 write it. */
const MESSAGE = /[*>]\d\r\n\$\d+\r\n(?:message|pmessage|smessage|invalidate)\r\n/y
const CONFIRMATION = /[*>]3\r\n\$\d+\r\n([ps]?)(un)?subscribe\r\n(?:\$(\d+)\r\n|_\r\n|\$-1\r\n)/g

export class Player {
  readonly #port: number
  readonly #parties = new Map<string, Party>()
  #dumped: Buffer = Buffer.alloc(0)
  /** Words of what is played. */
  #named: ReadonlySet<Word> = new Set()
  /** May any connection be told of changes of keys? */
  #tracks = false

  constructor(port: number) {
    this.#port = port
  }

  async play(steps: readonly Step[]): Promise<Played> {
    this.#named = new Set(steps.flatMap(({ lines }) => lines.flatMap(({ words }) => words)))
    this.#tracks ||= [...this.#named].some((word) => /^tracking$/i.test(word.toString('latin1')))
    const answers: Answer[][] = []
    for (const step of steps) answers.push(await this.#step(step))
    const messages = new Map<string, readonly string[]>()
    for (const [name, party] of this.#parties) messages.set(name, party.messages)
    return { answers, messages }
  }

  /** Closes all connections, when the server has forgotten what they were subscribed to. */
  async end(): Promise<void> {
    await Promise.all([...this.#parties.values()].map((party) => party.end()))
    this.#parties.clear()
  }

  async #party(name: string): Promise<Party> {
    let party = this.#parties.get(name)
    if (party === undefined) {
      party = await Party.open(this.#port)
      this.#parties.set(name, party)
      if (this.#named.has(`$id:${name}`) || this.#named.has(`$addr:${name}`)) await party.askId()
    }
    return party
  }

  async #step({ lines, cuts }: Step): Promise<Answer[]> {
    const party = await this.#party(lines[0]?.connection ?? 'a')
    const requests: Buffer[] = []
    for (const line of lines) {
      const args: Buffer[] = []
      for (const word of line.words) args.push(await this.#bytesOf(word))
      requests.push(encode(args))
    }
    await party.write(Buffer.concat(requests), cuts)
    const answers: Answer[] = []
    for (const line of lines) {
      const answer = await party.answer(line)
      if (nameOf(line) === 'dump' && answer.text.startsWith('$') && answer.text[1] !== '-') {
        this.#dumped = Buffer.from(answer.text.slice(answer.text.indexOf('\n') + 1, -2), 'latin1')
      }
      answers.push(answer)
    }
    for (const each of this.#parties.values()) await each.settle(this.#tracks)
    return answers
  }

  async #bytesOf(word: Word): Promise<Buffer> {
    if (typeof word !== 'string') return word
    if (word === '$dump') return this.#dumped
    const party = await this.#party(word.at(-1)!)
    return Buffer.from(word.startsWith('$id') ? party.id : party.address)
  }
}

function nameOf(line: Line): string {
  return (line.words[0] ?? '').toString('latin1').toLowerCase()
}

export function encode(args: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) parts.push(Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n'))
  return Buffer.concat(parts)
}

function isMessageAt(text: string, pos: number): boolean {
  MESSAGE.lastIndex = pos
  return MESSAGE.test(text)
}

/**
 * Where the reply at `from` ends; -1 when more of it must come. Redis 7.0 puts messages of RESP3 amid
 * the elements of an array that it is writing: they are taken `within` it, and are none of them.
 */
function endOf(text: string, from: number, within: string[]): number {
  if (text[from] !== '*' || !text.includes('\n>', from)) return replyEnd(text, from)
  const lineEnd = text.indexOf('\n', from)
  let pos = lineEnd + 1
  for (let left = Number(text.slice(from + 1, lineEnd)); left > 0;) {
    const isMessage = text[pos] === '>' && isMessageAt(text, pos)
    const end = isMessage ? replyEnd(text, pos) : endOf(text, pos, within)
    if (end < 0) return -1
    if (isMessage) within.push(text.slice(pos, end))
    else left--
    pos = end
  }
  return pos
}

/** One connection, that knows what it asked for. */
class Party {
  /** Messages that nobody asked for. */
  readonly messages: string[] = []
  readonly address: string
  /** As CLIENT ID told it. */
  id = '0'
  readonly #socket: Socket
  /** The channels it is subscribed to: the letter of their kind, and the name. */
  readonly #subscriptions = new Set<string>()
  /** What was queued since MULTI. */
  #queued: Line[] | null = null
  #pieces: string[] = []
  #length = 0
  /** Not worth looking for an end before so much has come. */
  #enough = 0
  #gone: '' | '(closed)' | '(silence)' = ''
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    this.address = `${socket.localAddress}:${socket.localPort}`
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#pieces.push(text)
      this.#length += text.length
      if (this.#length >= this.#enough) this.#wake()
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      this.#gone = '(closed)'
      this.#wake()
    })
  }

  static open(port: number): Promise<Party> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Party(socket))
      })
    })
  }

  /** Asks CLIENT ID, while that is answered at once: first of all. Then the server knows the address, too. */
  async askId(): Promise<void> {
    await this.write(encode([Buffer.from('CLIENT'), Buffer.from('ID')]), [])
    this.id = (await this.#reply()).slice(1, -2)
  }

  async write(bytes: Buffer, cuts: readonly number[]): Promise<void> {
    let from = 0
    for (const cut of [...cuts, bytes.length]) {
      if (cut <= from || cut > bytes.length) continue
      if (from > 0) await nextTurn()
      if (!this.#socket.destroyed) this.#socket.write(bytes.subarray(from, cut))
      from = cut
    }
  }

  /** What a line that was sent is answered. */
  async answer(line: Line): Promise<Answer> {
    const first = await this.#reply()
    const answers = [first]
    for (let left = this.#repliesOf(line, first) - 1; left > 0; left--) {
      answers.push(await this.#reply())
    }
    const text = answers.join('')
    this.#note(text)
    return this.#transaction(line, text)
  }

  /** Has the server answer once more, where it may have sent messages before, or where it `tracks`. */
  async settle(tracks: boolean): Promise<void> {
    if ((!tracks && this.#subscriptions.size === 0) || this.#gone !== '') return
    await this.write(encode([Buffer.from('PING'), Buffer.from('settled')]), [])
    const line: Line = { text: 'PING settled', connection: '', mark: '', words: [] }
    this.#transaction(line, await this.#reply())
  }

  async end(): Promise<void> {
    if (this.#gone === '') {
      await this.write(encode([Buffer.from('RESET')]), [])
      while (this.#gone === '' && (await this.#reply()) !== '+RESET\r\n');
    }
    this.#socket.destroy()
  }

  #repliesOf(line: Line, first: string): number {
    const name = nameOf(line)
    if (!first.startsWith('*3') && !first.startsWith('>3')) return 1
    if (SUBSCRIBES.has(name)) return line.words.length - 1
    if (!UNSUBSCRIBES.has(name)) return 1
    if (line.words.length > 1) return line.words.length - 1
    const kind = name[0] === 'u' ? '' : name[0]!
    return [...this.#subscriptions].filter((each) => each.startsWith(`${kind}:`)).length
  }

  /** Keeps what the confirmations in a reply say. */
  #note(reply: string): void {
    if (reply === '+RESET\r\n') this.#subscriptions.clear()
    if (!reply.includes('subscribe\r\n')) return
    for (const match of reply.matchAll(CONFIRMATION)) {
      const [all, kind, un, length] = match
      const start = match.index + all.length
      const channel = `${kind}:${reply.slice(start, start + Number(length ?? 0))}`
      if (un === undefined) this.#subscriptions.add(channel)
      else this.#subscriptions.delete(channel)
    }
  }

  #transaction(line: Line, text: string): Answer {
    const name = nameOf(line)
    if (text === '+QUEUED\r\n') this.#queued?.push(line)
    else if (name === 'multi' && text === '+OK\r\n') this.#queued = []
    else if (name === 'exec' && this.#queued !== null && !text.startsWith('-ERR')) {
      const queued = this.#queued
      this.#queued = null
      return { text, queued }
    } else if (text === '+RESET\r\n' || (name === 'discard' && text === '+OK\r\n')) {
      this.#queued = null
    }
    return { text }
  }

  /** The next reply; messages before it are put aside. */
  async #reply(): Promise<string> {
    for (;;) {
      const text = this.#pieces.length === 1 ? this.#pieces[0]! : this.#pieces.join('')
      const within: string[] = []
      const end = endOf(text, 0, within)
      if (end >= 0) {
        this.#pieces = [text.slice(end)]
        this.#length = text.length - end
        let reply = text.slice(0, end)
        if (isMessageAt(reply, 0)) {
          this.messages.push(reply)
          continue
        }
        for (const message of within) reply = reply.replace(message, () => '')
        this.messages.push(...within)
        return reply
      }
      if (this.#gone !== '') return this.#gone
      this.#pieces = [text]
      const bulk = /^\$(\d+)\r\n/.exec(text)
      this.#enough = bulk ? bulk[0].length + Number(bulk[1]) + 2 : 0
      await this.#more()
      this.#enough = 0
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#gone = '(silence)'
        resolve()
      }, SILENCE_MS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
