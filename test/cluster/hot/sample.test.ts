import test from 'ava'
import { Sample } from '../../../cluster/hot/sample.ts'

test('what is counted stands for as many requests as there are, also where they repeat themselves', (t) => {
  const sample = new Sample()
  const counts = new Array<number>(8).fill(0)
  for (let i = 0; i < 80_000; i++) counts[i % 8]! += sample.next()
  for (const count of counts) t.true(Math.abs(count - 10_000) < 1000, String(counts))
})
