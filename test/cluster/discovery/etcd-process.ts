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

  /**
   * From now on nothing is answered without a name and a password. This user's are given, who may read and
   * write what begins so, and nothing else. Not to be undone.
   */
  async askForLogin(name: string, password: string, prefix: string): Promise<void> {
    // etcd wants a root before.
    await this.call('auth/user/add', { name: 'root', password: 'of the test' })
    await this.call('auth/role/add', { name: 'root' })
    await this.call('auth/user/grant', { user: 'root', role: 'root' })
    await this.call('auth/user/add', { name, password })
    await this.call('auth/role/add', { name })
    await this.call('auth/user/grant', { user: name, role: name })
    const last = Buffer.from(prefix)
    last[last.length - 1]!++
    const [key, end] = [Buffer.from(prefix).toString('base64'), last.toString('base64')]
    await this.call('auth/role/grant', {
      name,
      perm: { permType: 'READWRITE', key, range_end: end },
    })
    await this.call('auth/enable', {})
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
      if (typeof answer !== 'object' || answer === null) return false
      const wantsLogin = 'error' in answer && /user name is empty/.test(String(answer.error))
      return 'header' in answer || wantsLogin
    } catch {
      return false
    }
  }
}
