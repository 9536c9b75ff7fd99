import test from 'ava'
import xxhash from 'xxhash-wasm'
import { Membership, parseMembers, parseNode } from '../../../cluster/members/membership.ts'
import { Router } from '../../../cluster/routes/router.ts'
import { cursorAt, cursorOf, nodeFrom, tagsOf } from '../../../cluster/routes/scan-cursor.ts'
import type { PeerValue } from '../../../cluster/peers/replies.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'

const { h32 } = await xxhash()
const hash = (text: string): number => h32(text)

test('a cursor is a position and a tag, and 0 only at both ends', (t) => {
  t.is(cursorOf({ position: 0, tag: 0 }), '0')
  t.not(cursorOf({ position: 0, tag: 1 }), '0')
  for (const [position, tag] of [
    [0, 0],
    [1, 0],
    [0, 4095],
    [2 ** 41 - 1, 4095],
  ] as const) {
    t.deepEqual(cursorAt(cursorOf({ position, tag })), { position, tag })
  }
  t.is(cursorOf({ position: 2 ** 41 - 1, tag: 4095 }), String(2 ** 53 - 1))
  t.throws(() => cursorOf({ position: 2 ** 41, tag: 0 }))
  t.throws(() => cursorOf({ position: 0, tag: 4096 }))
  for (const cursor of ['', 'x', '-1', '1.5', '1e3', ' 1', '0x1', '9'.repeat(21)]) {
    t.is(cursorAt(cursor), null)
  }
  t.deepEqual(cursorAt('18446744073709551615'), { position: 0, tag: 4096 })
})

test('each name has a tag of its own, which others do not change but where two hashes meet', (t) => {
  const names = Array.from({ length: 4096 }, (_, i) => `10.0.${i >> 8}.${i & 255}:6379`)
  t.is(new Set(tagsOf(names, hash).values()).size, 4096)
  t.throws(() => tagsOf([...names, 'one:1'], hash))
  const few = tagsOf(names.slice(0, 20), hash)
  const fewer = tagsOf(names.slice(10, 20), hash)
  for (const [name, tag] of fewer) t.is(few.get(name), tag)
  const same = (): number => 4095
  t.deepEqual(
    [...tagsOf(['a', 'b', 'c'], same)],
    [
      ['a', 4095],
      ['b', 0],
      ['c', 1],
    ],
  )
  t.is(nodeFrom([{ tag: 9 }, { tag: 3 }, { tag: 5 }], 4)?.tag, 5)
  t.is(nodeFrom([{ tag: 9 }], 10), undefined)
})

test('a SCAN goes on where it was when nodes join and leave the list meanwhile', (t) => {
  const clock = new VirtualClock()
  const word = (i: number): string => `10.0.0.${i}:6379`
  const list = parseMembers(word(0), Array.from({ length: 9 }, (_, i) => word(i + 1)).join())
  const membership = new Membership(list, { clock, hash, ping: () => {} })
  let asked: string[] = []
  // Each node has ten positions.
  const scanned = ([, cursor]: readonly Buffer[]): PeerValue => {
    const at = Number(cursor)
    return [Buffer.from(String(at === 9 ? 0 : at + 1)), []]
  }
  const ask = (name: string, args: readonly Buffer[]): PeerValue => {
    asked.push(`${name} ${String(args[1])}`)
    return scanned(args)
  }
  const router = new Router({
    ...{ view: membership, clock, random: new SeededRandom(1) },
    peer: (name) => ({ request: (args, _, done) => done('reply', ask(name, args), true) }),
  })
  for (let leaving = 1; leaving < 10; leaving++) {
    membership.update(Array.from({ length: 10 }, (_, i) => parseNode(word(i), 'x')))
    asked = []
    let cursor = '0'
    for (let step = 0; step === 0 || cursor !== '0'; step++) {
      // In the middle of some node: one leaves, another one comes.
      if (step === 45) {
        const words = Array.from({ length: 11 }, (_, i) => word(i))
        membership.update(words.filter((_, i) => i !== leaving).map((name) => parseNode(name, 'x')))
      }
      const args = [Buffer.from('SCAN'), Buffer.from(cursor)]
      const here = (words: readonly Buffer[], done: (value: PeerValue) => void): void =>
        done(ask(word(0), words))
      router.scan({ args }, here, (value) => {
        const [next] = value as readonly Buffer[]
        cursor = String(next)
      })
    }
    t.is(new Set(asked).size, asked.length, 'nothing twice')
    for (let i = 0; i < 10; i++) {
      if (i === leaving) continue
      t.is(asked.filter((each) => each.startsWith(`${word(i)} `)).length, 10, word(i))
    }
  }
})
