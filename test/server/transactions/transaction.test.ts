/* Transactions over whole servers in this process, on virtual time; what Redis answers is in compat/. */
import { duplexPair } from 'node:stream'
import test from 'ava'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import { COMMANDS_MAX } from '../../../server/transactions/transaction.ts'
import type { RawClient } from '../../raw.ts'
import { startInProcess } from '../in-process.ts'

const MB = 1024 * 1024

/** Queues commands and runs them. @returns EXEC's reply */
async function together(client: RawClient, ...commands: string[][]): Promise<string> {
  await client.command('MULTI')
  for (const words of commands) await client.send(words)
  return client.command('EXEC')
}

test('a watched key whose time comes before EXEC has changed', async (t) => {
  const { clock, connect } = await startInProcess()
  const client = connect()
  const run = (): Promise<string> => together(client, ['PING'])
  await client.command('SET', 'k', 'v', 'PX', '1000')
  await client.command('WATCH', 'k')
  await clock.advance(900)
  t.is(await run(), '*1\r\n+PONG\r\n')
  await client.command('WATCH', 'k')
  await clock.advance(200)
  t.is(await run(), '*-1\r\n')
  // Whoever removes it.
  await client.command('SET', 'k', 'v', 'PX', '1000')
  await client.command('WATCH', 'k')
  await clock.advance(60_000)
  t.is(await run(), '*-1\r\n')
})

test('a watched key whose time had come at WATCH has not', async (t) => {
  const { clock, connect } = await startInProcess()
  const client = connect()
  await client.command('CONFIG', 'SET', 'active-expire-effort', '1')
  await client.command('SET', 'k', 'v', 'PX', '10')
  await clock.advance(10)
  await client.command('WATCH', 'k')
  await clock.advance(60_000)
  t.is(await together(client, ['GET', 'k']), '*1\r\n$-1\r\n')
})

test('so many commands, and no more', async (t) => {
  const { connect } = await startInProcess()
  const client = connect()
  for (const more of [0, 1]) {
    await client.command('MULTI')
    const replies: Promise<string>[] = []
    for (let i = 0; i < COMMANDS_MAX + more; i++) replies.push(client.command('INCR', 'k'))
    const refused = (await Promise.all(replies)).filter((reply) => reply !== '+QUEUED\r\n')
    const exec = await client.command('EXEC')
    if (more === 0) {
      t.deepEqual(refused, [])
      t.true(exec.startsWith(`*${COMMANDS_MAX}\r\n:1\r\n`))
    } else {
      t.deepEqual(refused, [
        `-ERR a transaction may have at most ${COMMANDS_MAX} commands, and 64 MB of arguments\r\n`,
      ])
      t.regex(exec, /^-EXECABORT/)
    }
  }
  t.is(await client.command('GET', 'k'), `$5\r\n${COMMANDS_MAX}\r\n`)
})

test('so many bytes, and no more', async (t) => {
  const { connect } = await startInProcess(['--maxmemory', '256mb'])
  const client = connect()
  const words = Array.from({ length: 900 }, (_, i) => `key:${i}`.padEnd(1_160, '.'))
  await client.command('MULTI')
  let queued = 0
  for (;;) {
    const reply = await client.send(['EXISTS', ...words])
    if (reply !== '+QUEUED\r\n') {
      t.regex(reply, /^-ERR a transaction may have at most/)
      break
    }
    queued++
  }
  t.is(queued, Math.floor((64 * MB) / (900 * 1_168 + 6 + 8 + 200)))
  t.regex(await client.command('EXEC'), /^-EXECABORT/)
})

test('values in pages are queued, stored, and given back', async (t) => {
  const { server, connect, connectSession } = await startInProcess()
  const { store } = server
  const client = connect()
  const value = 'v'.repeat(MB)
  const set = async (who: RawClient): Promise<void> => {
    await who.command('MULTI')
    t.is(await who.command('SET', 'big', value), '+QUEUED\r\n')
  }
  await set(client)
  await client.command('STRLEN', 'big')
  await client.command('APPEND', 'big', value)
  await client.command('STRLEN', 'big')
  t.is(await client.command('EXEC'), `*4\r\n+OK\r\n:${MB}\r\n:${2 * MB}\r\n:${2 * MB}\r\n`)
  t.is((await client.get('big'))!.length, 2 * MB)
  await client.command('DEL', 'big')
  const before = store.usedBytes
  await set(client)
  t.is(await client.command('DISCARD'), '+OK\r\n')
  await set(client)
  t.is(await client.command('RESET'), '+RESET\r\n')
  await set(client)
  await client.command('NOSUCH')
  t.regex(await client.command('EXEC'), /^-EXECABORT/)
  const { client: gone, session } = connectSession()
  await set(gone)
  session.destroy()
  t.is(store.usedBytes, before)
  // A wrong call takes nothing over.
  await client.command('MULTI')
  await client.command('SET', 'big', value, 'NX', 'XX')
  t.is(await client.command('EXEC'), '*1\r\n-ERR syntax error\r\n')
  t.is(store.usedBytes, before)
  checkInvariants(store)
})

