/*
 * Transcripts: the same commands put to ringtier and to a real redis-server, and the replies compared
 * byte for byte. redis-server is the oracle, so a table holds no expected replies, only commands:
 *
 *     transcripts({
 *       'SETNX leaves what is there': ['SETNX k a', 'SETNX k b', 'GET k'],
 *     })
 *
 * A line is what one would type in redis-cli: words between blanks, in quotes where a word has
 * blanks, with \n, \x00 and the like inside of double quotes. Where the two may differ, the line
 * begins with a word that says in what:
 *
 *     ~2 TTL k            integers may be 2 apart
 *     {} KEYS *           elements of arrays may come in any order
 *     ? RANDOMKEY         only the kind of the reply counts
 *     #keyspace_hits,keyspace_misses INFO stats      only these fields count
 *     @ SLOWLOG GET       integers and addresses of clients do not count
 *
 * Every transcript begins on fresh connections with an empty database, and is run twice: in RESP2
 * with each command sent after the reply to the one before, and in RESP3 with all of them in one
 * write.
 */
import { connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'
import { replyEnd } from '../raw.ts'

/** Commands by the fact that they show. */
export type Transcripts = Readonly<Record<string, readonly string[]>>

export interface TranscriptOptions {
  /** Arguments for ringtier and for redis-server besides port and bind address. */
  readonly ringtier?: readonly string[]
  readonly redis?: readonly string[]
}

/** Declares one test for each transcript of the file; called once a file. */
export function transcripts(table: Transcripts, options: TranscriptOptions = {}): void {
  if (!available('redis-server')) {
    for (const title of Object.keys(table)) test.skip(title, (t) => t.pass())
    test('transcripts are skipped', (t) => {
      t.log('redis-server is not installed, so there is nothing to compare replies with')
      t.pass()
    })
    return
  }
  const servers: RunningServer[] = []
  test.before(async () => {
    servers.push(await startRingtier({ args: options.ringtier ?? [] }))
    servers.push(await startRedis({ args: options.redis ?? [] }))
  })
  test.after.always(async () => {
    await Promise.all(servers.map((server) => server.stop()))
  })
  for (const [title, lines] of Object.entries(table)) {
    test.serial(title, async (t) => {
      const [ringtier, redis] = servers as [RunningServer, RunningServer]
      await compare(t, lines.map(parseLine), { ringtier, redis, protocol: 2 })
      await compare(t, lines.map(parseLine), { ringtier, redis, protocol: 3 })
    })
  }
}

/** A line of a transcript: what is sent, and how the replies are made comparable. */
interface Line {
  readonly text: string
  readonly args: readonly Buffer[]
  /** Integers may be so far apart. */
  readonly tolerance: number
  /** What counts of a reply. */
  readonly normal: (reply: string) => string
}

interface Comparison {
  readonly ringtier: RunningServer
  readonly redis: RunningServer
  readonly protocol: 2 | 3
}

/** Longer replies and commands are cut in failure messages. */
const SHOWN_LENGTH_MAX = 300

async function compare(t: ExecutionContext, lines: readonly Line[], pair: Comparison) {
  const [ours, theirs] = await Promise.all([
    play(pair.ringtier.port, lines, pair.protocol),
    play(pair.redis.port, lines, pair.protocol),
  ])
  const differing: string[] = []
  for (const [i, line] of lines.entries()) {
    const our = line.normal(ours[i]!)
    const their = line.normal(theirs[i]!)
    if (our === their || isWithin(line.tolerance, our, their)) continue
    differing.push(
      `RESP${pair.protocol} ${shown(line.text)}\n  ringtier ${shown(our)}\n  redis    ${shown(their)}`,
    )
  }
  t.is(differing.join('\n'), '')
}

function shown(text: string): string {
  const quoted = JSON.stringify(text)
  return quoted.length > SHOWN_LENGTH_MAX ? `${quoted.slice(0, SHOWN_LENGTH_MAX)}...` : quoted
}

function isWithin(tolerance: number, a: string, b: string): boolean {
  if (tolerance === 0 || !a.startsWith(':') || !b.startsWith(':')) return false
  const [first, second] = [Number(a.slice(1)), Number(b.slice(1))]
  return first >= 0 && second >= 0 && Math.abs(first - second) <= tolerance
}

/** The replies to the lines, as they stood on the wire. A connection that ended answers '(closed)'. */
async function play(port: number, lines: readonly Line[], protocol: 2 | 3): Promise<string[]> {
  const wire = await Wire.open(port)
  try {
    await wire.send([encode([Buffer.from('FLUSHALL')])])
    const requests = lines.map((line) => encode(line.args))
    if (protocol === 3) {
      await wire.send([encode([Buffer.from('HELLO'), Buffer.from('3')])])
      return await wire.send(requests)
    }
    const replies: string[] = []
    for (const request of requests) replies.push(...(await wire.send([request])))
    return replies
  } finally {
    wire.close()
  }
}

function encode(args: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) parts.push(Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n'))
  return Buffer.concat(parts)
}

/** A connection that knows where replies end. */
class Wire {
  readonly #socket: Socket
  #pieces: string[] = []
  #length = 0
  /** Not worth looking for an end before so much has come. */
  #enough = 0
  #closed = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#pieces.push(text)
      this.#length += text.length
      if (this.#length >= this.#enough) this.#wake()
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static open(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Wire(socket))
      })
    })
  }

  /** Sends all requests in one write, and gives one reply for each. */
  async send(requests: readonly Buffer[]): Promise<string[]> {
    this.#socket.write(Buffer.concat(requests))
    const replies: string[] = []
    while (replies.length < requests.length) replies.push(await this.#reply())
    return replies
  }

  async #reply(): Promise<string> {
    for (;;) {
      const text = this.#pieces.join('')
      const end = replyEnd(text, 0)
      if (end >= 0) {
        this.#pieces = [text.slice(end)]
        this.#length = text.length - end
        return text.slice(0, end)
      }
      if (this.#closed) return '(closed)'
      this.#pieces = [text]
      const bulk = /^\$(\d+)\r\n/.exec(text)
      this.#enough = bulk ? bulk[0].length + Number(bulk[1]) + 2 : 0
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#enough = 0
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}

const MARK =
  /^(?:~(?<tolerance>\d+)|(?<unordered>\{\})|(?<kind>\?)|(?<figures>@)|#(?<fields>[\w,]+)) /

function parseLine(text: string): Line {
  const mark = MARK.exec(text)
  const { tolerance, unordered, kind, figures, fields } = mark?.groups ?? {}
  let normal = (reply: string): string => reply
  if (unordered !== undefined) normal = sorted
  else if (kind !== undefined) normal = kindOf
  else if (figures !== undefined) normal = withoutFigures
  else if (fields !== undefined) normal = (reply) => fieldsOf(reply, fields.split(','))
  return {
    text,
    args: splitWords(text.slice(mark?.[0].length ?? 0)),
    tolerance: Number(tolerance ?? 0),
    normal,
  }
}

/** The elements of arrays, at any depth, in the order of their bytes. */
function sorted(reply: string): string {
  if (!/^[*~]\d/.test(reply)) return reply
  let pos = reply.indexOf('\n') + 1
  const head = reply.slice(0, pos)
  const elements: string[] = []
  while (pos < reply.length) {
    const end = replyEnd(reply, pos)
    elements.push(sorted(reply.slice(pos, end)))
    pos = end
  }
  return head + elements.sort().join('')
}

function kindOf(reply: string): string {
  return /^\$-1|^\*-1|^_/.test(reply) ? 'null' : reply.slice(0, 1)
}

function withoutFigures(reply: string): string {
  return reply
    .replace(/^:\d+$/gm, ':N')
    .replace(/^\$\d+\r\n127\.0\.0\.1:\d+$/gm, '$N\r\n127.0.0.1:N')
}

/** Lines 'field:value' of the reply, in the order asked for. */
function fieldsOf(reply: string, fields: readonly string[]): string {
  return fields
    .map((field) => new RegExp(`^${field}:.*$`, 'm').exec(reply)?.[0].trim() ?? `no ${field}`)
    .join('\n')
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** The words of a line as redis-cli reads them; one char a byte. */
function splitWords(text: string): Buffer[] {
  const words: Buffer[] = []
  const pattern = /"((?:\\.|[^"\\])*)"|'((?:\\'|[^'])*)'|(\S+)/gs
  for (const [, double, single, plain] of text.matchAll(pattern)) {
    const word =
      plain ??
      single?.replaceAll("\\'", "'") ??
      double!.replace(/\\(?:x([\da-f]{2})|(.))/gis, (_all, hex?: string, char?: string) =>
        hex === undefined ? (ESCAPES[char!] ?? char!) : String.fromCharCode(parseInt(hex, 16)),
      )
    words.push(Buffer.from(word, 'latin1'))
  }
  return words
}
