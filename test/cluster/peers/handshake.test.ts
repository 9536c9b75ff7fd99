import test from 'ava'
import {
  answerHello,
  challenge,
  incarnationTold,
  isNodeName,
  newIncarnation,
  PEER_PROTOCOL_VERSION,
  prove,
  verify,
} from '../../../cluster/peers/handshake.ts'
import type { Meeting } from '../../../cluster/peers/handshake.ts'
import { SeededRandom } from '../../sim/random.ts'

const MEETING: Meeting = {
  caller: 'a:1',
  callerNonce: challenge(new SeededRandom(1)),
  owner: 'b:1',
  ownerNonce: challenge(new SeededRandom(2)),
}

test('who knows the secret proves it, in either role', (t) => {
  for (const role of ['owner', 'caller'] as const) {
    t.true(verify('s3cret', role, MEETING, prove('s3cret', role, MEETING)))
    t.true(verify('', role, MEETING, prove('', role, MEETING)))
  }
})

test('a proof is worth nothing with another secret, role, name or nonce', (t) => {
  const proof = prove('s3cret', 'owner', MEETING)
  const nonce = challenge(new SeededRandom(3))
  t.false(verify('s3cres', 'owner', MEETING, proof))
  t.false(verify('', 'owner', MEETING, proof))
  t.false(verify('s3cret', 'caller', MEETING, proof))
  t.false(verify('s3cret', 'owner', { ...MEETING, caller: 'a:2' }, proof))
  t.false(verify('s3cret', 'owner', { ...MEETING, owner: 'a:1', caller: 'b:1' }, proof))
  t.false(verify('s3cret', 'owner', { ...MEETING, callerNonce: nonce }, proof))
  t.false(verify('s3cret', 'owner', { ...MEETING, ownerNonce: nonce }, proof))
})

test('what is no proof at all is refused without an exception', (t) => {
  const proof = prove('s', 'owner', MEETING)
  for (const wrong of ['', 'x', proof.slice(2), `${proof}00`, `${proof}x`, 'z'.repeat(64)]) {
    t.false(verify('s', 'owner', MEETING, wrong))
  }
})

const OWNER = { name: 'b:1', secret: 's', incarnation: '0123456789abcdef' }

test('the owner answers a hello with its name, a nonce, its proof and its incarnation', (t) => {
  const owner = { ...OWNER, random: new SeededRandom(4) }
  const version = String(PEER_PROTOCOL_VERSION)
  const answer = answerHello(owner, [version, 'a:1', MEETING.callerNonce])
  if (!('reply' in answer)) throw new Error(answer.refusal)
  const [name, nonce, proof, incarnation] = answer.reply as [string, string, string, string]
  t.is(name, 'b:1')
  t.is(incarnation, OWNER.incarnation)
  t.deepEqual(answer.meeting, { ...MEETING, ownerNonce: nonce })
  t.true(verify('s', 'owner', answer.meeting, proof))
})

test('a hello of another version or with wrong words is refused', (t) => {
  const owner = { ...OWNER, random: new SeededRandom(4) }
  const nonce = MEETING.callerNonce
  for (const words of [
    [],
    ['1', 'a:1'],
    ['1', 'a:1', nonce, 'x'],
    ['2', 'a:1', nonce],
    ['1', 'a\n1', nonce],
    ['1', '', nonce],
    ['1', 'a:1', nonce.slice(1)],
    ['1', 'a:1', nonce.toUpperCase().replace(/^./, 'X')],
  ]) {
    t.true('refusal' in answerHello(owner, words), words.join(' '))
  }
})

test('an incarnation is told by its form, and no two processes have the same', (t) => {
  const random = new SeededRandom(4)
  const [one, two] = [newIncarnation(random), newIncarnation(random)]
  t.not(one, two)
  for (const right of [one, two, OWNER.incarnation]) {
    t.is(incarnationTold(Buffer.from(right)), right)
  }
  for (const wrong of ['', one.slice(1), `${one}0`, one.toUpperCase().replace(/^./, 'X')]) {
    t.is(incarnationTold(Buffer.from(wrong)), '', wrong)
  }
  t.is(incarnationTold(7), '')
})

test('a name has at most 300 printable characters', (t) => {
  t.true(isNodeName('a'.repeat(300)))
  t.false(isNodeName('a'.repeat(301)))
  t.false(isNodeName('a b'))
})
