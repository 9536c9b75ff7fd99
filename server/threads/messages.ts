/**
 * What the hub and its workers tell each other. Messages between two threads arrive in the order in
 * which they were sent, and are plain data; bytes stand in arrays of their own, for a view of a
 * larger one would travel with all of it.
 */
import type { Word } from '../../cluster/members/good-byes.ts'
import type { Outcome } from '../../cluster/loads/loads.ts'
import type { ClusterNode, MemberState } from '../../cluster/members/membership.ts'
import type { ConfigSource, GroupChange, Pair } from '../config.ts'
import type { LatencyEvent } from '../latency.ts'
import type { Accepted, ListenAddress } from '../clients/listener.ts'
import type { LogLevel } from '../log.ts'
import type { SlowCommand } from '../slow-log.ts'
import type { SharedStats } from '../stats.ts'
import type { StoreOptions } from '../store/store.ts'
import type { TlsKeys } from '../clients/tls.ts'
import type { MeshStart } from './mesh.ts'
import type { QuestionName } from './questions.ts'
import type { LoadReason } from './remote-loads.ts'
import type { TrackingStart } from './tracking-links.ts'

/** What a worker is started with. */
export interface WorkerStart {
  /** Its row of the statistics, from 1. */
  readonly row: number
  readonly config: ConfigSource
  readonly logLevel: LogLevel
  /** With the arenas to attach to. */
  readonly store: StoreOptions
  readonly stats: SharedStats
  readonly gate: SharedArrayBuffer
  readonly slotStates: SharedArrayBuffer
  readonly databases: SharedArrayBuffer
  /** Of copies of hot keys. */
  readonly stamps: SharedArrayBuffer
  /** Null where no group has copies. */
  readonly keptSlots: SharedArrayBuffer | null
  /** Null where there is no cluster. */
  readonly fence: SharedArrayBuffer | null
  /** Publish and subscribe. */
  readonly mesh: MeshStart
  readonly tracking: TrackingStart
  readonly incarnation: string
  /** Null: nobody speaks TLS. */
  readonly tls: TlsKeys | null
  /** Of the clock; see system.ts. */
  readonly originMs: number
}

/** Who sent a command that runs on the hub. */
export interface SessionFacts {
  readonly id: number
  readonly address: string
  readonly localAddress: string
  readonly name: string
  /** The node that speaks there; null: a client. */
  readonly peer: string | null
  readonly db: number
  readonly protocol: number
  /** Is its command part of a transaction that runs? */
  readonly isInExec: boolean
}

/** A member as the hub sees it. */
export interface FoundMember extends ClusterNode {
  readonly state: MemberState
  readonly incarnation: string
}

export type ToWorker =
  | { readonly kind: 'socket'; readonly socket: Accepted }
  | { readonly kind: 'listen'; readonly id: number; readonly at: ListenAddress }
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly name: QuestionName
      readonly argument: unknown
    }
  /** Answer, stop until there were more swaps than so many, and follow this one (databases.ts). */
  | {
      readonly kind: 'swap'
      readonly id: number
      readonly swaps: number
      readonly one: number
      readonly two: number
    }
  /** The reply of a command that ran on the hub. */
  | { readonly kind: 'reply'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'config'; readonly pairs: readonly Pair[] }
  /** For connections from now on. */
  | { readonly kind: 'tls'; readonly keys: TlsKeys }
  | { readonly kind: 'group'; readonly change: GroupChange }
  | { readonly kind: 'monitored'; readonly line: Uint8Array }
  /** The load of this token has ended. */
  | { readonly kind: 'landed'; readonly token: number; readonly outcome: Outcome }
  /** Who is in the cluster. */
  | { readonly kind: 'members'; readonly members: readonly FoundMember[] }
  /** The links to a node carry nothing, though it is there. */
  | { readonly kind: 'unheard'; readonly name: string }
  /** Who hears a node that does not answer this one. */
  | { readonly kind: 'vouchers'; readonly name: string; readonly vouchers: readonly string[] }
  /** The number of the view. */
  | { readonly kind: 'epoch'; readonly epoch: number }
  /** A node of the cluster is in this state now. */
  | {
      readonly kind: 'member'
      readonly name: string
      readonly state: MemberState
      readonly incarnation: string
    }
  /** A key was asked for, another node's word was heard, or copies were taken in. */
  | { readonly kind: 'handed'; readonly id: number }
  | { readonly kind: 'drain'; readonly timeoutMs: number }
  /** The last 'slow' was taken in. */
  | { readonly kind: 'slow-heard' }

export type FromWorker =
  | { readonly kind: 'ready'; readonly adopts: boolean }
  /** To `ask`; to `swap` null; and to `listen` null, or what is wrong. */
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  /** A command for the hub to run. */
  | {
      readonly kind: 'run'
      readonly id: number
      readonly session: SessionFacts
      readonly args: readonly Uint8Array[]
    }
  /** The load of this lease is wanted. */
  | {
      readonly kind: 'load'
      readonly why: LoadReason
      readonly token: number
      readonly db: number
      readonly key: Uint8Array
      readonly group: string
    }
  /** This key is to be asked for (server/cluster/handoff.ts). */
  | { readonly kind: 'settle'; readonly id: number; readonly key: Uint8Array }
  /** Entries were made worthless, and are to be removed. */
  | { readonly kind: 'sweep' }
  /** Another node says that it leaves, or stays. */
  | {
      readonly kind: 'word'
      readonly id: number
      readonly name: string
      readonly word: Word
    }
  /** What commands have changed is to be copied to other nodes (copies/). */
  | {
      readonly kind: 'copy'
      readonly id: number
      readonly what: 'keys' | 'all' | 'noted'
      readonly keys: readonly Uint8Array[]
    }
  /** `skipped` others came before them, of which nothing is known any more. */
  | { readonly kind: 'slow'; readonly commands: readonly SlowCommand[]; readonly skipped: number }
  | {
      readonly kind: 'latency'
      readonly event: LatencyEvent
      readonly micros: number
      readonly seconds: number
    }
  | { readonly kind: 'monitored'; readonly line: Uint8Array }
  /** A line of the log, JSON. */
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'drained' }

/** These bytes alone, which can travel. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}
