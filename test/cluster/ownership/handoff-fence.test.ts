import test from 'ava'
import { HandoffFence, KEY_BYTES_MAX } from '../../../cluster/ownership/handoff-fence.ts'

const asks = (fence: HandoffFence, slot: number, key: string): boolean => {
  const bytes = Buffer.from(`..${key}.`)
  return fence.asks(slot, bytes, 2, bytes.length - 3)
}

test('a key is asked for until it was, in all threads, and anew when its slot is gained again', (t) => {
  const fence = new HandoffFence()
  const other = new HandoffFence(fence.shared)
  t.false(asks(fence, 7, 'k'))
  fence.open(7, fence.nextNumber())
  t.true(other.isActive)
  t.true(asks(other, 7, 'k'))
  t.false(asks(other, 8, 'k'))
  fence.settle(7, Buffer.from('k'))
  t.false(asks(other, 7, 'k'))
  t.true(asks(other, 7, 'l'))
  fence.open(7, fence.nextNumber())
  t.true(asks(other, 7, 'k'))
  fence.close(7)
  t.false(asks(other, 7, 'k'))
})

test('a key that is too long is not asked for', (t) => {
  const fence = new HandoffFence()
  fence.open(7, fence.nextNumber())
  t.true(asks(fence, 7, 'k'.repeat(KEY_BYTES_MAX)))
  t.false(asks(fence, 7, 'k'.repeat(KEY_BYTES_MAX + 1)))
})

test('any thread gives all questions up, for good', (t) => {
  const fence = new HandoffFence()
  const other = new HandoffFence(fence.shared)
  other.giveUp()
  t.is(fence.givenUp, 0)
  fence.open(7, fence.nextNumber())
  other.giveUp()
  t.is(fence.givenUp, 1)
  t.false(asks(fence, 7, 'k'))
})

test('hardly a key is taken for another one', (t) => {
  const fence = new HandoffFence()
  fence.open(7, fence.nextNumber())
  for (let i = 0; i < 10_000; i++) fence.settle(7, Buffer.from(`key:${i}`))
  let taken = 0
  for (let i = 0; i < 10_000; i++) if (!asks(fence, 7, `other:${i}`)) taken++
  t.true(taken < 20, `${taken} of 10,000`)
})
