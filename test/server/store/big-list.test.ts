import test from 'ava'
import { BigList } from '../../../server/store/big-list.ts'
import { Chains } from '../../../server/store/big.ts'
import { parts } from './parts.ts'

const HASH = 0x1000

/** Both lists, of values whose first pages are 1, 2, 3 ... and that have as many pages as told. */
class Lists {
  readonly bigs: BigList

  constructor() {
    const { arena, pool, layout, io } = parts()
    const chains = new Chains([arena], [pool], layout, io, { win: () => false })
    this.bigs = new BigList(arena, layout, chains)
  }

  enter(page: number, options: { isMain?: boolean; count?: number; clock?: number } = {}): void {
    const { isMain = false, count = 1, clock = page } = options
    this.bigs.enter(page, { hash: HASH + page, clock, isMain, count })
  }

  get small(): number[] {
    return [...this.bigs.walk(false)]
  }

  get main(): number[] {
    return [...this.bigs.walk(true)]
  }
}

test('an empty list has no oldest value and no pages', (t) => {
  const { bigs, small, main } = new Lists()
  for (const isMain of [false, true]) {
    t.is(bigs.oldest(isMain), 0)
    t.is(bigs.pages(isMain), 0)
  }
  t.deepEqual([small, main], [[], []])
})

test('values stand in the order in which they came, each list for itself', (t) => {
  const lists = new Lists()
  lists.enter(3, { count: 2 })
  lists.enter(7, { isMain: true, count: 10 })
  lists.enter(1, { count: 5 })
  lists.enter(9, { count: 1 })
  lists.enter(2, { isMain: true, count: 20 })
  t.deepEqual(lists.small, [3, 1, 9])
  t.deepEqual(lists.main, [7, 2])
  t.is(lists.bigs.oldest(false), 3)
  t.is(lists.bigs.newer(3), 1)
  t.is(lists.bigs.newer(9), 0)
  t.is(lists.bigs.pages(false), 8)
  t.is(lists.bigs.pages(true), 30)
  t.is(lists.bigs.hash(9), HASH + 9)
  t.is(lists.bigs.enteredAt(9), 9)
})

test('a value leaves from the end, the middle, the front, and as the last', (t) => {
  const lists = new Lists()
  for (let page = 1; page <= 5; page++) lists.enter(page, { count: page })
  const after: [page: number, order: number[], pages: number][] = [
    [1, [2, 3, 4, 5], 14],
    [3, [2, 4, 5], 11],
    [5, [2, 4], 6],
    [4, [2], 2],
    [2, [], 0],
  ]
  for (const [page, order, pages] of after) {
    lists.bigs.leave(page, false, page)
    t.deepEqual(lists.small, order)
    t.is(lists.bigs.pages(false), pages)
  }
  lists.enter(6)
  t.deepEqual(lists.small, [6], 'and the list can be entered again')
})

test('a renewed value is the newest of its list, and as young as the clock says', (t) => {
  const lists = new Lists()
  for (let page = 1; page <= 3; page++) lists.enter(page, { isMain: true, count: 4 })
  lists.bigs.renew(1, true, 100)
  t.deepEqual(lists.main, [2, 3, 1])
  t.is(lists.bigs.enteredAt(1), 100)
  lists.bigs.renew(3, true, 101)
  t.deepEqual(lists.main, [2, 1, 3])
  lists.bigs.renew(3, true, 102)
  t.deepEqual(lists.main, [2, 1, 3])
  t.is(lists.bigs.enteredAt(3), 102)
  t.is(lists.bigs.pages(true), 12, 'no page more or less')
})

test('a promoted value goes from the small list to the newest end of the main one, its pages too', (t) => {
  const lists = new Lists()
  for (let page = 1; page <= 3; page++) lists.enter(page, { count: page })
  lists.enter(8, { isMain: true, count: 8 })
  lists.bigs.promote(2, 50, 2)
  t.deepEqual(lists.small, [1, 3])
  t.deepEqual(lists.main, [8, 2])
  t.is(lists.bigs.pages(false), 4)
  t.is(lists.bigs.pages(true), 10)
  t.is(lists.bigs.enteredAt(2), 50)
})

test('a backdated value is older by so much, where it stands', (t) => {
  const lists = new Lists()
  lists.enter(1, { clock: 40 })
  lists.enter(2, { clock: 5 })
  lists.bigs.backdate(2, 30)
  t.is(lists.bigs.enteredAt(2), -25)
  t.deepEqual(lists.small, [1, 2])
})
