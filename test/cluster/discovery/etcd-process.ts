import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../process.ts'

const START_MS = 30_000

/** A real etcd on a free port of 127.0.0.1, with its data in a temporary folder. */
export class Etcd {
  readonly url: string
  readonly #peerUrl: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'ringtier-etcd-'))
  #child: ChildProcess | null = null

  private constructor(port: number, peerPort: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#peerUrl = `http://127.0.0.1:${peerPort}`
  }

  static async start(): Promise<Etcd> {
    const etcd = new Etcd(await freePort(), await freePort())
    await etcd.begin()
    return etcd
  }

  /** Starts it, again perhaps; without its data where `empty` says so. */
  async begin({ empty = false } = {}): Promise<void> {
    if (empty) rmSync(this.#folder, { recursive: true, force: true })
    const peer = this.#peerUrl
    const child = spawn(
      'etcd',
      [
        ...['--data-dir', join(this.#folder, 'data'), '--logger', 'zap'],
        ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', `default=${peer}`],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let output = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    child.once('close', () => process.removeListener('exit', kill))
    this.#child = child
    const deadline = Date.now() + START_MS
    while (!(await this.#answers())) {
      if (Date.now() > deadline || child.exitCode !== null) {
        kill()
        throw new Error(`etcd does not start. Its output:\n${output}`)
      }
      await delay(20)
    }
  }

  /** Ends it at once; `begin` may follow. */
  async crash(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const closed = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await closed
  }

  async stop(): Promise<void> {
    await this.crash()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A call of the JSON gateway. */
  async call(path: string, body: object): Promise<unknown> {
    const response = await fetch(`${this.url}/v3/${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    return response.json()
  }

  async #answers(): Promise<boolean> {
    try {
      const key = Buffer.from('x').toString('base64')
      const answer = await this.call('kv/range', { key })
      return typeof answer === 'object' && answer !== null && 'header' in answer
    } catch {
      return false
    }
  }
}
