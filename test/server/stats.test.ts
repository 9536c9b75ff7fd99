import { Worker } from 'node:worker_threads'
import test from 'ava'
import { cellOf } from '../../server/histogram.ts'
import { counter, errorsMax, shareStats, Stats } from '../../server/stats.ts'

const nothing = { evicted: 0, expiredLazily: 0, expiredActively: 0 }

function alone(commands: readonly string[] = ['get', 'set']): Stats {
  return new Stats(shareStats(commands))
}

/** The views of two threads on one table. */
function two(): [Stats, Stats] {
  const shared = shareStats(['get', 'set'], 2)
  return [new Stats(shared, 0), new Stats(shared, 1)]
}

test('operations per second are the mean of 16 samples', (t) => {
  const stats = alone()
  stats.sample(0, 0)
  for (let i = 1; i <= 16; i++) {
    t.is(stats.instantaneousOps, Math.floor((1000 * (i - 1)) / 16))
    stats.row[counter.commandsProcessed]! += 100
    stats.sample(i * 100, 0)
  }
  t.is(stats.instantaneousOps, 1000)
  for (let i = 17; i <= 32; i++) stats.sample(i * 100, 0)
  t.is(stats.instantaneousOps, 0)
})

test('a late sample counts with the time that has passed', (t) => {
  const stats = alone()
  stats.sample(1000, 0)
  for (let i = 1; i <= 16; i++) {
    stats.row[counter.netInputBytes]! += 1024 * 50
    stats.row[counter.netOutputBytes]! += 1024 * 5
    stats.sample(1000 + i * 500, 0)
  }
  t.is(stats.instantaneousInputKbps, 100)
  t.is(stats.instantaneousOutputKbps, 10)
})

test('two samples at the same time divide nothing by zero', (t) => {
  const stats = alone()
  stats.sample(5, 0)
  stats.row[counter.commandsProcessed] = 10
  stats.sample(5, 0)
  t.is(stats.instantaneousOps, 0)
  stats.sample(105, 0)
  t.is(stats.instantaneousOps, Math.floor(100 / 16))
})

test('the peak of used memory is kept', (t) => {
  const stats = alone()
  for (const used of [1, 7, 3]) stats.sample(1, used)
  t.is(stats.usedMemoryPeak, 7)
})

test('kinds of errors are limited, their sum is not', (t) => {
  const stats = alone()
  for (let i = 0; i < errorsMax + 1; i++) stats.error(`E${i}`)
  stats.error('E0')
  const errors = stats.errors()
  t.is(errors.size, errorsMax)
  t.is(errors.get('E0'), 2)
  t.is(errors.get(`E${errorsMax - 1}`), 1)
  t.is(stats.total(counter.totalErrorReplies), errorsMax + 2)
})

test('a name of an error that has 31 bytes is kept, a longer one is cut', (t) => {
  const stats = alone()
  for (const length of [30, 31, 32]) stats.error('E'.repeat(length))
  stats.error('')
  t.deepEqual(
    [...stats.errors()],
    [
      ['E'.repeat(30), 1],
      ['E'.repeat(31), 2],
      ['', 1],
    ],
  )
})

test('a command is timed 256 times, and then one run in 16 that counts for all', (t) => {
  const stats = alone()
  const [get] = stats.cells
  let timed = 0
  const run = (micros: number): void => {
    get!.called()
    if (get!.skips()) return
    timed++
    get!.took(micros)
  }
  for (let i = 0; i < 256; i++) run(1)
  t.is(timed, 256)
  for (let i = 0; i < 15; i++) run(9)
  t.is(timed, 256)
  t.is(stats.command(0).micros, 256)
  run(2)
  t.is(timed, 257)
  t.is(stats.command(0).micros, 256 + 16 * 2)
  for (let i = 0; i < 160; i++) run(2)
  t.is(timed, 267)
  const { calls, micros } = stats.command(0)
  t.deepEqual([calls, micros], [432, 256 + 176 * 2])
  const counts = stats.histogram(0)!
  t.is(counts[cellOf(1000)], 256)
  t.is(counts[cellOf(2000)], 176)
  t.is(stats.histogram(1), null)
})

test('without latency-tracking the time is summed up, and no histogram is kept', (t) => {
  const stats = alone()
  stats.trackLatency(false)
  const [get] = stats.cells
  get!.called()
  get!.took(5)
  t.is(stats.command(0).micros, 5)
  t.is(stats.histogram(0), null)
  stats.trackLatency(true)
  get!.called()
  get!.took(5)
  t.is(stats.histogram(0)![cellOf(5000)], 1)
})

