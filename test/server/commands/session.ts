/*
 * Clients of a server that consists of the command table alone: commands run on real arguments and
 * a real encoder, and what they change on the client and the server can be looked at. Dispatch and
 * sockets have their own tests; the transcripts in test/compat go the whole way.
 */
import type { Membership } from '../../../cluster/members/membership.ts'
import { Args } from '../../../protocol/args.ts'
import { wrongArity } from '../../../protocol/errors.ts'
import { Reply } from '../../../protocol/reply.ts'
import { newIncarnation } from '../../../cluster/peers/handshake.ts'
import type { Client } from '../../../server/clients/client.ts'
import { type Command, CommandTable, takes } from '../../../server/command.ts'
import { loadConfig } from '../../../server/config.ts'
import { Databases } from '../../../server/databases.ts'
import { Gate } from '../../../server/gate.ts'
import { PubSub } from '../../../server/pubsub.ts'
import type { EndOptions, Server } from '../../../server/server.ts'
import { answer, type ArgumentOf, type QuestionName } from '../../../server/threads/questions.ts'
import { shareStats, Stats } from '../../../server/stats.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'

export interface BenchOptions {
  /** Of the command line: `['--requirepass', 'secret']`. */
  readonly directives?: readonly string[]
  readonly membership?: Membership
}

/** The server's side: what commands see of it. */
export class Bench {
  readonly clock = new VirtualClock()
  readonly clients = new Map<number, Client>()
  readonly stats = new Stats(shareStats([]))
  /** What SHUTDOWN asked for. */
  readonly ends: EndOptions[] = []
  readonly server: Server

  constructor(rows: readonly Command[], options: BenchOptions = {}) {
    const { clock, clients, stats } = this
    const membership = options.membership ?? null
    const server = {
      row: 0,
      config: loadConfig({ args: options.directives ?? [] }),
      table: new CommandTable(rows),
      world: { clock, random: new SeededRandom(1) },
      incarnation: newIncarnation(new SeededRandom(2)),
      routing: { enabled: membership !== null, membership },
      gate: new Gate(),
      clients,
      stats,
      databases: new Databases(16),
      pubsub: new PubSub(),
      notifier: null,
      tracking: { end: () => {} },
      end: (how: EndOptions) => {
        this.ends.push(how)
        return Promise.resolve(true)
      },
    }
    this.server = server as unknown as Server
    Object.assign(server, { hub: this.server, isAlone: true })
  }

  connect(address = `127.0.0.1:${50_000 + this.clients.size}`): Session {
    return new Session(this, address)
  }
}

/** One client. Its fields are those of `Client` that commands touch. */
export class Session {
  readonly client: Client
  /** How the connection was ended, if it was. */
  ended: 'after reply' | 'at once' | null = null
  readonly #reply = new Reply({ overflow: grow })
  readonly #bench: Bench

  constructor(bench: Bench, address: string) {
    this.#bench = bench
    this.#reply.use(new Uint8Array(64), 0, 64)
    const id = bench.clients.size + 1
    const client = {
      server: bench.server,
      hub: bench.server,
      survey: (
        name: QuestionName,
        argument: ArgumentOf<QuestionName>,
        goOn: (answers: unknown[]) => void,
      ) => goOn([answer(bench.server, name, argument)]),
      reply: this.#reply,
      id,
      address,
      localAddress: '127.0.0.1:6379',
      createdAt: bench.clock.now(),
      lastCommandAt: bench.clock.now(),
      lastCommand: 'NULL',
      db: 0,
      name: '',
      libName: '',
      libVersion: '',
      user: 'default',
      authenticated: bench.server.config.requirepass === '',
      noEvict: false,
      noTouch: false,
      isMonitor: false,
      transaction: null,
      watches: 0,
      isDirty: false,
      subscriber: null,
      tracker: null,
      isSubscriber: false,
      replyMode: 'on',
      peer: null,
      peerChallenge: null,
      protocol: 2,
      queryBytes: 11,
      outputBytes: 22,
      outputParts: 3,
      fd: 9,
      useProtocol: (version: 2 | 3) => {
        client.protocol = version
        this.#reply.protocol = version
      },
      // Its reply is not looked at here.
      defer: () => ({ settle: () => {} }),
      monitor: (on: boolean) => (client.isMonitor = on),
      endTransaction: () => {},
      unwatch: () => {},
      leaveAll: () => {},
      judgeSpecial: () => {},
      hearReplies: (does: boolean) => (client.replyMode = does ? 'on' : 'off'),
      hearNoMore: () => {},
      closeAfterReply: () => (this.ended = 'after reply'),
      destroy: () => {
        this.ended = 'at once'
        bench.clients.delete(id)
      },
    }
    this.client = client as unknown as Client
    bench.clients.set(id, this.client)
  }

  /** Runs a command as dispatch does and returns the bytes of its reply, one a char. */
  say(...words: readonly (string | Buffer)[]): string {
    const args = Args.of(words)
    ;(this.client as { args: Args }).args = args
    const entry = this.#bench.server.table.called(args)
    if (entry === null) throw new Error(`no such command: ${words.join(' ')}`)
    this.client.lastCommand = entry.fullName
    if (takes(entry, args.count)) entry.run(this.client)
    else this.client.reply.error(wrongArity(entry.fullName))
    return this.#reply.take().toString('latin1')
  }

  /** The text of a bulk or verbatim string that the command answers. */
  text(...words: readonly string[]): string {
    const reply = this.say(...words)
    const start = reply.indexOf('\r\n') + 2
    if (!/^[$=]/.test(reply)) throw new Error(reply)
    return reply.slice(reply.startsWith('=') ? start + 4 : start, -2)
  }
}

function grow(reply: Reply, need: number): void {
  const written = reply.take()
  const bytes = new Uint8Array(2 * (written.length + need))
  bytes.set(written)
  reply.use(bytes, 0, bytes.length)
  reply.pos = written.length
}
