import test from 'ava'
import type { Member } from '../../../cluster/members/membership.ts'
import type { PeerDone, PeerOutcome } from '../../../cluster/peers/peer.ts'
import {
  Absent,
  askWhetherLive,
  pingOrRejoin,
  type PingPort,
} from '../../../cluster/ownership/rejoin.ts'
import { PeerError, PeerStatus, type PeerValue } from '../../../cluster/peers/replies.ts'

const OLDER = new PeerError("ERR unknown subcommand 'REJOIN'. Try PEER HELP.")

/** Node b, as another one pings it. */
function nodeB() {
  const asked: string[] = []
  const state = { answered: true, outcome: 'reply' as PeerOutcome, value: null as PeerValue }
  let whileAsked = (): void => {}
  const peer: PingPort = {
    ping: (_timeoutMs, done) => {
      asked.push('PING')
      whileAsked()
      done(state.answered)
    },
    request: (args: readonly Buffer[], _request, done: PeerDone) => {
      asked.push(args.join(' '))
      whileAsked()
      done(state.outcome, state.value, false)
    },
  }
  let hear = (_changed: Member): void => {}
  const absent = new Absent({
    onChange: (listener) => {
      hear = listener
      return () => {}
    },
  })
  const is = (name: 'up' | 'down'): void => hear({ name: 'b', state: name } as Member)
  const pingB = pingOrRejoin(
    () => absent,
    () => peer,
  )
  /** Does it count as a sign of life? */
  const ping = (): boolean => {
    let answer = false
    pingB('b', 300, (answered) => (answer = answered))
    return answer
  }
  const during = (run: () => void): void => {
    whileAsked = run
  }
  return { asked, state, peer, is, ping, during }
}

test('who was down is asked to rejoin, and only its word that it has brings it back', (t) => {
  const { asked, state, is, ping } = nodeB()
  t.true(ping())
  is('down')
  for (const [outcome, value, comesBack] of [
    ['reply', new PeerError('ERR what this node had is not forgotten yet'), false],
    ['silent', null, false],
    ['lost', null, false],
    ['reply', 1, false],
    ['reply', new PeerStatus('OK'), true],
    ['reply', OLDER, true],
  ] as const) {
    Object.assign(state, { outcome, value })
    t.is(ping(), comesBack, outcome)
  }
  is('up')
  state.answered = false
  t.false(ping())
  t.deepEqual(asked, ['PING', ...new Array<string>(6).fill('PEER REJOIN'), 'PING'])
})

test('while one is told to rejoin it is not told again: it would forget what it was told since', (t) => {
  const { asked, state, is, ping, during } = nodeB()
  is('down')
  state.value = new PeerStatus('OK')
  let again = false
  during(() => (again = ping()))
  t.true(ping())
  t.deepEqual(asked, ['PEER REJOIN'])
  t.false(again, 'it hears the same answer, later')
})

test('the answer to a ping from before it was down does not bring it back', (t) => {
  const { is, ping, during } = nodeB()
  during(() => is('down'))
  t.false(ping())
})

test('a node says whether another one is in its ring, or nothing', (t) => {
  const { asked, state, peer } = nodeB()
  for (const [outcome, value, expected] of [
    ['reply', 1, true],
    ['reply', 0, false],
    ['reply', OLDER, true],
    ['reply', new PeerError('LOADING'), null],
    ['silent', null, null],
    ['unreachable', null, null],
  ] as const) {
    Object.assign(state, { outcome, value })
    let answer: boolean | null | undefined
    askWhetherLive(peer, 300, (isLive) => (answer = isLive))
    t.is(answer, expected, outcome)
  }
  t.deepEqual(new Set(asked), new Set(['PEER LIVE']))
})
