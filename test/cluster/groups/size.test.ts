import test from 'ava'
import { bytesOf, sizeText } from '../../../cluster/groups/size.ts'

test('a size has a unit of powers of 1024 with a b, of 1000 without it, in any case', (t) => {
  const words = ['0', '1b', '2k', '2kb', '3m', '3MB', '4G', '4gb', '9999999999999999999']
  t.deepEqual(words.map(bytesOf), [0, 1, 2000, 2048, 3e6, 3 * 2 ** 20, 4e9, 4 * 2 ** 30, 1e19])
})

test('an empty text is 0 as in Redis, and what is no size is NaN', (t) => {
  t.is(bytesOf(''), 0)
  for (const word of [' ', 'b', 'kb', '-1', '1.5m', '1 mb', '1t', '1kbb', '0x10', '1e3']) {
    t.is(bytesOf(word), NaN, word)
  }
})

test('a size is written in its largest whole unit', (t) => {
  const sizes = [0, 1023, 1024, 1025, 1536 * 1024, 2 ** 29, 2 ** 30].map(sizeText)
  t.deepEqual(sizes, ['0', '1023', '1kb', '1025', '1536kb', '512mb', '1gb'])
})
