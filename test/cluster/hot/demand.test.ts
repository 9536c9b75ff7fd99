import test from 'ava'
import { Demand } from '../../../cluster/hot/demand.ts'

test('what all links say adds up, each as it said last, and for a while', (t) => {
  const demand = new Demand()
  t.is(demand.of('k', 0), 0)
  demand.told('k', 1, 100, 0)
  demand.told('k', 1, 200, 1000)
  demand.told('k', 2, 50, 2000)
  demand.told('other', 2, 7, 2000)
  t.is(demand.of('k', 3500), 250)
  t.is(demand.of('k', 3501), 50)
  t.is(demand.of('k', 4501), 0)
})

test('the key that was told of longest ago makes room', (t) => {
  const demand = new Demand()
  for (let i = 0; i < 256; i++) demand.told(`key:${i}`, 1, 1, 0)
  demand.told('key:0', 1, 1, 0)
  demand.told('one more', 1, 1, 0)
  t.is(demand.of('key:1', 0), 0)
  t.is(demand.of('key:0', 0), 1)
  t.is(demand.of('key:2', 0), 1)
})
