import test from 'ava'
import { PeerAnswers } from '../../../cluster/peers/peer-answers.ts'
import { SeededRandom } from '../../sim/random.ts'

const LIMITS = { bytesMax: 1000, depthMax: 3 }

/** What is told of these pieces, as text; and why they are refused. */
function told(pieces: readonly Buffer[]) {
  const events: string[] = []
  const answers = new PeerAnswers(LIMITS, {
    id: (id) => events.push(`id ${id}`),
    reply: (bytes, type, isResp3) => {
      events.push(`${String.fromCharCode(type)}${isResp3 ? '3' : '2'} ${bytes.toString('latin1')}`)
    },
  })
  let failure: string | null = null
  for (const piece of pieces) failure ??= answers.feed(piece)
  return { events, failure, midReply: answers.midReply }
}

const replies: readonly [reply: string, isResp3: boolean][] = [
  ['+OK\r\n', false],
  ['$-1\r\n', false],
  ['$5\r\n@1\r\n\r\r\n', false],
  [':120479\r\n', false],
  ['*2\r\n$1\r\na\r\n*1\r\n:1\r\n', false],
  ['_\r\n', true],
  ['#t\r\n', true],
  [',1.5\r\n', true],
  ['(123456789012345678901234567890\r\n', true],
  ['=8\r\ntxt:text\r\n', true],
  ['%2\r\n+a\r\n~1\r\n$1\r\nb\r\n+c\r\n>1\r\n_\r\n', true],
  ['-ERR no\r\n', false],
]

test('ids and whole replies are told, wherever the bytes are cut', (t) => {
  const parts = replies.map(([reply], i) => `@-${i + 1}\r\n@${i + 1}\r\n${reply}`)
  const bytes = Buffer.from(parts.join(''), 'latin1')
  const expected = replies.flatMap(([reply, isResp3], i) => [
    `id ${-(i + 1)}`,
    `id ${i + 1}`,
    `${reply[0]!}${isResp3 ? '3' : '2'} ${reply}`,
  ])
  t.deepEqual(told([bytes]).events, expected)
  const random = new SeededRandom(3)
  for (let round = 0; round < 200; round++) {
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + random.below(round % 20 === 0 ? 2 : 40)
      pieces.push(bytes.subarray(at, end))
      at = end
    }
    const { events, failure, midReply } = told(pieces)
    t.deepEqual(events, expected)
    t.is(failure, null)
    t.false(midReply)
  }
})

for (const [what, bytes] of [
  ['a reply where an id is due', '+OK\r\n'],
  ['a number where an id is due', ':1\r\n'],
  ['an id where a reply is due', '@1\r\n@2\r\n'],
  ['an id without digits', '@\r\n'],
  ['two signs', '@--1\r\n'],
  ['an id that is too long', '@1234567890123456\r\n'],
  ['no line feed', '@1\r+'],
  ['a reply too long', '@1\r\n$2000\r\n'],
  ['a map too long', '@1\r\n%400\r\n'],
  ['too deep a reply', `@1\r\n${'%1\r\n'.repeat(4)}`],
  ['bytes of no type', '@1\r\n?\r\n'],
] as const) {
  test(`${what} is refused`, (t) => {
    t.not(told([Buffer.from(bytes)]).failure, null)
    t.not(told([...Buffer.from(bytes)].map((byte) => Buffer.of(byte))).failure, null)
  })
}

test('random bytes are refused or wait, and never throw', (t) => {
  const random = new SeededRandom(11)
  for (let round = 0; round < 2000; round++) {
    const garbage = random.bytes(40)
    const { events } = told([Buffer.from('@7\r\n+OK\r\n'), garbage])
    t.deepEqual(events.slice(0, 2), ['id 7', '+2 +OK\r\n'])
  }
})
