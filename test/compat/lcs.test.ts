import { transcripts } from './transcript.ts'

const VALUES = [
  ['ohmytext', 'mynewtext'],
  ['""', 'abc'],
  ['abc', '""'],
  ['abc', 'abc'],
  ['aaaa', 'aa'],
  ['abcbdab', 'bdcaba'],
  ['xyxyxyxyx', 'yxyyxxyxy'],
  ['"\\x00\\xff\\x00"', '"\\xff\\x00"'],
  ['a'.repeat(300) + 'b'.repeat(300), 'b'.repeat(200) + 'a'.repeat(400)],
  ['abcdefghij'.repeat(20), 'jihgfedcba'.repeat(25)],
] as const

const OPTIONS = [
  '',
  'LEN',
  'IDX',
  'IDX WITHMATCHLEN',
  'WITHMATCHLEN',
  'IDX MINMATCHLEN 2 WITHMATCHLEN',
  'idx minmatchlen 4',
  'IDX MINMATCHLEN -5',
  'LEN MINMATCHLEN 3',
  'IDX IDX',
]

transcripts({
  'LCS of all kinds': VALUES.flatMap(([a, b]) => [
    `MSET a ${a} b ${b}`,
    ...OPTIONS.flatMap((options) => [`LCS a b ${options}`, `LCS b a ${options}`]),
    'LCS a a IDX',
    'LCS a nosuch IDX',
    'LCS nosuch nosuch LEN',
  ]),
  'LCS that is wrong': [
    'LCS',
    'LCS a',
    'LCS a b x',
    'LCS a b LEN IDX',
    'LCS a b LEN IDX x',
    'LCS a b MINMATCHLEN',
    'LCS a b MINMATCHLEN x',
    'LCS a b MINMATCHLEN IDX',
  ],
  'LCS of values in pages, and of too long ones': [
    `SET a ${'abc'.repeat(30_000)}`,
    'SET b "xxbcaXcba"',
    'LCS a b',
    'LCS a b LEN',
    'LCS b a IDX',
    `SET b ${'ab'.repeat(100)}`,
    'LCS a b LEN',
    'LCS a a',
    'LCS a a LEN IDX',
    'CONFIG SET proto-max-bulk-len 1mb',
    'SET b abcdefgh',
    'LCS a b LEN',
    'CONFIG SET proto-max-bulk-len 512mb',
  ],
  SUBSTR: [
    'SUBSTR',
    'SUBSTR k 0',
    'SUBSTR k 0 1 2',
    'SUBSTR nosuch 0 -1',
    'SET k hello',
    'SUBSTR k 1 -2',
    'SUBSTR k -3 -1',
    'SUBSTR k 3 1',
    'SUBSTR k x 1',
  ],
})
