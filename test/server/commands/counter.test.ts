import test from 'ava'
import { bulk, DataSession } from './data-session.ts'

test('counting is exact across the edge of what a double holds', (t) => {
  const session = new DataSession()
  let expected = 2n ** 53n - 4n
  session.run('SET', 'k', String(expected))
  for (let i = 0; i < 8; i++) t.is(session.run('INCR', 'k'), `:${++expected}\r\n`)
  t.is(session.run('GET', 'k'), bulk(String(expected)))
  for (let i = 0; i < 8; i++) t.is(session.run('DECR', 'k'), `:${--expected}\r\n`)
  session.run('SET', 'k', String(-expected))
  for (let i = 0; i < 8; i++) t.is(session.run('DECR', 'k'), `:${-++expected}\r\n`)
  t.is(session.run('GET', 'k'), bulk(String(-expected)))
  session.run('SET', 'k', '9007199254740991')
  t.is(session.run('INCRBY', 'k', '2'), ':9007199254740993\r\n')
  t.is(session.run('GET', 'k'), bulk('9007199254740993'))
  t.is(session.run('DECRBY', 'k', '2'), ':9007199254740991\r\n')
})

test('every count of digits is written whole', (t) => {
  const session = new DataSession()
  for (let digits = 1; digits <= 15; digits++) {
    const nines = 10 ** digits - 1
    session.run('SET', 'k', nines)
    t.is(session.run('INCR', 'k'), `:${nines + 1}\r\n`)
    t.is(session.run('GET', 'k'), bulk(String(nines + 1)))
    t.is(session.run('DECR', 'k'), `:${nines}\r\n`)
    t.is(session.run('GET', 'k'), bulk(String(nines)))
    session.run('SET', 'k', -nines)
    t.is(session.run('DECR', 'k'), `:${-nines - 1}\r\n`)
    t.is(session.run('GET', 'k'), bulk(String(-nines - 1)))
  }
})
