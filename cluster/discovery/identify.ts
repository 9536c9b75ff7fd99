/**
 * Who is at an address? A look-up in DNS gives addresses, and a node is its name. So each address is
 * dialled once: the handshake proves that a node of this cluster is there, and it says its name and
 * weight.
 */
import { FrameWriter } from '../peers/frame.ts'
import { Link, LINK_DROPPED, LINK_SELF, LinkError } from '../peers/link.ts'
import type { LinkIdentity } from '../peers/link.ts'
import {
  type ClusterNode,
  type DialAddress,
  MemberListError,
  parseNode,
} from '../members/membership.ts'
import { PeerError, Replies } from '../peers/replies.ts'
import type { PeerValue } from '../peers/replies.ts'
import type { World } from '../world.ts'

/** Whoever has not said by then who it is is asked again with the next look-up. */
const IDENTIFY_MS = 1000

const WORDS = [Buffer.from('PEER'), Buffer.from('SELF')]
const BYTES = 256
const SAID = new LinkError(LINK_DROPPED, 'it has said who it is')
const LIMITS = { bytesMax: 4096, depthMax: 1 }

/** Who is there: another node, this one, or nobody who says so, and why. */
export type Identified =
  | { readonly kind: 'node'; readonly node: ClusterNode }
  | { readonly kind: 'self' }
  | { readonly kind: 'nobody'; readonly why: string }

export type Identify = (address: DialAddress) => Promise<Identified>

/** Asks over links of this node. */
export function identifier(world: World, identity: LinkIdentity): Identify {
  return (address) =>
    new Promise((resolve) => {
      const patience = world.clock.after(IDENTIFY_MS, () => end('does not say who it is'))
      const end = (answer: Identified | string): void => {
        patience.cancel()
        resolve(typeof answer === 'string' ? { kind: 'nobody', why: answer } : answer)
        link.end(SAID)
      }
      const values = new Replies(LIMITS, (value) => end(answerOf(link.owner, value, address)))
      const link = new Link(world, { ...address, name: null }, identity, LIMITS, {
        ready: () => {
          const writer = new FrameWriter(BYTES)
          writer.add({ id: 1, args: WORDS, protocol: 2 }, IDENTIFY_MS, 0)
          link.write(writer.take())
        },
        id: () => {},
        reply: (bytes) => void values.feed(bytes),
        heard: () => {},
        drained: () => {},
        ended: (reason) => {
          if (reason !== SAID) end(reason.code === LINK_SELF ? { kind: 'self' } : reason.message)
        },
      })
    })
}

function answerOf(name: string, value: PeerValue, dial: DialAddress): Identified | string {
  // A node that does not know the question has a weight of 1.
  const text = value instanceof PeerError ? name : Buffer.isBuffer(value) ? String(value) : ''
  try {
    const node = parseNode(text, 'PEER SELF')
    if (node.name !== name) return `calls itself ${name} and ${node.name}`
    return { kind: 'node', node: { ...node, dial } }
  } catch (error) {
    if (error instanceof MemberListError) return error.message
    throw error
  }
}
