/*
 * Loaded into a server by `--import`: a Node.js of the future, whose sockets refuse what listener.ts
 * does with the undocumented part of them.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import type * as Net from 'node:net'

const net = createRequire(import.meta.url)('node:net') as { Socket: typeof Net.Socket }
const { Socket } = net
net.Socket = class extends Socket {
  constructor(options?: Net.SocketConstructorOpts) {
    if (options !== undefined && 'onread' in options) throw new TypeError('onread is no more')
    super(options)
  }
}
syncBuiltinESMExports()
