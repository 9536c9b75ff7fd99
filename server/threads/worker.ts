/**
 * A worker: an I/O thread with its own event loop, around the store that all threads share. hub.ts
 * starts it and tells it what to do. An error that nothing catches ends this thread; the hub hears
 * of it, and ends the process.
 */
import { strict as assert } from 'node:assert'
import { parentPort, workerData } from 'node:worker_threads'
import { SlotStates } from '../../cluster/ownership/slot-states.ts'
import { Stamps } from '../../cluster/hot/stamps.ts'
import { type Config, Settings } from '../config.ts'
import type { Copiers } from '../copies/copying.ts'
import { Databases } from '../databases.ts'
import { Gate } from '../gate.ts'
import { type Delegate, IoThread } from '../io-thread.ts'
import type { CommandCell } from '../stats.ts'
import { listen, type ListenAddress, type Listener, openTaker } from '../clients/listener.ts'
import { createThreadLog } from '../log.ts'
import type { Takers } from '../cluster/handoff.ts'
import { keyKnowledge } from '../memory/maxmemory.ts'
import { Routing } from '../cluster/routing.ts'
import type { Slot } from '../clients/slot.ts'
import { Store } from '../store/store.ts'
import { createSystemWorld } from '../system.ts'
import { Tls, withTls } from '../clients/tls.ts'
import { ThreadMesh } from './mesh.ts'
import { type FromWorker, ownBytes, type ToWorker, type WorkerStart } from './messages.ts'
import { answer } from './questions.ts'
import { RemoteLoads } from './remote-loads.ts'
import { SlowRelay } from './slow-relay.ts'
import { ThreadTrackingLinks } from './tracking-links.ts'

assert(parentPort !== null, 'hub.ts starts this program, in a thread of its own')
const hub = parentPort
const start = workerData as WorkerStart
const tls = start.tls === null ? null : new Tls(start.tls)
const world = withTls(createSystemWorld(start.originMs), tls)
const config = new Settings(start.config) as Config
const log = createThreadLog(start.logLevel, (line) => tell({ kind: 'log', line }))
config.onChange('loglevel', (level) => log.setLevel(level))

function tell(message: FromWorker): void {
  hub.postMessage(message, [])
}

/** Commands that the hub runs, by the number under which their replies come. */
const slots = new Map<number, { readonly slot: Slot; readonly cell: CommandCell | null }>()
let nextSlot = 0

const delegate: Delegate = (client, call, slot, cell) => {
  const { id, address, localAddress, name, peer } = client
  const { db } = call
  const args = call.args.copy().map(ownBytes)
  slots.set(nextSlot, { slot, cell })
  const { isInExec } = client
  const session = { id, address, localAddress, name, peer, db, protocol: slot.protocol, isInExec }
  slowRelay.flush()
  tell({ kind: 'run', id: nextSlot++, session, args })
}

/** The hub has answered. */
function reply(id: number, bytes: Uint8Array): void {
  const { slot, cell } = slots.get(id)!
  slots.delete(id)
  slot.settleBytes(bytes)
  if (cell !== null) thread.count(cell)
}

const flights = new RemoteLoads(world.clock, ({ token, db, key, group }, why) => {
  tell({ kind: 'load', why, token, db, key: ownBytes(key), group: group.name })
})
/** Who waits for the hub to have asked another node for a key, or to have heard one, by number. */
const handing = new Map<number, () => void>()
let nextHanding = 0

const takers: Takers = {
  settle: (key, done) => {
    handing.set(nextHanding, done)
    tell({ kind: 'settle', id: nextHanding++, key: ownBytes(key) })
  },
  sweep: () => tell({ kind: 'sweep' }),
  hear: (name, word, done) => {
    handing.set(nextHanding, done)
    tell({ kind: 'word', id: nextHanding++, name, word })
  },
}

function copy(what: 'keys' | 'all' | 'noted', keys: readonly Buffer[], done: () => void): void {
  handing.set(nextHanding, done)
  tell({ kind: 'copy', id: nextHanding++, what, keys: keys.map(ownBytes) })
}

const copiers: Copiers = {
  copied: (keys, done) => copy('keys', keys, done),
  flushed: (done) => copy('all', [], done),
  noted: (done) => copy('noted', [], done),
}

