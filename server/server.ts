/** CONTRACT (to be replaced by the implementation; keep these signatures). */
import type { Client } from './client.ts'
import type { Command } from './command.ts'
import type { Config } from './config.ts'
import type { Stats } from './stats.ts'
import type { Store } from './store/store.ts'
import type { World } from '../cluster/world.ts'

export declare class Server {
  readonly config: Config
  readonly world: World
  readonly store: Store
  readonly stats: Stats
  readonly commands: readonly Command[]
  readonly clients: ReadonlyMap<number, Client>
  readonly startedAt: number
  /** 40 hex digits, new at each start. */
  readonly runId: string
  /** Stops with code 0 (SHUTDOWN, SIGTERM): closes the listener, lets replies drain, ends. */
  shutdown(): void
}
