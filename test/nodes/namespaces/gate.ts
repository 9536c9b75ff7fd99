/*
 * A program that runs in the hub of namespaces.ts and carries connections and datagrams between it and the
 * test, which is outside: Unix sockets are files, and files are the same in both. Its argument are the ways;
 * it says when all are open, and ends with its input.
 */
import { createServer, connect, type Socket } from 'node:net'

/** Whoever connects here reaches that. A path is a Unix socket's. */
export interface Way {
  readonly from: Place
  readonly to: Place
}

export type Place = { readonly path: string } | { readonly host: string; readonly port: number }

function carry(near: Socket, to: Place): void {
  const far = connect({ ...to, noDelay: true })
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    socket.on('error', () => other.destroy())
    socket.on('close', () => other.destroy())
    socket.pipe(other)
  }
}

async function open({ from, to }: Way): Promise<void> {
  const server = createServer({ noDelay: true }, (near) => carry(near, to))
  await new Promise<void>((resolve) => server.listen(from, resolve))
}

const ways = JSON.parse(process.argv[2]!) as Way[]
await Promise.all(ways.map(open))
process.stdout.write('open\n')
process.stdin.resume().on('end', () => process.exit())
