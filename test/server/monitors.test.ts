import { connect } from 'node:net'
import test from 'ava'
import { Args } from '../../protocol/args.ts'
import type { Client } from '../../server/clients/client.ts'
import { CommandTable } from '../../server/command.ts'
import { commands } from '../../server/commands/index.ts'
import { Databases } from '../../server/databases.ts'
import { argBytesShownMax, Monitors } from '../../server/monitors.ts'
import { shareStats, Stats } from '../../server/stats.ts'
import { VirtualClock } from '../sim/clock.ts'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { startInProcess } from './in-process.ts'

const table = new CommandTable(commands)
const clock = new VirtualClock(1_700_000_000_007.25)

function show(monitors: Monitors, ...words: string[]): void {
  const args = Args.of(words)
  const server = { databases: new Databases(16) }
  const client = { args, db: 2, address: '127.0.0.1:5', server } as unknown as Client
  monitors.show(client, table.called(args)!)
}

/** Threads that tell each other all lines. */
function threads(count: number): Monitors[] {
  const shared = shareStats([], count)
  const all: Monitors[] = []
  for (let i = 0; i < count; i++) {
    const tell = (line: Uint8Array): void => {
      for (const each of all) if (each !== all[i]) each.hear(line)
    }
    all.push(new Monitors(clock, new Stats(shared, i), tell))
  }
  return all
}

function ear(): { lines: string[]; push(bytes: Uint8Array): void } {
  const lines: string[] = []
  return { lines, push: (bytes) => lines.push(Buffer.from(bytes).toString('latin1')) }
}

test('a line has seconds, microseconds, database, address and arguments', (t) => {
  const [monitors] = threads(1)
  const { lines, push } = ear()
  monitors!.add(1, { push })
  show(monitors!, 'GET', 'k')
  t.deepEqual(lines, ['+1700000000.007250 [2 127.0.0.1:5] "GET" "k"\r\n'])
})

test('monitors of all threads are shown what one runs, until they leave', (t) => {
  const [one, other] = threads(2)
  const [near, far] = [ear(), ear()]
  one!.add(1, near)
  other!.add(2, far)
  other!.add(2, far)
  show(one!, 'PING')
  show(other!, 'ECHO', 'x')
  t.is(near.lines.length, 2)
  t.deepEqual(near.lines, far.lines)
  other!.remove(2)
  other!.remove(2)
  show(other!, 'PING')
  t.is(near.lines.length, 3)
  t.is(far.lines.length, 2)
  one!.remove(1)
  show(one!, 'PING')
  t.is(near.lines.length, 3)
})

test('of a long argument the begin is shown', (t) => {
  const [monitors] = threads(1)
  const { lines, push } = ear()
  monitors!.add(1, { push })
  for (const length of [argBytesShownMax - 1, argBytesShownMax, argBytesShownMax + 1]) {
    show(monitors!, 'ECHO', 'x'.repeat(length))
  }
  const begin = 'x'.repeat(argBytesShownMax)
  t.deepEqual(
    lines.map((line) => /"ECHO" "(.*)"\r\n$/.exec(line)![1]),
    [begin.slice(1), begin, `${begin}... (1 more bytes)`],
  )
})

test('a monitor that is gone is counted no longer', async (t) => {
  const { server, clock, connectSession } = await startInProcess()
  const { client: monitor, session } = connectSession()
  const answer = monitor.command('MONITOR')
  await clock.settle()
  t.is(await answer, '+OK\r\n')
  t.is(server.stats.monitors, 1)
  session.destroy()
  t.is(server.stats.monitors, 0)
})

test('a value that came in pages, and is stored now, is shown all the same', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '64mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  let heard = ''
  const monitor = connect(ringtier.port, '127.0.0.1').setEncoding('latin1')
  const shown = new Promise((resolve) => {
    monitor.on('data', (text: string) => {
      heard += text
      // PINGs may be shown before.
      if (heard.includes('"SET" "k"') && heard.endsWith('\r\n')) resolve(heard)
    })
  })
  monitor.write('MONITOR\r\n')
  while (!heard.startsWith('+OK')) await client.command('PING')
  t.is(await client.command('SET', 'k', Buffer.alloc(200_000, 'a')), '+OK\r\n')
  await shown
  t.true(heard.includes('"SET" "k" "aaaa'))
  monitor.destroy()
  client.close()
})
