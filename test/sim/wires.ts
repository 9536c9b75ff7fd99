/*
 * The network of a simulated cluster: TCP as its ends see it.
 *
 * Bytes arrive whole, once and in order, or not at all. What the network can do to them is to keep
 * them: while the way from one host to another is cut, or a connection stalls, they wait, and go on
 * when it heals, also those of a connection that its end has closed meanwhile; but not of one that was reset. A
 * host that is frozen has a kernel that takes them all the same. A host that died
 * resets its connections, or says nothing more, like one whose cable was pulled.
 *
 * A direction of a connection is a `Way`. All that happens on ways goes into the trace.
 */
import type { Duplex } from 'node:stream'
import { EventEmitter } from 'node:events'
import type { Network } from '../../cluster/world.ts'
import type { SeededRandom } from './random.ts'
import type { Host, Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** How long the connection attempts last that nobody answers. */
const CONNECT_MS_MAX = 20_000

/** After a cut heals, what was kept is sent again within this time. */
const RESEND_MS_MAX = 200

/** One direction between two hosts. */
export interface Lane {
  delayMs: number
  jitterMs: number
  isCut: boolean
}

/** What is on its way: bytes, or the end of the stream, with an error or without. */
type Item = Buffer | 'end' | 'reset'

/** An item and its place in the order of its way. */
interface Sent {
  readonly item: Item
  readonly place: number
}

export class Wires {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly trace: Trace
  readonly #lanes = new Map<string, Lane>()
  readonly #listeners = new Map<string, { host: Host; accept: (stream: WireStream) => void }>()
  readonly #refusing = new Set<string>()
  readonly #streams = new Set<WireStream>()
  /** Those that are closed, and have something left that did not get through. */
  readonly #lingering = new Set<WireStream>()
  /** 0 to 1: connection attempts that reach the other side twice. */
  doubled = 0
  #serial = 0

  constructor(scheduler: Scheduler, random: SeededRandom, trace: Trace) {
    this.#scheduler = scheduler
    this.#random = random
    this.trace = trace
  }

  get scheduler(): Scheduler {
    return this.#scheduler
  }

  /** Connections of these ends that stand, or are being made. */
  get streams(): ReadonlySet<WireStream> {
    return this.#streams
  }

  listen(host: Host, accept: (stream: WireStream) => void): void {
    this.#listeners.set(host.name, { host, accept })
    this.#refusing.delete(host.name)
  }

  /** Nobody listens there any more; the machine refuses, or is gone as well and says nothing. */
  vanish(name: string, silently: boolean): void {
    this.#listeners.delete(name)
    if (!silently) this.#refusing.add(name)
  }

  lane(from: string, to: string): Lane {
    const name = `${from}>${to}`
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = { delayMs: 0.2, jitterMs: 0, isCut: false }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  /** Nothing gets from the one to the other until `heal`. */
  cut(from: string, to: string): void {
    this.lane(from, to).isCut = true
  }

  heal(from: string, to: string): void {
    this.lane(from, to).isCut = false
    for (const stream of [...this.#streams, ...this.#lingering]) {
      if (stream.host.name === from && stream.farName === to) stream.resend()
    }
  }

  /** The way of an item, for as long as it takes. */
  delay({ delayMs, jitterMs }: Lane): number {
    return delayMs + (jitterMs * this.#random.below(1000)) / 1000
  }

  resendDelay(): number {
    return this.#random.below(RESEND_MS_MAX)
  }

  /** As one host sees it. */
  networkOf(host: Host): Network {
    return {
      connect: ({ host: name, port }) => this.connect(host, `${name}:${port}`) as unknown as Duplex,
    }
  }

  /** Opens a connection from a host to whoever has the name. */
  connect(host: Host, name: string): WireStream {
    const near = new WireStream(this, host, name, ++this.#serial)
    this.#streams.add(near)
    this.#attempt(near, false)
    if (this.#random.below(1000) < this.doubled * 1000) this.#attempt(near, true)
    return near
  }

  #attempt(near: WireStream, isGhost: boolean): void {
    const { host, farName } = near
    const scheduler = this.#scheduler
    const giveUpAt = scheduler.now + CONNECT_MS_MAX
    const [there, back] = [this.lane(host.name, farName), this.lane(farName, host.name)]
    const arrive = (): void => {
      const listener = this.#listeners.get(farName)
      const isCut = there.isCut || back.isCut
      if (near.destroyed) return
      const backAt = scheduler.now + this.delay(back)
      if (!isCut && this.#refusing.has(farName)) {
        scheduler.at(backAt, host, () => near.takeIn('reset'), true)
        return
      }
      if (isCut || listener === undefined) {
        // The kernel asks again, for a while.
        if (scheduler.now < giveUpAt) scheduler.at(scheduler.now + 1000, null, arrive)
        return
      }
      const far = new WireStream(this, listener.host, host.name, near.serial)
      this.#streams.add(far)
      if (!isGhost) near.join(far)
      this.trace.note('accept', host.name, farName, isGhost ? 1 : 0)
      // The kernel has it; the process learns of it when it runs.
      scheduler.at(scheduler.now, listener.host, () => listener.accept(far), true)
      // Of a doubled attempt the second is nobody's, and ends.
      if (isGhost) scheduler.at(scheduler.now + 500, listener.host, () => far.takeIn('reset'), true)
      if (!isGhost) scheduler.at(backAt, host, () => near.opened(), true)
    }
    scheduler.at(scheduler.now + this.delay(there), null, arrive)
  }

  /** A process is gone. `silently`: so is its machine, nothing is heard of it. */
  crash(host: Host, silently: boolean): void {
    this.vanish(host.name, silently)
    for (const stream of this.#streams) {
      if (stream.host !== host) continue
      stream.destroyed = true
      this.#streams.delete(stream)
      if (!silently) stream.send('reset')
    }
    for (const stream of this.#lingering) if (stream.host === host) this.#lingering.delete(stream)
  }

  /** A host of this name is back: it knows nothing of the connections that its forerunner had. */
  reappear(name: string): void {
    for (const stream of this.#streams) {
      if (stream.farName !== name || stream.farIsAlive || stream.isConnecting) continue
      const at = this.#scheduler.now + this.resendDelay()
      this.#scheduler.at(at, stream.host, () => stream.takeIn('reset'), true)
    }
  }

  forget(stream: WireStream): void {
    this.#streams.delete(stream)
  }

  /** Has a closed connection something left? */
  linger(stream: WireStream, lingers: boolean): void {
    if (lingers) this.#lingering.add(stream)
    else this.#lingering.delete(stream)
  }
}

/** One end of a connection. It has what product code uses of a Duplex, and no events but those. */
export class WireStream extends EventEmitter {
  readonly host: Host
  readonly farName: string
  readonly serial: number
  readonly writableLength = 0
  readonly #wires: Wires
  /** The way out. */
  readonly #lane: Lane
  destroyed = false
  #isAborted = false
  #far: WireStream | null = null
  #isEnded = false
  /** What waits for the way to be free, or the connection to stand. */
  #kept: Sent[] = []
  #stalledUntil = 0
  #sent = 0
  #lastAt = 0
  /** What arrived before what was sent before it, by its place. */
  readonly #early = new Map<number, Item>()
  #nextPlace = 0
  /** What came while nobody read. */
  #paused: Item[] | null = null

  constructor(wires: Wires, host: Host, farName: string, serial: number) {
    super()
    this.#wires = wires
    this.#lane = wires.lane(host.name, farName)
    this.host = host
    this.farName = farName
    this.serial = serial
  }

  get isConnecting(): boolean {
    return this.#far === null
  }

  get farIsAlive(): boolean {
    return this.#far !== null && this.#far.host.fate !== 'dead'
  }

  join(far: WireStream): void {
    this.#far = far
    far.#far = this
  }

  opened(): void {
    if (!this.destroyed) this.emit('connect')
  }

  write(bytes: Uint8Array, done?: () => void): boolean {
    if (!this.destroyed) {
      if (bytes.length > 0) {
        this.send(Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length))
      }
      if (done !== undefined) this.host.clock.soon(done)
    }
    return true
  }

  cork(): void {}
  uncork(): void {}

  end(): void {
    if (this.#isEnded || this.destroyed) return
    this.#isEnded = true
    this.send('end')
  }

  destroy(): void {
    if (this.destroyed) return
    this.#leave(this.#isEnded ? null : 'end')
  }

  /** What has not arrived never does; that it is reset the other side hears, if only when the way is free again. */
  abort(): void {
    if (this.destroyed) return
    this.#isAborted = true
    this.#kept = []
    this.#leave('reset')
  }

  #leave(word: 'end' | 'reset' | null): void {
    this.destroyed = true
    if (word !== null) this.send(word)
    this.#wires.forget(this)
    if (this.#kept.length > 0) this.#wires.linger(this, true)
    this.host.clock.soon(() => this.emit('close'))
  }

  pause(): void {
    this.#paused ??= []
  }

  resume(): void {
    const kept = this.#paused
    if (kept === null) return
    this.#paused = null
    this.host.clock.soon(() => {
      for (const item of kept) this.takeIn(item)
    })
  }

  /** Nothing of this end gets through for so long; then all that was kept does, or a reset. */
  stall(forMs: number, thenReset: boolean): void {
    const { scheduler } = this.#wires
    this.#stalledUntil = scheduler.now + forMs
    scheduler.at(this.#stalledUntil, null, () => {
      if (!thenReset) return this.resend()
      if (this.destroyed) return
      this.#kept.length = 0
      this.send('reset')
      scheduler.at(scheduler.now, this.host, () => this.takeIn('reset'), true)
    })
  }

  /** The way is free again. */
  resend(): void {
    const kept = this.#kept
    if (kept.length === 0) return
    this.#kept = []
    this.#wires.linger(this, false)
    const at = this.#wires.scheduler.now + this.#wires.resendDelay()
    for (const sent of kept) this.#put(sent, at)
  }

  send(item: Item): void {
    const { scheduler } = this.#wires
    const at = scheduler.now + this.#wires.delay(this.#lane)
    this.#lastAt = Math.max(at, this.#lastAt)
    this.#put({ item, place: this.#sent++ }, this.#lastAt)
  }

  #put(sent: Sent, at: number): void {
    const far = this.#far
    // Of a connection that does not stand yet nothing is known over there.
    if (far === null) return
    if (this.#isKept()) {
      this.#keep(sent)
      return
    }
    this.#wires.scheduler.at(at, null, () => {
      // It was lost on the way, and waits to be sent again.
      if (this.#isKept()) this.#keep(sent)
      else far.#arrive(sent)
    })
  }

  #keep(sent: Sent): void {
    if (this.#isAborted && sent.item !== 'reset') return
    this.#kept.push(sent)
    if (this.destroyed && this.host.fate !== 'dead') this.#wires.linger(this, true)
  }

  /** In the kernel of this host: in order, and at once where its process runs. */
  #arrive({ item, place }: Sent): void {
    if (this.host.fate === 'dead') return
    if (item === 'reset') return this.#hand(item)
    this.#early.set(place, item)
    for (;;) {
      const next = this.#early.get(this.#nextPlace)
      if (next === undefined) return
      this.#early.delete(this.#nextPlace++)
      this.#hand(next)
    }
  }

  #hand(item: Item): void {
    const { scheduler, trace } = this.#wires
    if (typeof item === 'string') trace.note(item, this.farName, this.host.name, this.serial)
    else trace.bytes(this.farName, this.host.name, item)
    if (this.host.fate === 'up') this.takeIn(item)
    else scheduler.at(scheduler.now, this.host, () => this.takeIn(item), true)
  }

  #isKept(): boolean {
    return this.#lane.isCut || this.#wires.scheduler.now < this.#stalledUntil
  }

  /** Something arrived. */
  takeIn(item: Item): void {
    if (this.destroyed) return
    if (this.#paused !== null && item !== 'reset') {
      this.#paused.push(item)
    } else if (typeof item !== 'string') {
      this.emit('data', item)
    } else if (item === 'end') {
      this.emit('end')
    } else {
      this.destroyed = true
      this.#wires.forget(this)
      this.emit('error', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
      this.emit('close')
    }
  }
}
