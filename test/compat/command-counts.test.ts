/* INFO commandstats beside redis-server: what counts as a call, as rejected, as failed, and when. */
import test from 'ava'
import { RawClient } from '../raw.ts'
import { startBoth } from './both.ts'

const bothOf = startBoth()

/** The counts by command, without times. */
async function countsOf(client: RawClient): Promise<string[]> {
  const text = await client.command('INFO', 'commandstats')
  const lines = text.split('\r\n').filter((line) => line.startsWith('cmdstat_'))
  return lines.map((line) => line.replace(/usec=.*,(?=rejected)/, '')).sort()
}

test('commands count when they are done, and a subcommand that is none for nobody', async (t) => {
  const both = bothOf(t)
  if (both === null) return
  const [ours, theirs] = await Promise.all(
    [both.ours, both.theirs].map(({ port }) => RawClient.open(port)),
  )
  t.teardown(() => [ours, theirs].forEach((client) => client!.close()))
  const words = [
    ['CONFIG', 'RESETSTAT'],
    ['CONFIG', 'BOGUS'],
    ['CONFIG'],
    ['CONFIG', 'GET'],
    ['CLIENT', 'BOGUS'],
    ['OBJECT', 'BOGUS', 'k'],
    ['BOGUS', 'k'],
    ['GET'],
    ['SET', 'k', 'v'],
    ['INCR', 'k'],
    ['MULTI'],
    ['GET', 'k'],
    ['CONFIG', 'BOGUS'],
    ['EXEC'],
    ['MULTI'],
    ['GET', 'k'],
    ['INCR', 'k'],
    ['INFO', 'cpu'],
    ['EXEC'],
    ['CONFIG', 'RESETSTAT'],
  ]
  for (const command of words) {
    await Promise.all([ours!.command(...command), theirs!.command(...command)])
    t.deepEqual(await countsOf(ours!), await countsOf(theirs!), command.join(' '))
  }
})
