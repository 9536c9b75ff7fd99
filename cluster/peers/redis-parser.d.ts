declare module 'redis-parser' {
  /** A parser of RESP2 replies; the part of its interface that is used here. */
  class RedisParser {
    constructor(options: {
      returnReply: (reply: unknown) => void
      returnError: (error: Error) => void
      returnFatalError: (error: Error) => void
      returnBuffers: boolean
      stringNumbers: boolean
    })
    execute(bytes: Buffer): void
    setStringNumbers(on: boolean): void
  }
  export = RedisParser
}
