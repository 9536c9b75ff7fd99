import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { createClient } from 'redis'
import { onEachServer } from './site.ts'

declare module 'express-session' {
  interface SessionData {
    visits: number
  }
}

for (const RESP of [2, 3] as const) {
  onEachServer(`connect-redis keeps express's sessions, in RESP${RESP}`, async (t, site) => {
    const client = createClient({ socket: { host: site.host, port: site.port }, RESP })
    await client.connect()
    t.teardown(() => client.destroy())
    const store = new RedisStore({ client, prefix: 'visitor:', scanCount: 2 })
    const withSession = session({
      ...{ store, secret: 'a secret of this test', resave: false, saveUninitialized: false },
      cookie: { maxAge: 60_000 },
    })

    // Its requests and responses have what those of express inherit from Node.js.
    type Handler = Parameters<typeof withSession>
    const web = createServer((request, response) => {
      const visit = request as Handler[0]
      withSession(visit, response as Handler[1], () => {
        if (request.url === '/leave') {
          visit.session.destroy(() => response.end('left'))
          return
        }
        visit.session.visits = (visit.session.visits ?? 0) + 1
        response.end(`visit ${visit.session.visits}`)
      })
    })
    web.listen(0, site.host)
    await once(web, 'listening')
    t.teardown(() => web.close())
    const { port } = web.address() as AddressInfo
    const get = async (path: string, cookie = ''): Promise<{ text: string; cookie: string }> => {
      const headers = { cookie, connection: 'close' }
      const response = await fetch(`http://${site.host}:${port}${path}`, { headers })
      const [given] = (response.headers.get('set-cookie') ?? '').split(';')
      return { text: await response.text(), cookie: given! }
    }

    const { text, cookie } = await get('/')
    t.is(text, 'visit 1')
    t.is((await get('/', cookie)).text, 'visit 2')
    t.is((await get('/')).text, 'visit 1')
    const [, id] = /^connect\.sid=s%3A([^.]+)\./.exec(cookie)!
    const stored = JSON.parse(String(await site.raw.get(`visitor:${id}`))) as session.SessionData
    t.is(stored.visits, 2)
    t.regex(await site.raw.command('TTL', `visitor:${id}`), /^:(60|59)\r\n$/)

    const ids = (await store.ids()) as string[]
    t.is(ids.length, 2)
    t.true(ids.includes(id!))
    t.is(await store.length(), 2)
    const all = (await store.all()) as session.SessionData[]
    t.deepEqual(
      all.map(({ visits }) => visits).sort((a, b) => a - b),
      [1, 2],
    )
    await store.touch(id!, { ...stored, cookie: { originalMaxAge: null } })
    t.regex(await site.raw.command('TTL', `visitor:${id}`), /^:(86400|86399)\r\n$/)

    t.is((await get('/leave', cookie)).text, 'left')
    t.is(await site.raw.command('EXISTS', `visitor:${id}`), ':0\r\n')
    t.is((await get('/', cookie)).text, 'visit 1')
    await store.clear()
    t.is(await site.raw.command('DBSIZE'), ':0\r\n')
  })
}
