import test from 'ava'
import { table } from './table.ts'

test('columns are as wide as their widest cell, and at least three', (t) => {
  const text = table(
    ['a', 'name'],
    [
      ['12345', 'x'],
      ['1', ''],
    ],
  )
  t.is(
    text,
    ['|     a | name |', '| ----: | ---: |', '| 12345 |    x |', '|     1 |      |'].join('\n'),
  )
})
