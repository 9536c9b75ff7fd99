/*
 * A network of its own for the nodes of a test: each has a network namespace, and a cable (a veth pair) to
 * a bridge in one more namespace, the hub. Nothing of it is seen on the machine's own network.
 *
 *     test ── Unix sockets ──> gate ─┐ 10.77.0.254
 *                                    hub: bridge ── cable ── 10.77.0.1  node 0
 *                                                └─ cable ── 10.77.0.2  node 1 ...
 *
 * The gate (gate.ts) is a process in the hub that carries the test's connections to nodes, and the nodes'
 * to what the test has for them: an origin, a name server. It is no node, so no cut concerns it.
 *
 * Packets are lost by a wrong address in the sender's table of neighbours: they leave it, and nobody takes
 * them. So one direction is cut alone, nothing is closed or refused, and what was sent meanwhile is sent again
 * when the network heals, late, as in a real one. All that needs is iproute2, and to be root.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { available, type Site } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import type { Way } from './gate.ts'

/** Every node listens there. */
export const NODE_PORT = 6379

/** The hub's own address. */
export const HUB = '10.77.0.254'

/** Nobody has this address. */
const NOBODY = '02:00:00:00:00:fe'

/** What all names begin with; the process that made them follows, and ends with them. */
const PREFIX = 'rtest-'

const GATE = fileURLToPath(new URL(`./gate${extname(import.meta.url)}`, import.meta.url))

const execute = promisify(execFile)

/** Several commands in one namespace; null: where the test runs. */
function ipBatch(namespace: string | null, commands: readonly string[], force = false): void {
  const where = namespace === null ? [] : ['-n', namespace]
  execFileSync('ip', [...where, ...(force ? ['-force'] : []), '-batch', '-'], {
    input: commands.join('\n'),
    stdio: ['pipe', 'ignore', force ? 'ignore' : 'pipe'],
  })
}

/** Why there can be none here, as where the test is not root's; null: there can. On CI ip must be there. */
export function whyNoNamespaces(): string | null {
  if (!available('ip')) return 'ip is not installed'
  const name = `${PREFIX}${process.pid}-try`
  try {
    ipBatch(null, [`netns add ${name}`])
    ipBatch(name, ['link add cable type veth peer name wire', 'link add hub type bridge'])
    return null
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr).split('\n')[0]!
  } finally {
    remove([name])
  }
}

function remove(names: readonly string[]): void {
  try {
    ipBatch(
      null,
      names.map((name) => `netns delete ${name}`),
      true,
    )
  } catch {
    // One of them was not there.
  }
}

/** Tests that were killed have left theirs. */
function removeLeftovers(): void {
  const lines = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n')
  const left = lines
    .map((line) => line.split(' ')[0]!)
    .filter((name) => {
      const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
      return pid !== undefined && !existsSync(`/proc/${pid}`)
    })
  if (left.length > 0) remove(left)
}

let networks = 0

/** See the top of the file. Nodes are known by their places, from 0. */
export class Namespaces {
  /** The nodes' addresses. */
  readonly hosts: readonly string[]
  readonly #names: readonly string[]
  readonly #hub: string
  readonly #folder: string
  readonly #gate: ChildProcess
  /** From a place to a host. */
  readonly #cuts = new Map<string, [from: number, host: string]>()
  readonly #onExit = (): void => remove([this.#hub, ...this.#names])

  private constructor(count: number, ports: readonly number[]) {
    removeLeftovers()
    const prefix = `${PREFIX}${process.pid}-${networks++}-`
    const places = Array.from({ length: count }, (_, i) => i)
    this.#hub = `${prefix}hub`
    this.#names = places.map((i) => `${prefix}${i}`)
    this.hosts = places.map((i) => `10.77.0.${i + 1}`)
    process.once('exit', this.#onExit)
    this.#lay()
    this.#folder = mkdtempSync(join(tmpdir(), 'ringtier-net-'))
    const waysIn = this.hosts.map((host, i): Way => {
      return { from: { path: this.pathTo(i) }, to: { host, port: NODE_PORT } }
    })
    const waysOut = ports.map((port): Way => {
      return { from: { host: HUB, port }, to: { path: this.pathFrom(port) } }
    })
    const ways = JSON.stringify([...waysIn, ...waysOut])
    this.#gate = spawn('ip', [...this.inHub.slice(1), process.execPath, GATE, ways], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  }

  /** `ports`: of the hub, at which nodes reach what the test has at `pathFrom`. */
  static async open(count: number, ports: readonly number[] = []): Promise<Namespaces> {
    const network = new Namespaces(count, ports)
    await new Promise<void>((resolve, reject) => {
      network.#gate.stdout!.once('data', () => resolve())
      network.#gate.once('close', () => reject(new Error('the gate does not open')))
    })
    return network
  }

  #lay(): void {
    const all = [this.#hub, ...this.#names]
    ipBatch(
      null,
      all.map((name) => `netns add ${name}`),
    )
    const bridge = ['link add hub type bridge', `address add ${HUB}/24 dev hub`, 'link set hub up']
    const cables = this.#names.flatMap((name, i) => [
      `link add n${i} type veth peer name wire netns ${name}`,
      `link set n${i} master hub`,
      `link set n${i} up`,
    ])
    ipBatch(this.#hub, [...bridge, ...cables])
    for (const [i, name] of this.#names.entries()) {
      const address = `address add ${this.hosts[i]!}/24 dev wire`
      ipBatch(name, ['link set lo up', address, 'link set wire up'])
    }
  }

  /** The words before a command that is to run in the hub. */
  get inHub(): string[] {
    return ['ip', 'netns', 'exec', this.#hub]
  }

  /** Where a node runs. */
  site(place: number): Site {
    return { words: ['ip', 'netns', 'exec', this.#names[place]!], path: this.pathTo(place) }
  }

  /** The Unix socket at which the gate takes connections to a node. */
  pathTo(place: number): string {
    return join(this.#folder, `${place}.sock`)
  }

  /** Where the test has what is reached at this port of the hub. */
  pathFrom(port: number): string {
    return join(this.#folder, `port-${port}.sock`)
  }

  async client(place: number): Promise<RawClient> {
    const socket = connect(this.pathTo(place))
    await new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', resolve)
    })
    return RawClient.over(socket)
  }

  /** From now on no packet gets from the one to the other. */
  async cut(from: number, to: number): Promise<void> {
    const host = this.hosts[to]!
    this.#cuts.set(`${from} ${to}`, [from, host])
    await execute('ip', [
      ...['-n', this.#names[from]!, 'neighbour', 'replace', host, 'lladdr', NOBODY],
      ...['nud', 'permanent', 'dev', 'wire'],
    ])
  }

  async heal(): Promise<void> {
    const cuts = [...this.#cuts.values()]
    this.#cuts.clear()
    await Promise.all(
      cuts.map(([from, host]) =>
        execute('ip', ['-n', this.#names[from]!, 'neighbour', 'delete', host, 'dev', 'wire']),
      ),
    )
  }

  /** What runs there has to be ended before. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#gate.once('close', resolve))
    if (this.#gate.exitCode === null) {
      this.#gate.kill()
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
    process.removeListener('exit', this.#onExit)
    this.#onExit()
  }
}
