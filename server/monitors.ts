/**
 * MONITOR: clients that are shown every command as it runs, whoever sent it.
 *
 *     +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
 *
 * A line is made once and queued for each monitor. Commands about the server (flag admin) are not
 * shown, passwords neither. A monitor that does not read fast enough is closed when its queue
 * reaches the limits of the class pubsub: commands do not wait for those who watch.
 *
 * With several threads each has its own monitors; a shared word counts all of them, so that where
 * nobody monitors a command costs one comparison (see dispatch.ts). Lines for those of other threads
 * go through `tell`, and come in by `hear`.
 */
import type { Clock } from '../cluster/world.ts'
import type { Args } from '../protocol/args.ts'
import type { Client } from './clients/client.ts'
import type { CommandEntry } from './command.ts'
import { flagBits } from './command.ts'
import { REDACTED } from './slow-log.ts'
import type { Stats } from './stats.ts'

/** Of a longer argument no more is shown: Redis shows all of it. */
export const argBytesShownMax = 16 * 1024

const hiddenFlags = flagBits.admin | flagBits.skip_monitor

/** What a monitor's connection does. */
export interface MonitorConnection {
  /** Sends bytes that answer no command. */
  push(bytes: Uint8Array): void
}

export class Monitors {
  readonly #clock: Clock
  readonly #stats: Stats
  readonly #tell: (line: Uint8Array) => void
  readonly #local = new Map<number, MonitorConnection>()

  /** `tell` hands a line to all other threads, which `hear` it. */
  constructor(clock: Clock, stats: Stats, tell: (line: Uint8Array) => void = () => {}) {
    this.#clock = clock
    this.#stats = stats
    this.#tell = tell
  }

  /** A client of this thread begins to watch. */
  add(id: number, connection: MonitorConnection): void {
    if (this.#local.has(id)) return
    this.#local.set(id, connection)
    this.#stats.monitorCame()
  }

  /** It watches no longer, or is gone. */
  remove(id: number): void {
    if (this.#local.delete(id)) this.#stats.monitorLeft()
  }

  /** A command has run on this thread, with `client.args`. */
  show(client: Client, entry: CommandEntry): void {
    if ((entry.flags & hiddenFlags) !== 0) return
    const line = lineOf(this.#clock.wall(), client, entry)
    this.hear(line)
    if (this.#stats.monitors > this.#local.size) this.#tell(line)
  }

  /** Queues a line for the monitors of this thread. */
  hear(line: Uint8Array): void {
    for (const connection of [...this.#local.values()]) connection.push(line)
  }
}

function lineOf(
  wallMs: number,
  { args, db, address, server }: Client,
  entry: CommandEntry,
): Buffer {
  const seconds = Math.floor(wallMs / 1000)
  const micros = String(Math.floor((wallMs - seconds * 1000) * 1000)).padStart(6, '0')
  const secrets = entry.secrets?.(args) ?? []
  const words: string[] = []
  for (let i = 0; i < args.count; i++) words.push(quoted(args, i, secrets.includes(i)))
  return Buffer.from(
    `+${seconds}.${micros} [${server.databases.numberOf(db)} ${address}] ${words.join(' ')}\r\n`,
    'latin1',
  )
}

function quoted(args: Args, i: number, isSecret: boolean): string {
  const text = (isSecret ? REDACTED : args.head(i, argBytesShownMax)).toString('latin1')
  const rest = args.length(i) - text.length
  const more = rest > 0 && !isSecret ? `... (${rest} more bytes)` : ''
  return `"${text.replaceAll(/[^ -~]|["\\]/g, escaped)}${more}"`
}

const named: Readonly<Record<string, string>> = {
  ...{
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\x07': '\\a',
    '\b': '\\b',
    '"': '\\"',
    '\\': '\\\\',
  },
}

function escaped(char: string): string {
  return named[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
}