test('values in pages that are queued have a part of memory at most', async (t) => {
  const { server, connect } = await startInProcess()
  const client = connect()
  const value = 'v'.repeat(MB)
  await client.command('MULTI')
  for (let i = 0; i < 4; i++) t.is(await client.command('SET', `k${i}`, value), '+QUEUED\r\n')
  t.regex(await client.command('SET', 'more', value), /^-OOM/)
  t.regex(await client.command('EXEC'), /^-EXECABORT/)
  t.is(await client.command('DBSIZE'), ':0\r\n')
  checkInvariants(server.store)
})

test('so many keys are watched, and no more', async (t) => {
  const { connect } = await startInProcess()
  const client = connect()
  const names = Array.from({ length: 65_536 }, (_, i) => `key:${i}`)
  t.is(await client.send(['WATCH', ...names]), '+OK\r\n')
  t.is(await client.command('WATCH', 'more'), '-ERR a client may watch at most 65536 keys\r\n')
  t.is(await together(client, ['PING']), '*1\r\n+PONG\r\n')
  await client.send(['WATCH', ...names])
  await client.command('SET', names[65_535]!, 'v')
  t.is(await together(client, ['PING']), '*-1\r\n')
})

test('names of watched keys have so many bytes, and no more', async (t) => {
  const { connect } = await startInProcess()
  const client = connect()
  const name = 'k'.repeat(MB)
  for (let i = 10; i < 26; i++) {
    t.is(await client.command('WATCH', `${i}${name.slice(2)}`), '+OK\r\n')
  }
  t.regex(await client.command('WATCH', 'k'), /^-ERR a client may watch at most/)
  await client.command('UNWATCH')
  t.is(await client.command('WATCH', 'k'), '+OK\r\n')
})