const slowRelay = new SlowRelay(
  () => config['slowlog-max-len'],
  (commands, skipped) => tell({ kind: 'slow', commands, skipped }),
)
const thread = new IoThread({
  ...{ config, world, log, flights, delegate, takers, fence: start.fence },
  incarnation: start.incarnation,
  ...{ copiers, keptSlots: start.keptSlots },
  ...{ writes: null, stats: start.stats, row: start.row },
  store: new Store({ ...start.store, ...keyKnowledge(config.groups) }),
  gate: new Gate(start.gate),
  slotStates: new SlotStates(start.slotStates),
  databases: new Databases(start.databases),
  stamps: new Stamps(start.stamps),
  ringHash: await Routing.loadHash(),
  sink: {
    slow: (command) => slowRelay.add(command),
    latency: (event, micros, seconds) => tell({ kind: 'latency', event, micros, seconds }),
  },
  tellMonitors: (line) => tell({ kind: 'monitored', line: ownBytes(line) }),
})
ThreadMesh.join(world.clock, thread.pubsub, start.mesh)
ThreadTrackingLinks.join(world.clock, thread.tracking, start.row, start.tracking)
const sockets = {
  tls,
  keepAliveSeconds: () => config['tcp-keepalive'],
  readBuffer: thread.readBuffer,
}
const taker = await openTaker(sockets)
let listeners: Listener[] = []
let drains = false

/** Where sockets are not transferred: the system spreads connections over all workers. Null, or why not. */
async function listenOn(at: ListenAddress): Promise<object | null> {
  try {
    const listener = await listen({
      ...at,
      ...sockets,
      reusePort: true,
      onConnection: (socket) => thread.admit(socket),
      onAcceptError: (error) => thread.reportAcceptError(error),
    })
    listeners.push(listener)
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { code, message, address: at.host, port: at.port }
  }
}

function drain(timeoutMs: number): void {
  drains = true
  for (const listener of listeners) void listener.close()
  listeners = []
  thread.drain(timeoutMs, () => tell({ kind: 'drained' }))
}

hub.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'socket': {
      const socket = taker.take(message.socket)
      // Accepted just before the end.
      if (drains) socket.destroy()
      else thread.admit(socket)
      return
    }
    case 'listen':
      void listenOn(message.at).then((failure) => {
        tell({ kind: 'answer', id: message.id, answer: failure })
      })
      return
    case 'ask': {
      const { id, name, argument } = message
      tell({ kind: 'answer', id, answer: answer(thread, name, argument as never) })
      return
    }
    case 'swap': {
      const { id, swaps, one, two } = message
      tell({ kind: 'answer', id, answer: null })
      thread.databases.waitForSwap(swaps)
      thread.databases.follow(thread.clients.values(), one, two)
      return
    }
    case 'reply':
      reply(message.id, message.bytes)
      return
    case 'config':
      assert(config.set(message.pairs, true) === null, 'all threads take what the hub takes')
      return
    case 'tls':
      tls!.use(message.keys)
      return
    case 'group':
      assert(config.setGroup(message.change) === null, 'all threads take what the hub takes')
      return
    case 'monitored':
      thread.monitors.hear(message.line)
      return
    case 'landed':
      flights.landed(message.token, message.outcome)
      return
    case 'members': {
      const membership = thread.routing.membership!
      membership.update(message.members)
      for (const { name, state, incarnation } of message.members) {
        membership.follow(name, state, incarnation)
      }
      return
    }
    case 'unheard':
      thread.routing.dropLink(message.name)
      return
    case 'vouchers':
      thread.routing.membership!.followVouchers(message.name, message.vouchers)
      return
    case 'epoch':
      thread.routing.membership!.followEpoch(message.epoch)
      return
    case 'member': {
      const { name, state, incarnation } = message
      thread.routing.membership!.follow(name, state, incarnation)
      return
    }
    case 'handed': {
      const done = handing.get(message.id)!
      handing.delete(message.id)
      done()
      return
    }
    case 'slow-heard':
      slowRelay.heard()
      return
    case 'drain':
      drain(message.timeoutMs)
      return
  }
})
tell({ kind: 'ready', adopts: taker.adopts })
