/*
 * A program that embeds a node, for embedded-node.test.ts: its arguments are its port and those of all
 * nodes. It does what it reads, a line of JSON each, and answers with one.
 */
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { createNode } from '../../server/embedded/cache.ts'

interface User {
  readonly id: string
  /** The port of who loaded it, and the how manieth of its loads it was. */
  readonly by: number
  readonly load: number
}

/** What it is asked. */
export type Question = readonly [
  verb: 'get' | 'gets' | 'set' | 'delete' | 'ups' | 'loads' | 'close',
  id?: string,
  count?: number,
]

const [port = 0, ...ports] = process.argv.slice(2).map(Number)
let loads = 0
const node = createNode({
  port,
  peers: ports.map((other) => `127.0.0.1:${other}`),
  secret: 'known',
  // On a busy machine nobody is to be taken for dead by mistake.
  nodeTimeoutMs: 2000,
})
const users = node.group<User>('user', {
  ...{ ttl: '1h', early: 0, breaker: 'off' },
  load: async (id) => {
    loads++
    const load = loads
    // Long enough for the others to come, and find it under way.
    await setTimeout(100)
    if (id.startsWith('bad')) throw new Error('the database is down')
    return { id, by: port, load }
  },
})

async function answer([verb, id = '', count = 1]: Question): Promise<unknown> {
  switch (verb) {
    case 'get':
      return users.get(id).catch((error: { code: string }) => ({ code: error.code }))
    case 'gets':
      return Promise.all(Array.from({ length: count }, () => users.get(id)))
    case 'set':
      return users.set(id, { id, by: 0, load: 0 })
    case 'delete':
      return users.delete(id)
    case 'ups':
      return node.members.filter(({ state }) => state === 'up').length
    case 'loads':
      return loads
    case 'close':
      await node.close()
      process.stdin.destroy()
      return 'closed'
  }
}

await node.start()
createInterface(process.stdin).on('line', (line) => {
  const [number, question] = JSON.parse(line) as [number, Question]
  void answer(question).then((result) => {
    process.stdout.write(`${JSON.stringify([number, result ?? null])}\n`)
  })
})
