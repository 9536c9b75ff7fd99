/** What heartbeats ask of another node beside a sign of life. An older node knows neither question. */
import { incarnationTold } from '../peers/handshake.ts'
import type { PeerPort } from '../peers/peer.ts'
import type { ViewEpoch } from './view-epoch.ts'

const VIEW = [Buffer.from('PEER'), Buffer.from('VIEW')]
const PROBE = [Buffer.from('PEER'), Buffer.from('PROBE')]

/**
 * Asks a node which view it has, and which process it is ('' if it does not say); a node that does not
 * answer is not heard.
 */
export function askView(
  peer: PeerPort,
  timeoutMs: number,
  heard: (told: ViewEpoch, incarnation: string) => void,
): void {
  const request = { deadlineMs: timeoutMs, keyAt: -1, share: false }
  peer.request(VIEW, request, (outcome, value) => {
    if (outcome !== 'reply' || !Array.isArray(value)) return
    const [epoch, view, incarnation] = value as readonly unknown[]
    if (typeof epoch !== 'number' || typeof view !== 'number') return
    heard({ epoch, view }, incarnationTold(incarnation))
  })
}

/** Asks a node whether the node `name` answers it; null: it has not said. */
export function askAbout(
  peer: PeerPort,
  name: string,
  timeoutMs: number,
  done: (answers: boolean | null) => void,
): void {
  const request = { deadlineMs: timeoutMs, keyAt: -1, share: false }
  peer.request([...PROBE, Buffer.from(name)], request, (outcome, value) => {
    done(outcome === 'reply' ? value === 1 : null)
  })
}
