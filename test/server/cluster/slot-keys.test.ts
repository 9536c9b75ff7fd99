import test from 'ava'
import { startCluster, startInProcess } from '../in-process.ts'

const COUNT = 20_000

test('the keys of a slot are counted and named, among very many others', async (t) => {
  const { server, clock, connect } = await startInProcess(['--cluster-self', '127.0.0.1:7001'])
  await server.listen()
  const client = connect()
  const pairs = Array.from({ length: COUNT }, (_, i) => [`key:${i}`, 'x']).flat()
  const ask = async (...words: string[]): Promise<string> => {
    const reply = client.command(...words)
    await clock.until(() => true)
    for (let i = 0; i < 400; i++) await clock.settle()
    return reply
  }
  t.is(await ask('MSET', ...pairs), '+OK\r\n')
  t.is(await ask('MSET', '{a}1', 'x', '{a}2', 'x', '{a}3', 'x'), '+OK\r\n')
  const slot = await ask('CLUSTER', 'KEYSLOT', 'a')
  const number = slot.slice(1, -2)
  const all = await ask('CLUSTER', 'GETKEYSINSLOT', number, String(COUNT))
  const names = all.split('\r\n').filter((line) => /^[k{]/.test(line))
  t.true(['{a}1', '{a}2', '{a}3'].every((name) => names.includes(name)))
  t.is(await ask('CLUSTER', 'COUNTKEYSINSLOT', number), `:${names.length}\r\n`)
  t.regex(await ask('CLUSTER', 'GETKEYSINSLOT', number, '2'), /^\*2\r\n\$\d+\r\n/)
  client.close()
  server.shutdown()
})

test('CLUSTER LINKS has both directions of each other node', async (t) => {
  const { nodes, settle, shutdown } = await startCluster(2, [])
  const client = nodes[0]!.connect()
  const reply = client.command('CLUSTER', 'LINKS')
  await settle()
  const links = await reply
  t.true(links.startsWith('*2\r\n'), links)
  t.regex(links, /direction\r\n\$2\r\nto\r\n/)
  t.regex(links, /direction\r\n\$4\r\nfrom\r\n/)
  client.close()
  shutdown()
})
