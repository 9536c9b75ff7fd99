import { Duplex } from 'node:stream'
import type { Network } from '../../cluster/world.ts'

/**
 * Connections within this process. Who listens is told of each connection with its end of it; a
 * port nobody listens on refuses; one that hangs never says anything, like a host that is gone.
 */
export class LocalNetwork implements Network {
  readonly #listeners = new Map<string, (stream: LocalStream) => void>()
  readonly #hanging = new Set<string>()
  /** The callers' ends of all connections, in order. */
  readonly dialled: LocalStream[] = []

  listen(name: string, accept: (stream: LocalStream) => void): void {
    this.#listeners.set(name, accept)
    this.#hanging.delete(name)
  }

  /** From now on connections to this name are refused. */
  refuse(name: string): void {
    this.#listeners.delete(name)
    this.#hanging.delete(name)
  }

  /** From now on connections to this name neither come about nor fail. */
  hang(name: string): void {
    this.#hanging.add(name)
  }

  connect(address: { readonly host: string; readonly port: number }): Duplex {
    const name = `${address.host}:${address.port}`
    const [near, far] = LocalStream.pair()
    this.dialled.push(near)
    if (this.#hanging.has(name)) return near
    setImmediate(() => {
      if (near.destroyed) return
      const accept = this.#listeners.get(name)
      if (accept === undefined) {
        near.destroy(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
        return
      }
      accept(far)
      near.emit('connect')
    })
    return near
  }
}

/** One end of a connection in memory. */
export class LocalStream extends Duplex {
  #other: LocalStream | null = null
  #stalled: (() => void)[] | null = null
  #taken: (() => void) | null = null

  static pair(): [LocalStream, LocalStream] {
    const [near, far] = [new LocalStream(), new LocalStream()]
    near.#other = far
    far.#other = near
    return [near, far]
  }

  /** What is written here from now on stays here, as with a reader that does not read. */
  stall(): void {
    this.#stalled ??= []
  }

  /** Lets go what was held, in order. */
  flow(): void {
    const held = this.#stalled ?? []
    this.#stalled = null
    for (const deliver of held) deliver()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const bytes = Buffer.from(chunk)
    const deliver = (): void => {
      const other = this.#other!
      if (other.destroyed || other.push(bytes)) done()
      else other.#taken = done
    }
    if (this.#stalled === null) deliver()
    else this.#stalled.push(deliver)
  }

  override _read(): void {
    const taken = this.#taken
    this.#taken = null
    taken?.()
  }

  override _final(done: () => void): void {
    this.#other!.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.#other!
    setImmediate(() => other.destroy())
    done(error)
  }
}
