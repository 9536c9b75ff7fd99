import test from 'ava'
import { startInProcess } from '../in-process.ts'

test('STORE BUCKET tells the counters of one bucket, and all of them add up', async (t) => {
  const { server, connect } = await startInProcess()
  const client = connect()
  for (let i = 0; i < 1_000; i++) await client.command('SET', `key:${i}`, 'v')
  let entries = 0
  for (let number = 0; number < 512; number++) {
    const reply = await client.command('STORE', 'BUCKET', String(number))
    entries += Number(/\r\nentries\r\n:(\d+)/.exec(reply)![1])
    t.regex(reply, /\r\nevicted_small\r\n:0\r\n/)
  }
  t.is(entries, 1_000)
  t.is(server.store.stats.sets, 1_000)
  const between = '-ERR value is out of range, value must between 0 and 511\r\n'
  t.is(await client.command('STORE', 'BUCKET', '512'), between)
  t.is(await client.command('STORE', 'BUCKET', '-1'), between)
  t.regex(await client.command('STORE', 'BUCKET', 'x'), /^-ERR value is not an integer/)
  t.regex(await client.command('STORE', 'HELP'), /BUCKET number/)
})
