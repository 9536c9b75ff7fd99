import { connect } from 'node:net'
import test from 'ava'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'

/**
 * All that the server sends until the last line, an `ECHO end` of ours, is answered or it closes; without
 * times and addresses. `{me}` is the connection's address.
 */
function heard(port: number, lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('data', (piece: string) => {
      text += piece
      if (text.endsWith('$3\r\nend\r\n')) socket.destroy()
    })
    socket.on('close', () =>
      resolve(text.replaceAll(/^\+[\d.]+ \[0 127\.0\.0\.1:\d+\]/gm, '+T [0 A]')),
    )
    socket.on('connect', () => {
      const me = `127.0.0.1:${socket.localPort}`
      socket.write([...lines, 'ECHO end', ''].join('\r\n').replaceAll('{me}', me))
    })
  })
}

const transcripts: Readonly<Record<string, readonly string[]>> = {
  'OFF is silent, errors included, until ON': [
    'CLIENT REPLY OFF',
    'PING',
    'NOSUCH',
    'GET',
    'CLIENT REPLY SKIP',
    'CLIENT REPLY x',
    'CLIENT SETNAME silent',
    'CLIENT REPLY ON',
    'CLIENT GETNAME',
  ],
  'SKIP is silent about one command': ['CLIENT REPLY SKIP', 'PING', 'ECHO heard'],
  'SKIP is silent about an error': ['CLIENT REPLY SKIP', 'NOSUCH', 'ECHO heard'],
  'SKIP twice in a row': ['CLIENT REPLY SKIP', 'CLIENT REPLY SKIP', 'PING', 'ECHO heard'],
  'SKIP and then OFF': ['CLIENT REPLY SKIP', 'CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON'],
  'ON ends a SKIP': ['CLIENT REPLY SKIP', 'CLIENT REPLY ON', 'PING'],
  'RESET ends the silence and is heard': ['CLIENT REPLY OFF', 'PING', 'RESET', 'PING'],
  'HELLO in silence takes effect': [
    'CLIENT REPLY OFF',
    'HELLO 3',
    'CLIENT REPLY ON',
    'CLIENT GETNAME',
  ],
  'what came before is still heard': ['ECHO before', 'CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON'],
  'OFF in a transaction is silent about the rest of it': [
    'MULTI',
    'PING',
    'CLIENT REPLY OFF',
    'PING',
    'EXEC',
    'PING',
    'CLIENT REPLY ON',
  ],
  'ON in a transaction': [
    ...['MULTI', 'CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON', 'ECHO x', 'EXEC', 'PING'],
    ...['CLIENT REPLY OFF', 'MULTI', 'PING', 'CLIENT REPLY ON', 'ECHO x', 'EXEC', 'PING'],
  ],
  'SKIP in a transaction': [
    ...['MULTI', 'CLIENT REPLY SKIP', 'PING', 'EXEC', 'PING', 'ECHO x'],
    ...['CLIENT REPLY SKIP', 'MULTI', 'CLIENT REPLY SKIP', 'EXEC', 'PING', 'ECHO x'],
  ],
  'nothing follows the reply with which a client closes itself': [
    ...['MULTI', 'PING', 'CLIENT KILL ADDR {me} SKIPME no', 'PING', 'EXEC', 'PING'],
  ],
  'a monitor in silence is shown nothing': [
    ...['MONITOR', 'CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON', 'PING'],
    ...['CLIENT REPLY SKIP', 'PING skipped', 'PING'],
    ...['CLIENT REPLY SKIP', 'CLIENT REPLY SKIP', 'PING skipped', 'PING'],
    ...['CLIENT REPLY SKIP', 'SUBSCRIBE c', 'UNSUBSCRIBE', 'CLIENT REPLY OFF', 'RESET'],
  ],
  'a monitor is not shown its own end': ['MONITOR', 'PING', 'QUIT'],
}

if (available('redis-server')) {
  const servers: RunningServer[] = []
  test.before(async () => {
    // With several threads the hub kills, and later (docs/compatibility.md).
    servers.push(await startRingtier({ args: ['--threads', '1'] }), await startRedis())
  })
  test.after.always(async () => {
    await Promise.all(servers.map((server) => server.stop()))
  })
  for (const [title, lines] of Object.entries(transcripts)) {
    test.serial(`CLIENT REPLY: ${title}`, async (t) => {
      const [ours, theirs] = await Promise.all(servers.map(({ port }) => heard(port, lines)))
      t.is(ours, theirs)
    })
  }
} else {
  test.skip('CLIENT REPLY beside redis-server', (t) => t.pass())
}
