import test from 'ava'
import { human, percent } from '../../../server/memory/usage.ts'

test('sizes are written as Redis writes them', (t) => {
  t.is(human(0), '0B')
  t.is(human(1023), '1023B')
  t.is(human(1024), '1.00K')
  t.is(human(940992), '918.94K')
  t.is(human(25276510208), '23.54G')
  t.is(human(2 ** 50), '1.00P')
})

test('a share of nothing is nothing', (t) => {
  t.is(percent(0, 0), 0)
  t.is(percent(1, 4), 25)
})
