/** An echo server, run by listener.test.ts in a process with few file descriptors. */
import { listen } from '../../../server/clients/listener.ts'

const readBuffer = new Uint8Array(65536)
const listener = await listen({
  host: '127.0.0.1',
  port: 0,
  backlog: 511,
  keepAliveSeconds: () => 0,
  readBuffer,
  onAcceptError: () => {},
  onConnection: (socket) =>
    socket.attach({
      onBytes: (length) => socket.write(readBuffer.slice(0, length)),
      onEnd: () => socket.end(),
      onClose: () => {},
    }),
})
console.log(String(listener.port))
