import { duplexPair } from 'node:stream'
import type { Loader } from '../../cluster/origin/loader.ts'
import type { Network } from '../../cluster/world.ts'
import type { Client } from '../../server/client.ts'
import { loadConfig } from '../../server/config.ts'
import type { Files } from '../../server/files.ts'
import { createLog, type Log } from '../../server/log.ts'
import { createServer, type Server } from '../../server/server.ts'
import { MemoryFiles } from './memory-files.ts'
import { RawClient } from '../raw.ts'
import { VirtualClock } from '../sim/clock.ts'
import { SeededRandom } from '../sim/random.ts'

/** A whole server in this process, on virtual time, without a socket. */
export interface InProcess {
  readonly server: Server
  readonly clock: VirtualClock
  connect(): RawClient
  /** A client and its session as the server sees it. */
  connectSession(): { client: RawClient; session: Client }
}

const noNetwork: Network = {
  connect: () => {
    throw new Error('this server has no network')
  },
}

/** `args` as on the command line. */
export async function startInProcess(
  args: readonly string[] = [],
  options: { loader?: Loader; seed?: number; network?: Network; files?: Files; log?: Log } = {},
): Promise<InProcess> {
  const clock = new VirtualClock()
  const config = loadConfig({ args: ['--maxmemory', '16mb', '--port', '0', ...args] })
  const world = {
    clock,
    random: new SeededRandom(options.seed ?? 1),
    network: options.network ?? noNetwork,
    files: options.files ?? new MemoryFiles(),
  }
  const log = options.log ?? createLog({ level: 'nothing' })
  const server = await createServer(config, world, log, options.loader)
  const connectSession = (): { client: RawClient; session: Client } => {
    const [near, far] = duplexPair()
    return { session: server.handle(far), client: RawClient.over(near) }
  }
  return { server, clock, connectSession, connect: () => connectSession().client }
}
