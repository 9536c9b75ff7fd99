import fc from 'fast-check'
import test from 'ava'
import { quoteWord, splitWords } from '../../../cluster/groups/words.ts'

test('words are split at white space', (t) => {
  t.deepEqual(splitWords('  save  60\t1 '), ['save', '60', '1'])
  t.deepEqual(splitWords(''), [])
  t.deepEqual(splitWords(' \t'), [])
})

test('double quotes know escapes, single quotes only their own', (t) => {
  t.deepEqual(splitWords(String.raw`a "b c" "\n\r\t\b\a\x41\q\"" ''`), [
    'a',
    'b c',
    '\n\r\t\b\x07Aq"',
    '',
  ])
  t.deepEqual(splitWords(String.raw`'it\'s \n "x"' pre"fix"`), [`it's \\n "x"`, 'prefix'])
  t.deepEqual(splitWords(String.raw`"\x4" "\xzz"`), ['x4', 'xzz'])
})

test('quotes that do not match, or are followed by more, are refused', (t) => {
  for (const line of ['"a', "'a", '"a\\"', '"a"b', "'a'b", '"a""b"']) t.is(splitWords(line), null)
})

test('what is quoted is read as it was', (t) => {
  const anything = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(fc.array(anything, { minLength: 1 }), (words) => {
      t.deepEqual(splitWords(words.map(quoteWord).join(' ')), words)
    }),
  )
  t.is(quoteWord('plain:word/1'), 'plain:word/1')
  t.is(quoteWord(''), '""')
  t.is(quoteWord('#no comment'), '"#no comment"')
})
