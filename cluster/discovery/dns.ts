/**
 * Members from DNS: a name whose addresses are those of all nodes, as a headless service of Kubernetes
 * has it, or a compose service with replicas.
 *
 *     ringtier:6379 ──A, AAAA──>  10.0.0.4   10.0.0.7   10.0.0.9     looked up every few seconds
 *                                     |          |          |
 *                                  rt-0:6379  rt-1:6379   this node    asked who they are
 *
 * Addresses come and go with every restart, and a node is its name: so whoever is at an address says it
 * (identify.ts). What has been said is kept for as long as the address is in DNS, also while nobody
 * answers there: whether a node is live the heartbeats find out. An address must be missing from two
 * look-ups in a row before its node is no member any more; and a look-up that fails, or that finds no
 * address at all, changes nothing.
 *
 * A name that begins with `_` is looked up as SRV, which tells host names and ports, and then these.
 */
import {
  type ClusterNode,
  type DialAddress,
  MemberListError,
  parseAddress,
} from '../members/membership.ts'
import type { Clock, Timer } from '../world.ts'
import type { Discovery, DiscoveryEvents } from './discovery.ts'
import { Reports } from './discovery.ts'
import type { Identify } from './identify.ts'

/** DNS as it is handed in. Both reject with the system's error, which has a `code`. */
export interface Resolver {
  /** All IPv4 and IPv6 addresses of a host name. */
  addresses(host: string): Promise<readonly string[]>
  /** Host names and ports of a service. */
  services(name: string): Promise<readonly DialAddress[]>
}

/** What `cluster-dns` says. */
export interface DnsQuery {
  readonly name: string
  /** 0: SRV tells it. */
  readonly port: number
}

/**
 * Reads `name:port`, or for SRV `_service._tcp.name`.
 *
 * @throws MemberListError
 */
export function parseDnsQuery(text: string): DnsQuery {
  if (!text.startsWith('_')) {
    const { host, port } = parseAddress(text, 'cluster-dns')
    return { name: host, port }
  }
  const name = text.toLowerCase()
  if (/^_[a-z0-9-]+\._[a-z0-9-]+\.[a-z0-9._-]+$/.test(name)) return { name, port: 0 }
  throw new MemberListError(`cluster-dns: "${text}" is not _service._tcp.name`)
}

export interface DnsOptions {
  readonly clock: Clock
  readonly resolver: Resolver
  readonly query: DnsQuery
  readonly periodMs: number
  readonly identify: Identify
  /** Does a member answer where it is dialled? */
  readonly isUp: (name: string) => boolean
}

/** A look-up that takes longer has failed. */
const LOOKUP_MS = 5000
/** So long after the start, and while somebody has not said who it is, looks follow each other faster. */
const EARLY_MS = 10_000
const EARLY_PERIOD_MS = 500
/** Who answers is asked again after this long, for its weight may have changed. */
const IDENTITY_MS = 60_000
/** Look-ups in a row. */
const MISSING_MAX = 2
/** More are not looked at. */
const ADDRESSES_MAX = 256

const NOT_THERE: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])

/** What is known of an address. */
interface Place {
  readonly dial: DialAddress
  /** Null: it is this node, or nobody has said who it is. */
  node: ClusterNode | null
  /** 0: nobody has said. */
  saidAt: number
  isSelf: boolean
  /** Nobody said anything when it was last asked. */
  isSilent: boolean
  missing: number
}

/** See the top of the file. */
export class DnsDiscovery implements Discovery {
  readonly #options: DnsOptions
  readonly #events: DiscoveryEvents
  readonly #reports: Reports
  readonly #places = new Map<string, Place>()
  /** At which place each node is dialled. */
  #used = new Map<string, Place>()
  #startedAt = 0
  #timer: Timer | null = null
  #closed = false

  constructor(options: DnsOptions, events: DiscoveryEvents) {
    this.#options = options
    this.#events = events
    this.#reports = new Reports(events.report)
  }

  async start(): Promise<void> {
    this.#startedAt = this.#options.clock.now()
    await this.#look()
  }

