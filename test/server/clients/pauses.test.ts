import test from 'ava'
import type { Client } from '../../../server/clients/client.ts'
import { CommandTable } from '../../../server/command.ts'
import { commands } from '../../../server/commands/index.ts'
import { Gate } from '../../../server/gate.ts'
import { HeldCommands, Pauses } from '../../../server/clients/pauses.ts'
import { VirtualClock } from '../../sim/clock.ts'

const table = new CommandTable(commands)
const get = table.named('get')!
const set = table.named('set')!

function start() {
  const clock = new VirtualClock()
  const gate = new Gate()
  const held = new HeldCommands(gate)
  const pauses = new Pauses(clock, gate, () => held.resume())
  const holds = (): boolean[] => [gate.holds(get), gate.holds(set), gate.restricts]
  const ran: string[] = []
  const hold = (name: string, entry = set): Client => {
    const client = {} as Client
    const command = { run: () => void ran.push(name), drop: () => void ran.push(`no ${name}`) }
    held.hold(client, () => gate.holds(entry), command)
    return client
  }
  return { clock, gate, held, pauses, holds, ran, hold }
}

test('a pause holds what it is for, and ends by itself', async (t) => {
  const { clock, pauses, holds } = start()
  t.deepEqual(holds(), [false, false, false])
  pauses.pause('write', 100)
  t.deepEqual(holds(), [false, true, true])
  await clock.advance(99)
  t.deepEqual(holds(), [false, true, true])
  await clock.advance(1)
  t.deepEqual(holds(), [false, false, false])
  t.is(clock.timers, 0)
  pauses.pause('all', 0)
  t.deepEqual(holds(), [false, false, false])
})

test('of two pauses the longer time and the stricter mode count', async (t) => {
  const { clock, pauses, holds } = start()
  pauses.pause('write', 100)
  pauses.pause('all', 50)
  pauses.pause('write', 10)
  await clock.advance(99)
  t.deepEqual(holds(), [true, true, true])
  await clock.advance(1)
  t.deepEqual(holds(), [false, false, false])
  pauses.pause('write', 10)
  t.deepEqual(holds(), [false, true, true])
})

test('DEBUG SLEEP holds all, and what CLIENT PAUSE holds stays held', async (t) => {
  const { clock, pauses, holds, ran, hold } = start()
  pauses.pause('write', 100)
  pauses.sleep(50)
  hold('get', get)
  hold('set')
  pauses.unpause()
  t.deepEqual(holds(), [true, true, true])
  pauses.pause('write', 100)
  await clock.advance(50)
  t.deepEqual(holds(), [false, true, true])
  t.deepEqual(ran, ['get'])
  await clock.advance(50)
  t.deepEqual(ran, ['get', 'set'])
  t.deepEqual(holds(), [false, false, false])
})

test('commands run in the order in which they came, but not those of who left', (t) => {
  const { held, pauses, ran, hold } = start()
  pauses.pause('all', 1e18)
  hold('one')
  const gone = hold('two')
  hold('three')
  held.forget(gone)
  held.forget(gone)
  t.deepEqual(ran, ['no two'])
  pauses.unpause()
  t.deepEqual(ran, ['no two', 'one', 'three'])
})

test('while the last snapshot is written none runs', (t) => {
  const { gate, held, pauses, ran, hold } = start()
  pauses.pause('all', 100)
  hold('one')
  gate.frozen = true
  pauses.unpause()
  t.deepEqual(ran, [])
  gate.frozen = false
  held.resume()
  t.deepEqual(ran, ['one'])
})

test('a refusal and a pause do not end each other', (t) => {
  const { gate, pauses, holds } = start()
  pauses.pause('write', 100)
  gate.restrict({ loading: false, deniesWrites: true })
  pauses.unpause()
  t.deepEqual(holds(), [false, false, true])
  pauses.pause('write', 100)
  gate.restrict({ loading: false, deniesWrites: false })
  t.deepEqual(holds(), [false, true, true])
})
