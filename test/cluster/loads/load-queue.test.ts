import test from 'ava'
import { LoadQueue, type Queued } from '../../../cluster/loads/load-queue.ts'

interface Item extends Queued {
  readonly name: string
}

function item(name: string, startedAt: number, endsAt: number): Item {
  return { name, startedAt, endsAt, before: null, after: null }
}

test('the oldest is next until it has waited for half of its time, then the newest', (t) => {
  const queue = new LoadQueue<Item>()
  t.is(queue.take(0), null)
  for (let i = 0; i < 6; i++) queue.add(item(`${i}`, i * 10, i * 10 + 100))
  t.is(queue.take(50)?.name, '0')
  t.is(queue.take(60)?.name, '1')
  // The oldest has begun at 20.
  t.is(queue.take(71)?.name, '5')
  t.is(queue.take(71)?.name, '4')
  t.is(queue.take(70)?.name, '2')
  t.is(queue.size, 1)
  t.is(queue.take(70)?.name, '3')
  t.is(queue.take(70), null)
})

test('each can leave from wherever it is, once', (t) => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
    [1, 2, 0],
    [0, 2, 1],
  ]) {
    const queue = new LoadQueue<Item>()
    const items = [0, 1, 2].map((i) => item(`${i}`, 0, 100))
    for (const one of items) queue.add(one)
    order.forEach((i, left) => {
      t.true(queue.delete(items[i]!))
      t.false(queue.delete(items[i]!))
      t.is(queue.size, 2 - left)
    })
    queue.add(items[1]!)
    t.is(queue.take(0), items[1]!)
    t.false(queue.delete(items[1]!))
  }
})
