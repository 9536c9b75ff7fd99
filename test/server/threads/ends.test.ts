import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'

async function untilClosed(client: RawClient): Promise<void> {
  await until(async () => (await client.command('PING')) === '')
}

const folders: string[] = []
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-threads-'))
  folders.push(folder)
  return folder
}

threadsTest(
  'SIGTERM: replies under way leave in all threads, then the process ends with 0',
  async (t) => {
    const { server, clients } = await startMany(t, 4)
    const value = 'v'.repeat(3_000_000)
    await clients[0]!.command('SET', 'long', value)
    const replies = clients.map((client) => client.command('GET', 'long'))
    // Whoever is answered after it was told to end is answered whole.
    await replies[0]
    server.kill('SIGTERM')
    for (const reply of replies)
      t.is((await reply).length, value.length + '$3000000\r\n\r\n'.length)
    t.deepEqual(await server.exited, { code: 0, signal: null })
    t.regex(server.output(), /ready to exit, bye bye/)
  },
)

threadsTest(
  'SHUTDOWN of one client ends the connections of all threads, and answers nothing',
  async (t) => {
    const { server, clients } = await startMany(t, 4)
    const [caller, ...others] = clients as [RawClient, ...RawClient[]]
    for (const client of others) t.is(await client.command('SET', 'k', 'v'), '+OK\r\n')
    const ends = [caller.command('SHUTDOWN', 'NOSAVE'), ...others.map(untilClosed)]
    for (const end of ends) await t.throwsAsync(end, { message: /closed the connection/ })
    t.deepEqual(await server.exited, { code: 0, signal: null })
  },
)

threadsTest('the last snapshot has what was written in every thread, and comes back', async (t) => {
  const folder = newFolder()
  const { server, clients } = await startMany(t, 4, ['--dir', folder])
  for (const [i, client] of clients.entries()) {
    await client.command('SET', `key:${i}`, `value ${i}`)
  }
  await t.throwsAsync(clients[1]!.command('SHUTDOWN', 'SAVE'))
  t.is((await server.exited).code, 0)
  const again = await startMany(t, 2, ['--dir', folder])
  for (const client of again.clients) {
    for (let i = 0; i < 4; i++) t.is(String(await client.get(`key:${i}`)), `value ${i}`)
  }
})

threadsTest(
  'SHUTDOWN that cannot save is refused, and commands of all threads go on',
  async (t) => {
    const folder = newFolder()
    const { clients } = await startMany(t, 4, ['--dir', folder, '--dbfilename', 'there'])
    await clients[0]!.command('SET', 'k', 'v')
    // A folder stands where the file should.
    writeFileSync(join(folder, 'keep'), '')
    t.regex(await clients[0]!.command('CONFIG', 'SET', 'dbfilename', 'there'), /OK|protected/)
    rmSync(folder, { recursive: true })
    t.regex(await clients[1]!.command('SHUTDOWN', 'SAVE'), /^-ERR Errors trying to SHUTDOWN/)
    for (const client of clients) t.is(await client.command('SET', 'k', 'w'), '+OK\r\n')
  },
)

threadsTest(
  'an error that nothing catches in a worker ends the process: code 1, and a line in the log',
  async (t) => {
    const path = join(newFolder(), 'now')
    const fault = new URL('fault.js', import.meta.url).href
    const server = await startRingtier({
      args: ['--threads', '2', '--maxmemory', '16mb', '--save', ''],
      env: { NODE_OPTIONS: `--import=${fault}`, TEST_OF_FAULT: path },
    })
    t.teardown(() => server.stop())
    const client = await RawClient.open(server.port)
    t.is(await client.command('PING'), '+PONG\r\n')
    writeFileSync(path, '')
    t.deepEqual(await server.exited, { code: 1, signal: null })
    const fatal = server
      .output()
      .split('\n')
      .filter((line) => line.includes('"level":60'))
    t.is(fatal.length, 1)
    t.regex(fatal[0]!, /"stack":"Error: a fault of this test.*the process ends/)
  },
)
