import test from 'ava'
import type { Loaded, Loader, LoadRequest } from '../../../cluster/origin/loader.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startInProcess } from '../in-process.ts'

const seeds = Number(process.env['FENCE_SEEDS'] ?? 10_000)
const stepsPerSeed = 12

/** An origin whose answers are read at one moment and arrive at a later one, when the test says. */
class SlowOrigin implements Loader {
  readonly versions = new Map<string, number>()
  #answers: (() => void)[] = []

  load({ key }: LoadRequest): Promise<Loaded> {
    const name = Buffer.from(key).toString()
    const value = Buffer.from(`origin ${this.versions.get(name) ?? 0}`)
    return new Promise((resolve) => this.#answers.push(() => resolve({ value })))
  }

  get underWay(): number {
    return this.#answers.length
  }

  /** Lets one answer arrive. */
  deliver(which: number): void {
    this.#answers.splice(which, 1)[0]?.()
  }

  async close(): Promise<void> {}
}

test('a SET or DEL that lands while a load is in flight is never undone by it', async (t) => {
  const origin = new SlowOrigin()
  const group = 'user match user:{id} origin http://127.0.0.1:1/{id} ttl 1h wait 1h timeout 1h'
  const { server, clock, connect } = await startInProcess(['--group', group], { loader: origin })
  const clients = [connect(), connect(), connect()]
  let loadsSeen = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const random = new SeededRandom(seed)
    const key = `user:${seed}`
    // The oldest answer that a GET starting now may still give: writes acknowledged before it.
    let newest = 0
    let serial = 0
    const open: Promise<void>[] = []
    /** Version `n` as the writer made it: by SET, or in the origin followed by DEL. */
    const versionOf = (reply: string): number => Number(/(\d+)\r\n$/.exec(reply)?.[1] ?? NaN)
    for (let step = 0; step < stepsPerSeed; step++) {
      const client = random.pick(clients)
      const act = random.below(10)
      if (act < 5) {
        const oldest = newest
        const reading = client.command('GET', key).then((reply) => {
          const version = versionOf(reply)
          if (!(version >= oldest)) {
            t.fail(`seed ${seed}: a GET saw version ${version} after ${oldest}: ${reply}`)
          }
        })
        open.push(reading)
        await clock.settle()
      } else if (act < 7) {
        const version = ++serial
        origin.versions.set(key, version)
        const deleting = client.command(random.below(2) === 0 ? 'DEL' : 'UNLINK', key)
        // Acknowledged at once: a DEL waits for no load. Behind a GET of its own connection that
        // waits, the acknowledgement comes later, but the deed is done now.
        open.push(deleting.then(() => {}))
        await clock.settle()
        newest = version
      } else if (act < 8) {
        const version = ++serial
        origin.versions.set(key, version)
        open.push(client.command('SET', key, `set ${version}`).then(() => {}))
        await clock.settle()
        newest = version
      } else if (origin.underWay > 0) {
        loadsSeen++
        origin.deliver(random.below(origin.underWay))
        await clock.settle()
      }
    }
    while (origin.underWay > 0) {
      origin.deliver(0)
      await clock.settle()
    }
    await Promise.all(open)
    // What is left in the cache is no older than the last write.
    const last = versionOf(await answer(clients[0]!.command('GET', key)))
    t.true(last >= newest, `seed ${seed}: at the end version ${last}, written ${newest}`)
    await clients[0]!.command('DEL', key)
  }
  t.true(loadsSeen > seeds / 10, 'loads were under way')
  t.is(server.loads.inFlight, 0)
  t.is(server.loads.waiting, 0)
  server.shutdown()

  async function answer(reply: Promise<string>): Promise<string> {
    await clock.settle()
    while (origin.underWay > 0) {
      origin.deliver(0)
      await clock.settle()
    }
    return reply
  }
})
