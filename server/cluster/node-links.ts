import type { IoThread } from '../io-thread.ts'

/** A connection of one thread with another node, as CLUSTER LINKS tells of it. Plain data. */
export interface NodeLink {
  /** `to`: opened here, for what this node asks; `from`: opened there, for what it is asked. */
  readonly direction: 'to' | 'from'
  /** The other node's name. */
  readonly node: string
  /** On the clock's scale. */
  readonly createdAt: number
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number
}

/** Those that stand now. */
export function linksOf({ clients, routing }: IoThread): NodeLink[] {
  const links: NodeLink[] = []
  for (const [node, { linkedAt: createdAt, waitingBytes }] of routing.peers) {
    if (createdAt !== null) links.push({ direction: 'to', node, createdAt, waitingBytes })
  }
  for (const { createdAt, peer: node, outputBytes: waitingBytes } of clients.values()) {
    if (node !== null) links.push({ direction: 'from', node, createdAt, waitingBytes })
  }
  return links
}
