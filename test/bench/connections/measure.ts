/* What connections cost a server, by its memory and its file descriptors. Linux only. */
import { connect, type Socket } from 'node:net'
import { openDescriptors, residentBytes } from '../machine.ts'

export interface Target {
  readonly port: number
  readonly pid: number
}

/** How many connections are being opened at a time. */
const OPENING_MAX = 200
const POLL_MS = 10
/** What has not come back by then never will. */
const PATIENCE_MS = 30_000

export interface Idle {
  readonly connections: number
  readonly bytesEach: number
}

/**
 * Opens so many connections, has a command answered on each, and looks at the memory; then closes
 * them. Rejects when a descriptor is not given back.
 */
export async function measureIdle(server: Target, connections: number): Promise<Idle> {
  const before = openDescriptors(server.pid)
  const residentBefore = residentBytes(server.pid)
  const sockets = await openAll(server.port, connections)
  await Promise.all(sockets.map((socket) => ask(socket, 'PING\r\n', '+PONG\r\n')))
  const bytes = residentBytes(server.pid) - residentBefore
  await closeAll(sockets)
  await descriptorsBack(server, before)
  return { connections, bytesEach: bytes / connections }
}

/**
 * Connects and disconnects so many times, every other connection after a command, every other one by
 * RST. Rejects when one hangs or a descriptor is not given back.
 */
export async function churn(server: Target, connections: number): Promise<void> {
  const before = openDescriptors(server.pid)
  for (let done = 0; done < connections; done += OPENING_MAX) {
    const sockets = await openAll(server.port, Math.min(OPENING_MAX, connections - done))
    const asking = sockets.filter((_, i) => i % 4 < 2)
    await Promise.all(asking.map((socket) => ask(socket, 'PING\r\n', '+PONG\r\n')))
    await closeAll(sockets, (i) => i % 2 === 0)
  }
  await descriptorsBack(server, before)
}

/** Announcements of the most that a client may announce: an array, and a bulk as a SET's value. */
const announcements = ['*1048576\r\n', '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n']

/** What the server's memory grows by, in bytes, when so many connections announce much and send nothing. */
export async function measureAnnouncements(server: Target, connections: number): Promise<number> {
  const before = openDescriptors(server.pid)
  const residentBefore = residentBytes(server.pid)
  const sockets = await openAll(server.port, connections)
  for (const [i, socket] of sockets.entries()) socket.write(announcements[i % 2]!)
  // What a client announced is read before another's later question is answered.
  const [last] = await openAll(server.port, 1)
  await ask(last!, 'PING\r\n', '+PONG\r\n')
  await ask(last!, 'PING\r\n', '+PONG\r\n')
  const bytes = residentBytes(server.pid) - residentBefore
  await closeAll([...sockets, last!])
  await descriptorsBack(server, before)
  return bytes
}

async function openAll(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const some = Math.min(OPENING_MAX, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: some }, () => open(port)))))
  }
  return sockets
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.off('error', reject)
      socket.on('error', () => {})
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

function ask(socket: Socket, request: string, answer: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error('the server closed a connection')))
    socket.once('data', (bytes: Buffer) => {
      if (bytes.toString() === answer) resolve()
      else reject(new Error(`the server said ${bytes.toString()}`))
    })
    socket.write(request)
  })
}

async function closeAll(
  sockets: readonly Socket[],
  byReset: (i: number) => boolean = () => false,
): Promise<void> {
  await Promise.all(
    sockets.map(
      (socket, i) =>
        new Promise((resolve) => {
          socket.once('close', resolve)
          if (byReset(i)) socket.resetAndDestroy()
          else socket.destroy()
        }),
    ),
  )
}

async function descriptorsBack({ pid }: Target, before: number): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (openDescriptors(pid) > before) {
    if (Date.now() > deadline) {
      throw new Error(`${openDescriptors(pid) - before} descriptors are not given back`)
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
