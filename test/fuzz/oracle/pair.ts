/* ringtier and redis-server side by side: the same steps put to both, and what differs. */
import { type Difference, differencesOf } from '../../compat/difference.ts'
import { parseLine } from '../../compat/line.ts'
import { type Played, Player, type Step } from '../../compat/player.ts'
import { type RunningServer, startRedis, startRingtier } from '../../process.ts'
import { SETTINGS } from './grammar.ts'

/** Longest value, so that numbers at every edge may be offsets: the least that Redis allows. */
const BULK_MAX = ['--proto-max-bulk-len', '1mb']

export interface PairOptions {
  /** Arguments for ringtier besides those it needs, and the Node that runs it. */
  readonly ringtier?: readonly string[]
  readonly node?: string
}

export class Pair {
  readonly #ringtier: Side
  readonly #redis: Side

  private constructor(ringtier: Side, redis: Side) {
    this.#ringtier = ringtier
    this.#redis = redis
  }

  static async start({ ringtier = [], node }: PairOptions = {}): Promise<Pair> {
    const debug = ['--enable-debug-command', 'yes']
    const [ours, theirs] = await Promise.all([
      startRingtier({
        args: ['--maxmemory', '100mb', ...BULK_MAX, ...debug, ...ringtier],
        ...(node === undefined ? {} : { node }),
      }),
      startRedis({ args: ['--maxmemory-policy', 'allkeys-lfu', ...BULK_MAX, ...debug] }),
    ])
    return new Pair(new Side(ours), new Side(theirs))
  }

  /** What differs when both play this, from an empty store on. */
  async differences(steps: readonly Step[]): Promise<readonly Difference[]> {
    return differencesOf(
      steps,
      ...(await Promise.all([this.#ringtier.play(steps), this.#redis.play(steps)])),
    )
  }

  /** How the server that was ringtier has ended, if it has. */
  get ended(): boolean {
    return this.#ringtier.ended
  }

  /** What ringtier wrote. */
  get output(): string {
    return this.#ringtier.server.output()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#ringtier.server.stop(), this.#redis.server.stop()])
  }
}

/** One server, put back between sequences. */
class Side {
  readonly server: RunningServer
  ended = false
  /** Lines that put back what a sequence may have changed. */
  readonly #back: Step

  constructor(server: RunningServer) {
    this.server = server
    void server.exited.then(() => (this.ended = true))
    const settings = Object.entries(SETTINGS).map(([name, [setting]]) => `${name} "${setting}"`)
    const lines = ['FLUSHALL', 'CLIENT UNPAUSE', 'DEBUG SET-ACTIVE-EXPIRE 1']
    this.#back = {
      lines: [...lines, `CONFIG SET ${settings.join(' ')}`].map(parseLine),
      cuts: [],
    }
  }

  async play(steps: readonly Step[]): Promise<Played> {
    const before = new Player(this.server.port)
    await before.play([this.#back])
    await before.end()
    const player = new Player(this.server.port)
    try {
      return await player.play(steps)
    } finally {
      await player.end()
    }
  }
}
