import { createHash } from 'node:crypto'
import { RawClient } from '../raw.ts'
import { SeededRandom } from '../sim/random.ts'
import {
  findViolation,
  type GroupAction,
  groupModel,
  type KeyAction,
  keyModel,
  type KeyResult,
  type Model,
  type Operation,
} from './checker.ts'

/*
 * Clients that all hammer the same few keys, and what they saw, checked: values carry a checksum, so
 * that a torn one shows by itself; counters must come out exact; the history of every key must be
 * linearizable, of the pair that is written by MSET and read by MGET as well.
 */

const COUNTERS = ['counter:1', 'counter:2']
const REGISTERS = ['register:1', 'register:2']
const PAIR = ['pair:1', 'pair:2']

/** Long values and short ones, some of them in pages: what is copied in one go and what is not. */
const VALUE_BYTES_MAX = [8, 200, 3_000, 100_000]

export interface HammerOptions {
  readonly port: number
  readonly clients: number
  /** It ends when there were so many reads. */
  readonly reads: number
  readonly seed: number
}

export interface HammerFigures {
  operations: number
  reads: number
  increments: number
}

/** Throws when something was seen that must not be. */
export async function hammer({
  port,
  clients,
  reads,
  seed,
}: HammerOptions): Promise<HammerFigures> {
  const figures: HammerFigures = { operations: 0, reads: 0, increments: 0 }
  const keys = new Map<string, Operation<KeyAction, KeyResult>[]>()
  for (const key of [...COUNTERS, ...REGISTERS]) keys.set(key, [])
  const pair: Operation<GroupAction, readonly (string | null)[] | 'OK'>[] = []
  const increments = new Map(COUNTERS.map((key) => [key, 0]))

  const play = async (client: number): Promise<void> => {
    const random = new SeededRandom(seed * 100 + client)
    const connection = await RawClient.open(port)
    let stamp = 0
    const draw = (): string => {
      const most = VALUE_BYTES_MAX[random.below(VALUE_BYTES_MAX.length)]!
      return sealed(`${client}.${stamp++}.${'x'.repeat(random.below(most))}`)
    }
    const timed = async (words: readonly string[]): Promise<[string, number, number]> => {
      const calledAt = performance.now()
      const reply = await connection.send(words)
      figures.operations++
      return [reply, calledAt, performance.now()]
    }
    while (figures.reads < reads) {
      const kind = random.below(10)
      const register = REGISTERS[random.below(2)]!
      const counter = COUNTERS[random.below(2)]!
      if (kind < 2) {
        const [reply, calledAt, returnedAt] = await timed(['INCR', counter])
        const result = Number(reply.slice(1))
        increments.set(counter, increments.get(counter)! + 1)
        figures.increments++
        keys.get(counter)!.push({ client, action: { name: 'incr' }, result, calledAt, returnedAt })
      } else if (kind < 6) {
        const key = kind < 3 ? counter : register
        const [reply, calledAt, returnedAt] = await timed(['GET', key])
        figures.reads++
        const value = textOf(reply)
        const result = key === register && value !== null ? opened(value) : value
        keys.get(key)!.push({ client, action: { name: 'get' }, result, calledAt, returnedAt })
      } else if (kind < 7) {
        const value = draw()
        const [, calledAt, returnedAt] = await timed(['SET', register, value])
        const action = { name: 'set', value: opened(value) } as const
        keys.get(register)!.push({ client, action, result: 'OK', calledAt, returnedAt })
      } else if (kind < 8 && random.below(4) === 0) {
        const [reply, calledAt, returnedAt] = await timed(['DEL', register])
        const result = Number(reply.slice(1))
        keys.get(register)!.push({ client, action: { name: 'del' }, result, calledAt, returnedAt })
      } else if (kind < 9) {
        const [reply, calledAt, returnedAt] = await timed(['MGET', ...PAIR])
        figures.reads++
        const result = listOf(reply).map((value) => (value === null ? null : opened(value)))
        pair.push({ client, action: { name: 'mget' }, result, calledAt, returnedAt })
      } else {
        const values = [draw(), draw()]
        const words = PAIR.flatMap((key, i) => [key, values[i]!])
        const [, calledAt, returnedAt] = await timed(['MSET', ...words])
        const action = { name: 'mset', values: values.map(opened) } as const
        pair.push({ client, action, result: 'OK', calledAt, returnedAt })
      }
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: clients }, (_, client) => play(client)))

  await checkCounters(port, increments)
  for (const [key, history] of keys) mustBeLinearizable(key, history, keyModel)
  mustBeLinearizable(PAIR.join(), pair, groupModel(PAIR.length))
  return figures
}

async function checkCounters(port: number, increments: ReadonlyMap<string, number>): Promise<void> {
  const connection = await RawClient.open(port)
  for (const [key, count] of increments) {
    const value = textOf(await connection.command('GET', key))
    if (value !== String(count)) throw new Error(`${key} is ${value} after ${count} INCR`)
  }
  connection.close()
}

function mustBeLinearizable<State, Action, Result>(
  key: string,
  history: readonly Operation<Action, Result>[],
  model: Model<State, Action, Result>,
): void {
  const violation = findViolation(history, model)
  if (violation === null) return
  const near = history.filter(
    ({ calledAt, returnedAt }) =>
      returnedAt >= violation.calledAt - 1 && calledAt <= violation.returnedAt,
  )
  const shown = near.map((operation) => JSON.stringify(operation)).join('\n')
  throw new Error(
    `the history of ${key} is not linearizable:\n${JSON.stringify(violation)}\n${shown}`,
  )
}

/* ---- values with a seal ---- */

const SEAL_LENGTH = 16

const sealOf = (text: string): string =>
  createHash('sha1').update(text).digest('hex').slice(0, SEAL_LENGTH)

function sealed(text: string): string {
  return sealOf(text) + text
}

/** What tells the value from all others; throws if it is not as it was written. */
function opened(value: string): string {
  const text = value.slice(SEAL_LENGTH)
  if (sealOf(text) !== value.slice(0, SEAL_LENGTH)) {
    throw new Error(`a torn value: ${value.slice(0, 100)} (${value.length} bytes)`)
  }
  return text.slice(0, text.lastIndexOf('.'))
}

/* ---- replies ---- */

function textOf(reply: string): string | null {
  if (reply.startsWith('$-1')) return null
  if (!reply.startsWith('$')) throw new Error(reply.trimEnd())
  return reply.slice(reply.indexOf('\n') + 1, -2)
}

function listOf(reply: string): (string | null)[] {
  if (!reply.startsWith('*')) throw new Error(reply.trimEnd())
  const list: (string | null)[] = []
  let at = reply.indexOf('\n') + 1
  while (at < reply.length) {
    const begin = reply.indexOf('\n', at) + 1
    const length = Number(reply.slice(at + 1, begin - 2))
    list.push(length < 0 ? null : reply.slice(begin, begin + length))
    at = length < 0 ? begin : begin + length + 2
  }
  return list
}
