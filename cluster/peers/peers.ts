/**
 * The other nodes as this thread speaks to them, in step with the list of members: who joins gets a
 * Peer, who is dialled elsewhere a new one, and who leaves loses it when what is under way has had its
 * time.
 */
import { HUNT_MS } from '../routes/hunt.ts'
import type { LinkError } from './link.ts'
import type { ClusterNode, ListChange } from '../members/membership.ts'
import { Peer } from './peer.ts'
import type { PeerOptions, PeerPort } from './peer.ts'
import type { Timer, World } from '../world.ts'

/** Stands for a node that is no member any more. */
const GONE: PeerPort = { request: (_args, _request, done) => done('unreachable', null, false) }

export interface PeersOptions extends Omit<PeerOptions, 'onLinkReady' | 'onLinkEnd'> {
  /** Hears which process of that name is at the other end of a new link: its incarnation, or ''. */
  readonly onLinkReady: (name: string, incarnation: string) => void
  /** Hears why a link to the node of this name ended, or never came to be. */
  readonly onLinkEnd: (name: string, reason: LinkError) => void
}

/** See the top of the file. */
export class Peers {
  readonly #world: World
  readonly #options: PeersOptions
  readonly #byName = new Map<string, Peer>()
  readonly #retired = new Map<Peer, Timer>()

  constructor(world: World, nodes: readonly ClusterNode[], options: PeersOptions) {
    this.#world = world
    this.#options = options
    for (const node of nodes) this.#add(node)
  }

  /** Those of the members, by name. It changes in place. */
  get all(): ReadonlyMap<string, Peer> {
    return this.#byName
  }

  /** For a name that is no member one whom nobody reaches. */
  get(name: string): PeerPort {
    return this.#byName.get(name) ?? GONE
  }

  /** The list of members has changed. */
  follow({ added, moved, removed }: ListChange): void {
    for (const { name } of [...removed, ...moved]) this.#retire(name)
    for (const node of [...added, ...moved]) this.#add(node)
  }

  close(): void {
    for (const [peer, timer] of this.#retired) {
      timer.cancel()
      peer.close()
    }
    this.#retired.clear()
    for (const peer of this.#byName.values()) peer.close()
  }

  #add({ name, dial }: ClusterNode): void {
    const { onLinkReady, onLinkEnd, self } = this.#options
    if (name === self) return
    const options = {
      ...this.#options,
      onLinkReady: (incarnation: string) => onLinkReady(name, incarnation),
      onLinkEnd: (why: LinkError) => onLinkEnd(name, why),
    }
    this.#byName.set(name, new Peer(this.#world, { name, ...dial }, options))
  }

  #retire(name: string): void {
    const peer = this.#byName.get(name)!
    this.#byName.delete(name)
    const timer = this.#world.clock.after(HUNT_MS, () => {
      this.#retired.delete(peer)
      peer.close()
    })
    this.#retired.set(peer, timer)
  }
}
