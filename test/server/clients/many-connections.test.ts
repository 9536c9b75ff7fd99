/*
 * The whole figures come from test/bench/connections.ts; here are fewer connections, and the same
 * limits for each.
 */
import test from 'ava'
import { churn, measureAnnouncements, measureIdle } from '../../bench/connections/measure.ts'
import { type RunningServer, startRingtier } from '../../process.ts'

const MB = 2 ** 20

const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip

/** Warmed up: code and the first growth of JavaScript's heap are no connection's. */
async function started(): Promise<RunningServer> {
  const server = await startRingtier({ args: ['--maxmemory', '64mb'] })
  await measureIdle(server, 500)
  return server
}

onLinux('an idle connection costs 32 KB at most', async (t) => {
  const server = await started()
  try {
    const { bytesEach } = await measureIdle(server, 1000)
    t.true(bytesEach <= 32 * 1024, String(bytesEach))
  } finally {
    await server.stop()
  }
})

onLinux('connections that come and go, some by RST, give all descriptors back', async (t) => {
  const server = await started()
  try {
    await t.notThrowsAsync(churn(server, 1000))
  } finally {
    await server.stop()
  }
})

onLinux('announced arrays and bulks that are not sent cost 16 MB at most for 500', async (t) => {
  const server = await started()
  try {
    const bytes = await measureAnnouncements(server, 500)
    t.true(bytes <= 16 * MB, String(bytes))
  } finally {
    await server.stop()
  }
})
