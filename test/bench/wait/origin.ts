/* An HTTP origin in a process of its own, that takes its time: argument 1 in ms. Its port is sent. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const delayMs = Number(process.argv[2])
const server = createServer((request, response) => {
  setTimeout(() => response.end(`value of ${request.url}`), delayMs)
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
