import test from 'ava'
import { Args } from '../../protocol/args.ts'
import type { Client } from '../../server/clients/client.ts'
import { CommandTable } from '../../server/command.ts'
import { commands } from '../../server/commands/index.ts'
import type { LatencyEvent } from '../../server/latency.ts'
import type { SlowCommand } from '../../server/slow-log.ts'
import { shareStats, Stats } from '../../server/stats.ts'
import { CommandTimer, type LongRun } from '../../server/timing.ts'
import { VirtualClock } from '../sim/clock.ts'

/** A thread that runs commands which take as long as they are told, and counts looks at the clock. */
class Thread {
  readonly slow: SlowCommand[] = []
  readonly events: [LatencyEvent, number][] = []
  readonly stats: Stats
  readonly timer: CommandTimer
  looks = 0
  /** Called at the end of each run. */
  onRun: (client: Client) => void = () => {}
  #now = 1_700_000_000_000
  readonly #table: CommandTable
  #runMs = 0

  constructor(thresholds = { slowMicros: 10_000, latencyMs: 0 }) {
    const run = (client: Client): void => {
      this.#now += this.#runMs
      this.onRun(client)
    }
    const rows = commands.map((row) => ({ ...row, run }))
    this.#table = new CommandTable(rows)
    this.stats = new Stats(shareStats([...this.#table.all()].map((entry) => entry.fullName)))
    const clock = new VirtualClock()
    clock.now = () => (this.looks++, this.#now)
    clock.micros = () => (this.looks++, this.#now * 1000)
    this.timer = new CommandTimer(clock, {
      slow: (command) => this.slow.push(command),
      latency: (event, micros) => this.events.push([event, micros]),
    })
    this.timer.configure(thresholds)
  }

  /** A read event: commands, each with the milliseconds that it takes. Returns looks at the clock. */
  event(...runs: readonly (readonly [command: string, ms: number])[]): number {
    this.looks = 0
    this.timer.begin(this.#now)
    for (const [command, ms] of runs) {
      const args = Args.of(command.split(' '))
      const entry = this.#table.called(args)!
      const cell = this.stats.cells[entry.index]!
      this.#runMs = ms
      cell.called()
      const client = { args, address: '127.0.0.1:1', name: 'me' }
      this.timer.run(client as unknown as Client, entry, cell)
    }
    this.timer.end()
    return this.looks
  }

  /** So many runs of a short command in one event, so that it is timed rarely from now on. */
  warmUp(command = 'GET k'): void {
    this.event(...Array.from({ length: 300 }, () => [command, 0] as const))
  }

  pass(ms: number): void {
    this.#now += ms
  }

  /** What was slow, and for how many milliseconds. */
  get logged(): string[] {
    return this.slow.map(({ args, micros }) => `${Buffer.concat(args).toString()} ${micros / 1000}`)
  }
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

test('a command alone is timed by one look at the clock', (t) => {
  const thread = new Thread()
  thread.warmUp()
  t.is(thread.event(['GET k', 0]), 1)
  t.is(thread.event(['KEYS *', 0]), 1)
  thread.event(['GET k', 10])
  t.deepEqual(thread.logged, ['GETk 10'])
  t.like(thread.slow[0], { address: '127.0.0.1:1', clientName: 'me' })
})

test('a command below the threshold is not logged, one at or above is', (t) => {
  const thread = new Thread({ slowMicros: 10_000, latencyMs: 0 })
  for (const ms of [9.5, 10, 10.5]) thread.event(['KEYS *', ms])
  t.deepEqual(thread.logged, ['KEYS* 10', 'KEYS* 10.5'])
})

test('one that may take long is timed wherever it stands in a pipeline', (t) => {
  const thread = new Thread()
  thread.warmUp()
  thread.event(...times(5, ['GET k', 1] as const), ['KEYS *', 12], ['GET k', 1])
  t.deepEqual(thread.logged, ['KEYS* 12'])
})

test('of short ones in a pipeline one in 16 is timed, and the whole at its end', (t) => {
  const thread = new Thread()
  thread.warmUp()
  thread.warmUp('SET k v')
  // The first one, the end, and two for each that is timed on the way.
  for (const short of ['GET k', 'SET k v', 'INCR k', 'PING']) thread.warmUp(short)
  t.is(thread.event(...times(161, ['GET k', 0] as const)), 2 + 2 * 10)
  t.is(thread.event(...times(161, ['SET k v', 0] as const)), 2 + 2 * 10)
})

test('when short ones were held up, each of the next thousand is timed', (t) => {
  const thread = new Thread()
  thread.warmUp()
  thread.event(['GET k', 0], ['GET k', 12], ['GET k', 0])
  t.deepEqual(thread.logged, [])
  thread.event(['GET k', 0], ['GET k', 13], ['GET k', 0])
  t.deepEqual(thread.logged, ['GETk 13'])
  thread.event(...times(999, ['GET k', 0] as const))
  thread.event(['GET k', 0], ['GET k', 14], ['GET k', 0])
  t.deepEqual(thread.logged, ['GETk 13'])
})

test('a slow command in a pipeline is no reason to time the short ones', (t) => {
  const thread = new Thread()
  thread.warmUp()
  thread.event(['GET k', 0], ['KEYS *', 100], ['GET k', 0])
  t.true(thread.event(...times(16, ['GET k', 0] as const)) <= 4)
})

test('below a millisecond each command is timed', (t) => {
  for (const [slowMicros, logged] of [
    [1000, 0],
    [999, 20],
    [0, 20],
    [-1, 0],
  ] as const) {
    const thread = new Thread({ slowMicros: -1, latencyMs: 0 })
    thread.warmUp()
    thread.timer.configure({ slowMicros, latencyMs: 0 })
    thread.event(['GET k', 0])
    thread.slow.length = 0
    thread.event(...times(20, ['GET k', 0.999] as const))
    t.is(thread.slow.length, logged, String(slowMicros))
  }
})

test('with no threshold the end of a pipeline is not timed', (t) => {
  const thread = new Thread({ slowMicros: -1, latencyMs: 0 })
  thread.warmUp()
  t.is(thread.event(...times(3, ['GET k', 50] as const)), 1)
  t.deepEqual(thread.logged, [])
  t.deepEqual(thread.events, [])
})

test('the latency monitor is told of fast commands and of others, whatever SLOWLOG keeps', (t) => {
  const thread = new Thread({ slowMicros: -1, latencyMs: 5 })
  thread.event(['GET k', 4.9])
  thread.event(['GET k', 5])
  thread.event(['SET k v', 6])
  t.deepEqual(thread.events, [
    ['fast-command', 5000],
    ['command', 6000],
  ])
  t.deepEqual(thread.logged, [])
  // And of nothing else, though SLOWLOG keeps all: each would be a message to the hub.
  for (const latencyMs of [0, 5]) {
    thread.timer.configure({ slowMicros: 0, latencyMs })
    thread.event(['GET k', 1])
  }
  t.is(thread.events.length, 2)
  t.is(thread.slow.length, 2)
})

test('of a command in slices their time is added up, not that of others in between', (t) => {
  const thread = new Thread({ slowMicros: 10_000, latencyMs: 10 })
  const { timer } = thread
  const args = Args.of(['KEYS', '*'])
  let client: Client | null = null
  let long: LongRun | null = null
  thread.onRun = (running) => {
    client = running
    long = timer.goesOn(running, (entry) => thread.stats.cells[entry.index]!, args)
  }
  thread.event(['KEYS *', 2])
  thread.onRun = () => {}
  t.deepEqual(
    thread.stats.commands().map(({ micros }) => micros),
    [0],
  )
  for (const ms of [2, 2, 3.9]) {
    thread.event(['GET k', 9])
    timer.slice(long, () => thread.pass(ms))
  }
  timer.ended(client!, long)
  t.deepEqual(thread.logged, [])
  timer.slice(long, () => thread.pass(0.1))
  timer.ended(client!, long)
  t.deepEqual(thread.logged, ['KEYS* 10'])
  t.deepEqual(thread.events, [['command', 10_000]])
})

test('a command that answers later than its turn was is not taken for the one that runs', (t) => {
  const thread = new Thread()
  const { timer } = thread
  const later = { args: Args.of(['KEYS', '*']) } as unknown as Client
  const cellOf = (): never => t.fail()
  t.is(timer.goesOn(later, cellOf, later.args), null)
  thread.onRun = () => t.is(timer.goesOn(later, cellOf, later.args), null)
  thread.event(['GET k', 1])
  let ran = false
  timer.slice(null, () => (ran = true))
  timer.ended(later, null)
  t.true(ran)
  t.deepEqual(thread.logged, [])
})
