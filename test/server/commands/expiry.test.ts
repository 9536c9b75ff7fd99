import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import type { Client } from '../../../server/clients/client.ts'
import {
  EX,
  EXAT,
  expiryError,
  PX,
  PXAT,
  readExpiry,
  readPositiveExpiry,
  type TimeForm,
  wallOffset,
} from '../../../server/commands/expiry.ts'
import { VirtualClock } from '../../sim/clock.ts'

const NOW = 1_700_000_000_000

function clientAt(clock: VirtualClock, text: string): Client {
  const client = {
    args: Args.of([text]),
    store: { now: clock.now() },
    server: { world: { clock } },
  }
  return client as unknown as Client
}

function read(text: string, form: TimeForm, clock = new VirtualClock(NOW)): number | string {
  const expiry = readExpiry(clientAt(clock, text), 0, form)
  return expiry < 0 ? expiryError(expiry, 'set') : expiry
}

const NOT_INTEGER = 'ERR value is not an integer or out of range'
const INVALID = "ERR invalid expire time in 'set' command"

test('each form means its moment', (t) => {
  t.is(read('10', EX), NOW + 10_000)
  t.is(read('10', PX), NOW + 10)
  t.is(read('1800000000', EXAT), 1_800_000_000_000)
  t.is(read('1800000000123', PXAT), 1_800_000_000_123)
})

test('a moment in the past is at least 1, for 0 means never', (t) => {
  t.is(read('-10', EX), NOW - 10_000)
  t.is(read('0', PX), NOW)
  t.is(read('0', EXAT), 1)
  t.is(read('-5', PXAT), 1)
  t.is(read(`-${NOW}`, PX), 1)
  t.is(read('-9223372036854775808', PXAT), 1)
  t.is(read('-9223372036854775808', PX), 1)
})

test('a time counts from whole milliseconds', (t) => {
  t.is(read('10', PX, new VirtualClock(NOW + 0.9)), NOW + 10)
})

test('only integers of 64 bits are times', (t) => {
  for (const form of [EX, PX, EXAT, PXAT] as const) {
    for (const text of ['', 'x', '1.5', '9223372036854775808']) t.is(read(text, form), NOT_INTEGER)
  }
})

test('seconds that do not fit 64 bits of milliseconds are refused, one less is not', (t) => {
  t.is(read('9223372036854775', EXAT), 2 ** 63 - 1024)
  t.is(read('9223372036854776', EXAT), INVALID)
  t.is(read('-9223372036854775', EXAT), 1)
  t.is(read('-9223372036854776', EXAT), INVALID)
})

test('a relative time may not lead beyond 64 bits', (t) => {
  const last = 2n ** 63n - 1n - BigInt(NOW)
  t.is(read(String(last), PX), 2 ** 63 - 1024)
  t.is(read(String(last + 1n), PX), INVALID)
  t.is(read(String(last / 1000n), EX), 2 ** 63 - 1024)
  t.is(read(String(last / 1000n + 1n), EX), INVALID)
  t.is(read('9223372036854775807', PXAT), 2 ** 63 - 1024)
})

test('the step from plain to exact arithmetic shows nowhere', (t) => {
  for (const n of [2 ** 42 - 1, 2 ** 42, 2 ** 42 + 1]) {
    t.is(read(String(n), PXAT), n)
    t.is(read(String(n), EXAT), n * 1000)
    t.is(read(String(n), PX), NOW + n)
    t.is(read(String(n), EX), NOW + n * 1000)
  }
})

test('SET takes no time of 0 or less', (t) => {
  const clock = new VirtualClock(NOW)
  for (const text of ['0', '-1', '-9223372036854775808']) {
    t.is(expiryError(readPositiveExpiry(clientAt(clock, text), 0, EX), 'set'), INVALID)
  }
  t.is(expiryError(readPositiveExpiry(clientAt(clock, 'x'), 0, EX), 'set'), NOT_INTEGER)
  t.is(readPositiveExpiry(clientAt(clock, '1'), 0, EX), NOW + 1000)
})

test('after a jump of the wall clock unix times still mean the wall clock', (t) => {
  const clock = new VirtualClock(NOW)
  t.is(wallOffset(clock), 0)
  clock.jumpWall(3_600_000)
  t.is(wallOffset(clock), 3_600_000)
  t.is(read(String(NOW + 3_600_000 + 5), PXAT, clock), NOW + 5)
  t.is(read('10', EX, clock), NOW + 10_000)
  clock.jumpWall(-7_200_000)
  t.is(wallOffset(clock), -3_600_000)
})

test('the tremble of two clocks is no jump, and creeping is followed', (t) => {
  const clock = new VirtualClock(NOW)
  for (const ms of [1, -2, 10, -19]) {
    clock.jumpWall(ms)
    t.is(wallOffset(clock), 0, `${ms}`)
  }
  clock.jumpWall(-1)
  t.is(wallOffset(clock), -11)
  clock.jumpWall(5)
  t.is(wallOffset(clock), -11)
})

test('each clock has its own offset', (t) => {
  const one = new VirtualClock(NOW)
  const other = new VirtualClock(NOW)
  one.jumpWall(1000)
  t.is(wallOffset(one), 1000)
  t.is(wallOffset(other), 0)
})