test('rows of threads are added up, by whoever looks', (t) => {
  const [one, other] = two()
  one.row[counter.keyspaceHits]! += 3
  other.row[counter.keyspaceHits]! += 4
  for (const [stats, micros] of [
    [one, 1],
    [other, 2],
  ] as const) {
    stats.cells[1]!.called()
    stats.cells[1]!.took(micros)
    stats.cells[1]!.rejected()
    stats.cells[1]!.failed()
  }
  for (const error of ['ERR', 'OOM']) one.error(error)
  for (const error of ['NOAUTH', 'ERR', 'ERR']) other.error(error)
  for (const stats of [one, other]) {
    t.is(stats.total(counter.keyspaceHits), 7)
    t.deepEqual(stats.commands(), [
      { index: 1, name: 'set', calls: 2, micros: 3, rejected: 2, failed: 2 },
    ])
    t.is(
      stats.histogram(1)!.reduce((sum, count) => sum + count),
      2,
    )
    t.deepEqual(
      [...stats.errors()],
      [
        ['ERR', 3],
        ['OOM', 1],
        ['NOAUTH', 1],
      ],
    )
  }
})

test('reset clears counters and rates, and rates go on from there', (t) => {
  const stats = alone()
  stats.sample(0, 0)
  stats.row[counter.commandsProcessed] = 1000
  stats.cells[0]!.called()
  stats.cells[0]!.took(7)
  stats.error('ERR')
  stats.sample(100, 0)
  stats.reset({ evicted: 3, expiredLazily: 4, expiredActively: 5 })
  t.is(stats.instantaneousOps, 0)
  t.deepEqual(stats.commands(), [])
  t.is(stats.histogram(0), null)
  t.is(stats.errors().size, 0)
  t.is(stats.total(counter.totalErrorReplies), 0)
  t.deepEqual(stats.sinceReset({ evicted: 4, expiredLazily: 5, expiredActively: 7 }), {
    ...{ evicted: 1, expired: 3 },
  })
  stats.row[counter.commandsProcessed]! += 16
  stats.sample(200, 0)
  t.is(stats.instantaneousOps, 10)
})

test('a reset writes to no row, so nothing that is counted meanwhile is lost', (t) => {
  const [one, other] = two()
  for (const stats of [one, other]) {
    stats.row[counter.netInputBytes]! += 5
    stats.cells[0]!.called()
    stats.cells[0]!.took(1)
    stats.error('ERR')
  }
  const before = [one.row.slice(), other.row.slice()]
  one.reset(nothing)
  t.deepEqual([one.row.slice(), other.row.slice()], before)
  other.row[counter.netInputBytes]! += 2
  other.cells[0]!.called()
  other.cells[0]!.took(3)
  other.error('OOM')
  one.error('ERR')
  t.is(one.total(counter.netInputBytes), 2)
  t.deepEqual(one.commands(), [
    { index: 0, name: 'get', calls: 1, micros: 3, rejected: 0, failed: 0 },
  ])
  t.deepEqual(
    [...one.errors()],
    [
      ['ERR', 1],
      ['OOM', 1],
    ],
  )
  one.reset(nothing)
  t.is(one.errors().size, 0)
  t.is(one.histogram(0), null)
})

test('client ids are given once, and clients are counted, over all threads', (t) => {
  const [one, other] = two()
  t.deepEqual([one.clientCame(), other.clientCame(3), one.clientCame()], [1, 2, 3])
  t.is(other.clientCame(3), 0)
  t.is(other.clients, 3)
  t.is(other.clients, 3)
  one.clientLeft()
  t.is(other.clients, 2)
  t.is(other.clientCame(), 4)
  other.monitorCame()
  t.is(one.monitors, 1)
  one.monitorLeft()
  t.is(other.monitors, 0)
})

test('another thread counts into the same table', async (t) => {
  const shared = shareStats(['get', 'set'], 2)
  const stats = new Stats(shared, 0)
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    void import(workerData.module).then(({ Stats, counter }) => {
      const stats = new Stats(workerData.shared, 1)
      stats.row[counter.keyspaceHits] += 41
      stats.cells[1].called()
      stats.error('OOM')
      parentPort.postMessage(stats.clientCame())
    })`
  const module = new URL('../../server/stats.js', import.meta.url).href
  const worker = new Worker(source, { eval: true, workerData: { shared, module } })
  const id = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  t.is(id, 1)
  stats.row[counter.keyspaceHits]!++
  t.is(stats.total(counter.keyspaceHits), 42)
  t.is(stats.command(1).calls, 1)
  t.is(stats.errors().get('OOM'), 1)
  t.is(stats.clients, 1)
  await worker.terminate()
})
