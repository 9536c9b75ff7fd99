import { connect } from 'node:net'

/**
 * Everything a server answers to these bytes (one char a byte): they are sent, the sending side is
 * closed, and what comes until the server closes too is the answer. No waiting by the clock: the
 * server answers all it has read before it notices the end.
 */
export function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (part: string) => (answer += part))
    // A server that closes on a protocol error may reset what it has not read; the answer is here.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
    socket.on('close', () => resolve(answer))
    socket.end(Buffer.from(text, 'latin1'))
  })
}