  close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    return Promise.resolve()
  }

  async #look(): Promise<void> {
    const { clock, periodMs } = this.#options
    const problem = await this.#round()
    if (this.#closed) return
    this.#reports.say(problem)
    const places = [...this.#places.values()]
    const isEarly = clock.now() < this.#startedAt + EARLY_MS
    const isOpen = places.some(({ saidAt }) => saidAt === 0)
    const waitMs = isEarly || isOpen ? Math.min(EARLY_PERIOD_MS, periodMs) : periodMs
    this.#timer = clock.after(waitMs, () => void this.#look())
  }

  /** One look-up, and what follows. Returns what is wrong, null: nothing. */
  async #round(): Promise<string | null> {
    const { name } = this.#options.query
    let found: readonly DialAddress[]
    try {
      found = await this.#inTime(this.#lookUp())
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return `cluster-dns ${name}: ${code ?? message}: the last list is kept`
    }
    if (this.#closed) return null
    if (found.length === 0) return `cluster-dns ${name}: no address: the last list is kept`
    this.#note(found.slice(0, ADDRESSES_MAX))
    const why = await this.#identifyAll()
    if (!this.#closed) this.#publish()
    if (found.length > ADDRESSES_MAX) {
      return `cluster-dns ${name}: ${found.length} addresses, of which ${ADDRESSES_MAX} are looked at`
    }
    return why
  }

  async #lookUp(): Promise<readonly DialAddress[]> {
    const { query, resolver } = this.#options
    const { name, port } = query
    if (!name.startsWith('_')) {
      const hosts = await resolver.addresses(name)
      return hosts.map((host) => ({ host, port }))
    }
    const services = await resolver.services(name)
    const found = await Promise.all(
      services.slice(0, ADDRESSES_MAX).map(async (service) => {
        try {
          const hosts = await resolver.addresses(service.host)
          return hosts.map((host) => ({ host, port: service.port }))
        } catch (error) {
          // This one has just gone; anything else says nothing about who is there.
          if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return []
          throw error
        }
      }),
    )
    return found.flat()
  }

  #inTime<T>(looking: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const patience = this.#options.clock.after(LOOKUP_MS, () => {
        reject(new Error(`no answer within ${LOOKUP_MS} ms`))
      })
      looking.then(resolve, reject).finally(() => patience.cancel())
    })
  }

  /** Who is in DNS, and who is no more. */
  #note(found: readonly DialAddress[]): void {
    for (const place of this.#places.values()) place.missing++
    for (const dial of found) {
      const key = `${dial.host} ${dial.port}`
      const place = this.#places.get(key)
      if (place !== undefined) place.missing = 0
      else this.#places.set(key, newPlace(dial))
    }
    for (const [key, { missing }] of this.#places) {
      if (missing >= MISSING_MAX) this.#places.delete(key)
    }
  }

  /** Asks all that have not said who they are, or not lately. Returns what one of them was wrong with. */
  async #identifyAll(): Promise<string | null> {
    const { clock, identify } = this.#options
    const now = clock.now()
    const problems: string[] = []
    await Promise.all(
      [...this.#places.values()].map(async (place) => {
        if (place.missing > 0 || this.#isSure(place, now)) return
        const answer = await identify(place.dial)
        place.isSilent = answer.kind === 'nobody'
        if (answer.kind === 'nobody') {
          const { host, port } = place.dial
          // One that has said it once is a member that does not answer: heartbeats tell of it.
          if (place.saidAt === 0) problems.push(`${host} port ${port}: ${answer.why}`)
          return
        }
        place.saidAt = clock.now()
        place.isSelf = answer.kind === 'self'
        place.node = answer.kind === 'node' ? answer.node : null
      }),
    )
    if (problems.length === 0) return null
    return `cluster-dns: nobody says who is at ${problems.sort()[0]!}`
  }

  #isSure(place: Place, now: number): boolean {
    if (place.saidAt === 0 || now >= place.saidAt + IDENTITY_MS) return false
    if (place.node === null) return place.isSelf
    const { name } = place.node
    return this.#used.get(name) !== place || this.#options.isUp(name)
  }

  #publish(): void {
    const used = new Map<string, Place>()
    for (const place of this.#places.values()) {
      const name = place.node?.name
      if (name === undefined) continue
      const other = used.get(name)
      if (other === undefined || this.#isBetter(name, place, other)) used.set(name, place)
    }
    this.#used = used
    this.#events.found([...used.values()].map(({ node }) => node!))
  }

  /** A node may have several addresses, and an old one may still be in DNS. */
  #isBetter(name: string, place: Place, than: Place): boolean {
    const current = this.#used.get(name)
    if ((place === current || than === current) && this.#options.isUp(name)) {
      return place === current
    }
    if (place.isSilent !== than.isSilent) return than.isSilent
    return place.saidAt > than.saidAt
  }
}

function newPlace(dial: DialAddress): Place {
  return { dial, node: null, saidAt: 0, isSelf: false, isSilent: false, missing: 0 }
}
