/* Connections that ask one GET or SET after the other, and the keys that they ask for. */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'

export interface Asking {
  readonly port: number
  readonly keys: readonly string[]
  readonly connections: number
  readonly ms: number
  /** Of a value. */
  readonly bytes: number
  /** Are the keys set, instead of asked for? */
  readonly sets?: boolean
}

export interface Asked {
  readonly requests: number
  readonly elapsedMs: number
}

const POLL_MS = 20

/** Keys, as many for each node, by the port of who owns them. The nodes see each other by then. */
export async function keysByOwner(ports: readonly number[], count: number): Promise<string[][]> {
  // One that was out of the ring for a moment owns nothing.
  const whole = new RegExp(`cluster_slots_pfail:0\\r\\n[^]*cluster_size:${ports.length}\\r\\n`)
  for (const port of ports) {
    const client = new Redis(port, '127.0.0.1')
    while (!whole.test(await client.cluster('INFO'))) await delay(POLL_MS)
    client.disconnect()
  }
  const client = new Redis(ports[0]!, '127.0.0.1')
  const ranges = (await client.cluster('SLOTS')) as unknown as [number, number, [string, number]][]
  const owners = new Map<number, number>()
  for (const [from, to, [, port]] of ranges) {
    for (let slot = from; slot <= to; slot++) owners.set(slot, port)
  }
  const keys = ports.map(() => [] as string[])
  for (let n = 0; keys.some((some) => some.length < count); n++) {
    const names = Array.from({ length: 1000 }, (_, i) => `key:${n}:${i}`)
    const slots = await Promise.all(names.map((name) => client.cluster('KEYSLOT', name)))
    for (const [i, name] of names.entries()) {
      const some = keys[ports.indexOf(owners.get(Number(slots[i]))!)]!
      if (some.length < count) some.push(name)
    }
  }
  client.disconnect()
  return keys
}

export async function setAll(port: number, keys: readonly string[], bytes: number): Promise<void> {
  const client = new Redis(port, '127.0.0.1')
  const value = 'x'.repeat(bytes)
  for (let i = 0; i < keys.length; i += 1000) {
    await client.mset(keys.slice(i, i + 1000).flatMap((key) => [key, value]))
  }
  client.disconnect()
}

/** Each connection asks for a key, waits for the reply, and asks for the next one. */
export function ask({ port, keys, connections, ms, bytes, sets = false }: Asking): Promise<Asked> {
  const wordOf = (word: string): string => `$${word.length}\r\n${word}\r\n`
  const value = wordOf('x'.repeat(bytes))
  const get = `*2\r\n${wordOf('GET')}`
  const set = `*3\r\n${wordOf('SET')}`
  const requests = keys.map((key) =>
    Buffer.from(sets ? set + wordOf(key) + value : get + wordOf(key)),
  )
  const reply = sets ? '+OK\r\n' : value
  const replyBytes = reply.length
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const sockets: Socket[] = []
    let next = 0
    let answered = 0
    let busy = connections
    const end = (error: Error | null): void => {
      for (const socket of sockets) socket.destroy()
      if (error !== null) reject(error)
      else resolve({ requests: answered, elapsedMs: performance.now() - startedAt })
    }
    for (let i = 0; i < connections; i++) {
      let missing = 0
      const buffer = Buffer.alloc(64 * 1024)
      const send = (): void => {
        missing = replyBytes
        socket.write(requests[next++ % requests.length]!)
      }
      const callback = (length: number): boolean => {
        if (missing === replyBytes && buffer[0] !== reply.charCodeAt(0))
          end(new Error(buffer.toString('latin1', 0, length)))
        missing -= length
        if (missing > 0) return true
        answered++
        if (performance.now() - startedAt < ms) send()
        else if (--busy === 0) end(null)
        return true
      }
      const socket = connect({
        port,
        host: '127.0.0.1',
        noDelay: true,
        onread: { buffer, callback },
      })
      sockets.push(socket)
      socket.once('connect', send)
      socket.on('error', end)
    }
  })
}
