/** CONTRACT (to be replaced by the implementation; keep these signatures). */
import type { Args } from '../protocol/args.ts'
import type { Reply } from '../protocol/reply.ts'
import type { Pages, Store } from './store/store.ts'
import type { Server } from './server.ts'

/** A place in the order of replies, taken by a command that must wait. */
export interface Slot {
  /** Writes the reply; called once. Nothing happens if the connection is gone. */
  settle(write: (reply: Reply) => void): void
}

/** One client's session: what commands read and change. */
export declare class Client {
  readonly server: Server
  readonly store: Store
  readonly args: Args
  readonly reply: Reply
  readonly id: number
  /** 'host:port' */
  readonly address: string
  readonly localAddress: string
  readonly createdAt: number
  lastCommandAt: number
  lastCommand: string
  db: number
  name: string
  libName: string
  libVersion: string
  user: string
  authenticated: boolean
  noEvict: boolean
  noTouch: boolean
  /** CLIENT REPLY: 'on', 'off'; 'skip' suppresses the next command's reply. */
  replyMode: 'on' | 'off' | 'skip' | 'skip-next'
  /** A node of the cluster speaks here: commands run here, never forwarded. */
  peer: string | null
  /** For CLIENT LIST. */
  readonly queryBytes: number
  readonly outputBytes: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly fd: number
  /** A bulk reply from pages, streamed; releases the pages when sent or the client is gone. */
  replyPages(pages: Pages): void
  /** Takes a reply slot: later commands go on executing, their replies wait their turn. */
  defer(): Slot
  /** Sends what is written so far, then closes. */
  closeAfterReply(): void
  /** Closes now, dropping output. */
  destroy(): void
}
