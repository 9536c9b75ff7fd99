/*
 * The process itself as a client of its server: commands without a socket, for a program that embeds a
 * node (embedded/node.ts).
 *
 *     call(words) ──> route ──> another node
 *                       └─────> load, write, run here ──> reply, handed back whole
 *
 * From routing on it is every client's way, so what a command does and says is the same. Only the order
 * of replies is missing: each call has a slot of its own, and hears its reply when that is there.
 */
import { strict as assert } from 'node:assert'
import type { PeerValue } from '../../cluster/peers/replies.ts'
import { Args } from '../../protocol/args.ts'
import type { Client } from './client.ts'
import { type CommandEntry, takes } from '../command.ts'
import { Connection, type Socket } from './connection.ts'
import type { IoThread } from '../io-thread.ts'
import { valueOf } from '../cluster/routing.ts'
import { counter } from '../stats.ts'

/** Its calls are in database 0: in a cluster there is no other. */
const DB = 0

export class OwnClient {
  readonly #server: IoThread
  readonly #client: Client

  constructor(server: IoThread) {
    this.#server = server
    // It is none of those that clients see, count or kill.
    this.#client = new Connection(server, NO_SOCKET, 0).client
  }

  /**
   * Runs a command that is there, with as many words as it takes. `done` hears its reply once, perhaps
   * within this call; every call ends, the latest when the server does.
   */
  call(words: readonly (string | Buffer)[], done: (reply: PeerValue) => void): void {
    const server = this.#server
    const client = this.#client
    const entry = this.#entryOf(words)
    const slot = client.call((reply) => done(valueOf(reply)))
    const args = Args.of(words)
    server.stats.row[counter.commandsProcessed]!++
    server.cellOf(entry).called()
    const refusal = server.gate.restricts ? server.gate.refusalOf(entry) : null
    if (refusal !== null) {
      slot.settle((reply) => reply.error(refusal))
      return
    }
    const call = { args, db: DB, slot }
    if (server.routing.enabled && server.routing.takes(client, entry, call)) return
    server.answerLater(client, entry, args, DB, slot)
  }

  #entryOf(words: readonly (string | Buffer)[]): CommandEntry {
    const entry = this.#server.table.named(String(words[0]).toLowerCase())
    assert(entry !== null && takes(entry, words.length), 'there is no such command')
    return entry
  }
}

/** Nothing is read from it, and nothing written to it. */
const NO_SOCKET: Socket = {
  ...{ remoteAddress: '', localAddress: '', fd: -1, distrust: null, writableLength: 0 },
  pause: () => {},
  resume: () => {},
  write: (_, done) => done?.(),
  end: () => {},
  destroy: () => {},
}
