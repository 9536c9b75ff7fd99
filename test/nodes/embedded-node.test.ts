/* Programs that embed nodes of one cluster, each a process, over real sockets. */
import { type ChildProcess, spawn } from 'node:child_process'
import { extname } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { type Exit, freePort } from '../process.ts'
import type { Question } from './embedded-program.ts'

const PROGRAM = fileURLToPath(
  new URL(`./embedded-program${extname(import.meta.url)}`, import.meta.url),
)

interface User {
  readonly id: string
  readonly by: number
  readonly load: number
}

/** One program. */
class Program {
  readonly port: number
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #asked = 0

  constructor(port: number, ports: readonly number[]) {
    this.port = port
    const args = [PROGRAM, String(port), ...ports.map(String)]
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
    })
    // Who is killed reads no more.
    this.#child.stdin!.on('error', () => {})
    createInterface(this.#child.stdout!).on('line', (line) => {
      const [number, result] = JSON.parse(line) as [number, unknown]
      this.#waiting.get(number)!(result)
    })
  }

  ask<T>(...question: Question): Promise<T> {
    const number = this.#asked++
    this.#child.stdin!.write(`${JSON.stringify([number, question])}\n`)
    return new Promise((resolve) => {
      this.#waiting.set(number, (result) => resolve(result as T))
    })
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

/** So many programs, which all have heard of each other. */
async function start(t: ExecutionContext, count: number): Promise<Program[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort())
  const programs = [...ports].map((port) => new Program(port, [...ports]))
  t.teardown(() => programs.forEach((program) => program.kill()))
  for (const program of programs) {
    while ((await program.ask<number>('ups')) < count) await setTimeout(20)
  }
  return programs
}

async function loadsOf(programs: readonly Program[]): Promise<number> {
  const loads = await Promise.all(programs.map((program) => program.ask<number>('loads')))
  return loads.reduce((sum, n) => sum + n, 0)
}

test('three programs load a key once, see each other’s changes, and take over from one that is killed', async (t) => {
  const programs = await start(t, 3)
  const [one, two, three] = programs as [Program, Program, Program]

  const asked = programs.map((program) => program.ask<User[]>('gets', '42', 40))
  const found = (await Promise.all(asked)).flat()
  t.is(found.length, 120)
  t.is(await loadsOf(programs), 1)
  const [first] = found
  t.true(found.every((user) => user.by === first!.by && user.id === '42'))

  const client = new Redis(two.port, '127.0.0.1')
  t.deepEqual(JSON.parse((await client.get('user:42'))!), first)
  t.is(await loadsOf(programs), 1)

  await one.ask('set', '42')
  for (const program of programs) {
    t.deepEqual(await program.ask('get', '42'), { id: '42', by: 0, load: 0 })
  }
  t.is(await client.get('user:42'), '{"id":"42","by":0,"load":0}')
  t.true(await three.ask('delete', '42'))
  t.false(await two.ask('delete', '42'))
  t.true((await two.ask<User>('get', '42')).by > 0)
  t.is(await loadsOf(programs), 2)
  client.disconnect()

  for (const program of programs) {
    t.deepEqual(await program.ask('get', 'bad'), { code: 'LOAD_FAILED' })
  }

  // Of its keys, some are sure to be among so many.
  const ids = Array.from({ length: 60 }, (_, i) => `id:${i}`)
  const before = await Promise.all(ids.map((id) => one.ask<User>('get', id)))
  const lost = ids.filter((_, i) => before[i]!.by === three.port)
  t.true(lost.length > 0)
  three.kill()
  await three.exited
  const left = [one, two]
  const loads = await loadsOf(left)
  const after = await Promise.all(
    lost.flatMap((id) => left.map((program) => program.ask<User>('get', id))),
  )
  t.true(after.every(({ by }) => by === one.port || by === two.port))
  t.is(await loadsOf(left), loads + lost.length, 'both turn to the same one')

  for (const program of left) {
    t.is(await program.ask('close'), 'closed')
    t.deepEqual(await program.exited, { code: 0, signal: null }, 'it ends by itself')
  }
})
