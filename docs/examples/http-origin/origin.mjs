/*
 * A service with some users: what a group can have as its origin.
 *
 *     node docs/examples/http-origin/origin.mjs
 *     curl -X PUT -d '{"name":"Ada Lovelace"}' http://127.0.0.1:3000/users/42
 *
 * It says when it is asked, so that one sees how seldom that is.
 */
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

const port = Number(process.env.PORT ?? 3000)
const users = new Map([
  ['42', '{"name":"Ada"}'],
  ['43', '{"name":"Grace"}'],
])

const server = createServer(async (request, response) => {
  process.stdout.write(`${request.method} ${request.url}\n`)
  const [, folder, id = ''] = (request.url ?? '').split('/', 3).map(decodeURIComponent)
  if (folder !== 'users') return response.writeHead(404).end()
  if (request.method === 'PUT') {
    users.set(id, await text(request))
    return response.writeHead(204).end()
  }
  if (request.method === 'DELETE') {
    users.delete(id)
    return response.writeHead(204).end()
  }
  const user = users.get(id)
  if (user === undefined) return response.writeHead(404).end()
  return response.writeHead(200, { 'content-type': 'application/json' }).end(user)
})

server.listen(port, '127.0.0.1', () => {
  process.stdout.write(`users at http://127.0.0.1:${port}/users/42\n`)
})