test('nothing is loaded for a transaction, and keys that are written through are refused', async (t) => {
  const loads: string[] = []
  const loader: Loader = {
    load: ({ key }): Promise<Loaded> => {
      loads.push(Buffer.from(key).toString())
      return Promise.resolve({ value: Buffer.from('loaded') })
    },
    write: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const args = [
    ...['--group', 'l match l:{id} origin http://h/{id} ttl 1h'],
    ...['--group', 'w match w:{id} origin http://h/{id} write yes ttl 1h'],
  ]
  const { connect } = await startInProcess(args, { loader })
  const client = connect()
  t.is(
    await together(client, ['GET', 'l:1'], ['MGET', 'l:1', 'l:2'], ['STRLEN', 'w:1']),
    '*3\r\n$-1\r\n*2\r\n$-1\r\n$-1\r\n:0\r\n',
  )
  t.deepEqual(loads, [])
  t.is(await client.command('GET', 'l:1'), '$6\r\nloaded\r\n')
  t.is(
    await together(client, ['GET', 'l:1'], ['SET', 'l:1', 'set'], ['EXPIRE', 'w:1', '10']),
    '*3\r\n$6\r\nloaded\r\n+OK\r\n:0\r\n',
  )
  await client.command('MULTI')
  t.is(
    await client.command('SET', 'w:1', 'v'),
    "-ERR keys of group 'w' are written to their origin first, which a transaction cannot wait for\r\n",
  )
  t.regex(await client.command('EXEC'), /^-EXECABORT/)
  for (const words of [
    ['CACHE.GET', 'l:1'],
    ['CACHE.LEASE', 'l:3', '1'],
    ['GROUP', 'WARM', 'l', 'x'],
  ]) {
    await client.command('MULTI')
    t.is(await client.send(words), '-ERR Command not allowed inside a transaction\r\n')
    await client.command('DISCARD')
  }
})

test('a load that ends between WATCH and EXEC is a change', async (t) => {
  const loader: Loader = {
    load: () => Promise.resolve({ value: Buffer.from('loaded') }),
    close: () => Promise.resolve(),
  }
  const args = ['--group', 'l match l:{id} origin http://h/{id} ttl 1h']
  const { connect } = await startInProcess(args, { loader })
  const [client, other] = [connect(), connect()]
  await client.command('WATCH', 'l:1')
  await other.command('GET', 'l:1')
  t.is(await together(client, ['GET', 'l:1']), '*-1\r\n')
})

test('EXEC is refused with what it would write, and the transaction is over', async (t) => {
  const { server, connect } = await startInProcess()
  const client = connect()
  await client.command('MULTI')
  await client.command('SET', 'k', 'v')
  server.gate.restrict({ loading: false, deniesWrites: true })
  t.regex(await client.command('EXEC'), /^-EXECABORT Transaction discarded because of: MISCONF /)
  t.is(await client.command('EXEC'), '-ERR EXEC without MULTI\r\n')
  t.is(await together(client, ['GET', 'k']), '*1\r\n$-1\r\n')
  server.gate.restrict({ loading: false, deniesWrites: false })
})

test('a transaction whose client is gone in the middle of it runs to its end', async (t) => {
  const { server, connect, connectSession } = await startInProcess()
  const monitor = connect()
  await monitor.command('MONITOR')
  const { client, session } = connectSession()
  await client.command('WATCH', 'k')
  await client.command('MULTI')
  await client.command('SET', 'k', 'v'.repeat(100_000))
  await client.command('STRLEN', 'k')
  await client.command('APPEND', 'k', 'v'.repeat(100_000))
  server.monitors.hear = () => session.destroy()
  void client.command('EXEC').catch(() => {})
  const other = connect()
  while (!session.isGone) await other.command('PING')
  t.is(await other.command('STRLEN', 'k'), ':200000\r\n')
  t.is(session.watches, 0)
  t.is(server.clients.size, 2)
  checkInvariants(server.store)
})

test('who ends its own connection in a transaction has it run to its end', async (t) => {
  const { clock, connect, server } = await startInProcess()
  const [near, far] = duplexPair()
  let received = ''
  near.setEncoding('latin1').on('data', (text: string) => (received += text))
  const { id } = server.handle(far)
  near.write(`MULTI\r\nSET k 1\r\nCLIENT KILL ID ${id} SKIPME no\r\nINCR k\r\nEXEC\r\n`)
  await clock.settle()
  // As in Redis, it does not hear of what comes after its end.
  t.true(received.endsWith('+QUEUED\r\n*3\r\n+OK\r\n:1\r\n'), received)
  t.true(near.readableEnded)
  t.is(await connect().command('GET', 'k'), '$1\r\n2\r\n')
})

test('MONITOR shows what runs, when it runs', async (t) => {
  const { connect, connectSession } = await startInProcess()
  const { client: monitor, session } = connectSession()
  await monitor.command('MONITOR')
  const lines: string[] = []
  session.server.monitors.hear = (line) => {
    lines.push(
      Buffer.from(line)
        .toString()
        .replace(/^\S+ \[(\d).*\] /, '$1 ')
        .trimEnd(),
    )
  }
  const client = connect()
  await client.command('WATCH', 'k')
  await client.command('MULTI')
  await client.command('SET', 'k', 'v'.repeat(100_000))
  await client.command('SELECT', '3')
  t.is(lines.length, 2)
  await client.command('EXEC')
  t.deepEqual(
    lines.map((line) => line.slice(0, 12)),
    ['0 "WATCH" "k', '0 "MULTI"', '0 "SET" "k" ', '3 "SELECT" "', '3 "EXEC"'],
  )
})

test('a monitor that sends a large value is refused, and goes on', async (t) => {
  const { connect } = await startInProcess()
  const monitor = connect()
  await monitor.command('MONITOR')
  t.regex(await monitor.command('GETSET', 'k', 'v'.repeat(100_000)), /^-ERR Replica/)
  t.is(await monitor.command('PING'), '+PONG\r\n')
})

test('commands of transactions are counted when they run', async (t) => {
  const { connect } = await startInProcess()
  const client = connect()
  await client.command('SET', 'k', 'text')
  await client.command('CONFIG', 'RESETSTAT')
  await together(client, ['GET', 'k'], ['INCR', 'k'], ['GET', 'k'])
  await client.command('MULTI')
  await client.command('GET')
  await client.command('EXEC')
  const info = await client.command('INFO', 'everything')
  t.regex(info, /cmdstat_get:calls=2,.*,rejected_calls=1,failed_calls=0\r\n/)
  t.regex(info, /cmdstat_incr:calls=1,.*,failed_calls=1\r\n/)
  t.regex(info, /cmdstat_multi:calls=2,/)
  t.regex(info, /cmdstat_exec:calls=2,.*,failed_calls=1\r\n/)
  t.regex(info, /errorstat_ERR:count=2\r\n/)
  t.regex(info, /errorstat_EXECABORT:count=1\r\n/)
})
