import test from 'ava'
import { nearest } from '../../../cluster/groups/nearest.ts'

test('the nearest word is the one that was meant', (t) => {
  const words = ['port', 'maxmemory', 'maxmemory-policy', 'loglevel', 'timeout']
  t.is(nearest('prot', words), 'port')
  t.is(nearest('maxmemroy', words), 'maxmemory')
  t.is(nearest('maxmemorypolicy', words), 'maxmemory-policy')
  t.is(nearest('log-level', words), 'loglevel')
})

test('a word with too many mistakes is near to none', (t) => {
  t.is(nearest('abcdefghi', ['abcdefxyz']), 'abcdefxyz')
  t.is(nearest('abcdefghi', ['abcdewxyz']), null)
  t.is(nearest('x', ['port', 'bind']), null)
})

test('the beginning of a word stands for it where nothing is nearer, from three letters on', (t) => {
  const words = ['ttl', 'max-body', 'max-age']
  t.is(nearest('max', words), 'max-body')
  t.is(nearest('ma', words), null)
  t.is(nearest('max-agg', words), 'max-age')
  t.is(nearest('max-', ['max-body', 'max']), 'max')
})
