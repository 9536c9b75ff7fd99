import test from 'ava'
import { diagnoseLatency, graphOf, LatencyMonitor, samplesMax } from '../../server/latency.ts'

test('what takes as long as the threshold is noted, what is shorter is not', (t) => {
  let threshold = 0
  const monitor = new LatencyMonitor(() => threshold)
  monitor.watch('command', 1e9, 1)
  t.deepEqual(monitor.histories(), [])
  threshold = 5
  monitor.watch('command', 4_999, 1)
  t.is(monitor.history('command'), null)
  monitor.watch('command', 5_000, 1)
  t.deepEqual(monitor.history('command'), {
    ...{ event: 'command', samples: [{ seconds: 1, latency: 5 }], worst: 5 },
  })
})

test('of each second the worst is kept, of all the last 160', (t) => {
  const monitor = new LatencyMonitor(() => 1)
  for (const latency of [3, 7, 5]) monitor.add('command', latency, 10)
  t.deepEqual(monitor.history('command')!.samples, [{ seconds: 10, latency: 7 }])
  for (let i = 1; i < samplesMax; i++) monitor.add('command', 1, 10 + i)
  t.is(monitor.history('command')!.samples.length, samplesMax)
  t.is(monitor.history('command')!.samples[0]!.seconds, 10)
  monitor.add('command', 1, 1000)
  t.is(monitor.history('command')!.samples.length, samplesMax)
  t.is(monitor.history('command')!.samples[0]!.seconds, 11)
  t.is(monitor.history('command')!.worst, 7)
})

test('events are forgotten by name, or all', (t) => {
  const monitor = new LatencyMonitor(() => 1)
  for (const event of ['command', 'fast-command', 'expire-cycle'] as const) monitor.add(event, 1, 1)
  t.is(monitor.reset(['command', 'nosuch', 'command']), 1)
  t.deepEqual(
    monitor.histories().map(({ event }) => event),
    ['fast-command', 'expire-cycle'],
  )
  t.is(monitor.reset([]), 2)
  t.is(monitor.reset([]), 0)
})

test('more samples than columns go on in a second graph', (t) => {
  const samples = Array.from({ length: 81 }, (_, i) => ({ seconds: i, latency: i }))
  const lines = graphOf({ event: 'command', samples, worst: 80 }, 100).split('\n')
  t.is(lines.filter((line) => line.length === 80).length, 1 + 4 + 1 + 3)
  t.is(lines.at(-2), 's')
})

test('one sample makes a graph', (t) => {
  const samples = [{ seconds: 5, latency: 9 }]
  t.is(
    graphOf({ event: 'command', samples, worst: 9 }, 5 + 3600),
    `command - high 9 ms, low 9 ms (all time high 9 ms)\n${'-'.repeat(80)}\n \n \n \n_\n \n1\nh\n`,
  )
})

test('the doctor tells what was slow, and that nothing was', (t) => {
  let threshold = 0
  const monitor = new LatencyMonitor(() => threshold)
  t.regex(diagnoseLatency(monitor, 0), /latency-monitor-threshold <milliseconds>/)
  threshold = 1
  t.regex(diagnoseLatency(monitor, 0), /^Nothing took/)
  monitor.add('expire-cycle', 4, 1)
  monitor.add('expire-cycle', 8, 2)
  const text = diagnoseLatency(monitor, 62)
  t.regex(text, /^expire-cycle: .* 2 of .* 6 ms on average, 8 ms at worst, last 1m ago/)
})

// What redis-server 7.0.15 drew of these.
test('the graph is the one that Redis draws', (t) => {
  const latencies = [50, 12, 123, 30, 201, 110]
  const samples = latencies.map((latency, i) => ({ seconds: 100 + i, latency }))
  t.is(
    graphOf({ event: 'command', samples, worst: 201 }, 106),
    [
      'command - high 201 ms, low 12 ms (all time high 201 ms)',
      '-'.repeat(80),
      '    # ',
      '  o |_',
      '  | ||',
      '#_|o||',
      '      ',
      '654321',
      'ssssss',
      '',
    ].join('\n'),
  )
})
