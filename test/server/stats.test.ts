import test from 'ava'
import { errorsMax, Stats } from '../../server/stats.ts'

test('operations per second are the mean of 16 samples', (t) => {
  const stats = new Stats()
  stats.sample(0, 0)
  for (let i = 1; i <= 16; i++) {
    t.is(stats.instantaneousOps, Math.floor((1000 * (i - 1)) / 16))
    stats.commandsProcessed += 100
    stats.sample(i * 100, 0)
  }
  t.is(stats.instantaneousOps, 1000)
  for (let i = 17; i <= 32; i++) stats.sample(i * 100, 0)
  t.is(stats.instantaneousOps, 0)
})

test('a late sample counts with the time that has passed', (t) => {
  const stats = new Stats()
  stats.sample(1000, 0)
  for (let i = 1; i <= 16; i++) {
    stats.netInputBytes += 1024 * 50
    stats.netOutputBytes += 1024 * 5
    stats.sample(1000 + i * 500, 0)
  }
  t.is(stats.instantaneousInputKbps, 100)
  t.is(stats.instantaneousOutputKbps, 10)
})

test('two samples at the same time divide nothing by zero', (t) => {
  const stats = new Stats()
  stats.sample(5, 0)
  stats.commandsProcessed = 10
  stats.sample(5, 0)
  t.is(stats.instantaneousOps, 0)
  stats.sample(105, 0)
  t.is(stats.instantaneousOps, Math.floor(100 / 16))
})

test('the peak of used memory is kept', (t) => {
  const stats = new Stats()
  for (const used of [1, 7, 3]) stats.sample(1, used)
  t.is(stats.usedMemoryPeak, 7)
})

test('kinds of errors are limited, their sum is not', (t) => {
  const stats = new Stats()
  for (let i = 0; i < errorsMax + 1; i++) stats.error(`E${i}`)
  stats.error('E0')
  t.is(stats.errors.size, errorsMax)
  t.is(stats.errors.get('E0'), 2)
  t.true(stats.errors.has(`E${errorsMax - 1}`))
  t.is(stats.totalErrorReplies, errorsMax + 2)
})

test('reset clears counters and rates, and rates go on from there', (t) => {
  const stats = new Stats()
  stats.sample(0, 0)
  stats.commandsProcessed = 1000
  stats.of('get').calls++
  stats.error('ERR')
  stats.sample(100, 0)
  stats.reset({ evicted: 3, expiredLazily: 4, expiredActively: 5 })
  t.is(stats.instantaneousOps, 0)
  t.is(stats.commands.get('get')!.calls, 0)
  t.is(stats.errors.size, 0)
  stats.commandsProcessed = 16
  stats.sample(200, 0)
  t.is(stats.instantaneousOps, 10)
})
