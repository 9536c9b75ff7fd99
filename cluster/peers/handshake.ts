/**
 * How two nodes make sure of each other before a link carries anything. Both know the cluster
 * secret; neither sends it.
 *
 *     caller                                             owner
 *     PEER HELLO 1 <caller> <caller's nonce>   ------>
 *                         <------   [<owner>, <owner's nonce>, HMAC(secret, 'owner' ...), <incarnation>]
 *     PEER AUTH HMAC(secret, 'caller' ...)     ------>
 *                         <------   +OK, and the link is in peer mode
 *
 * Each proof covers the role, the protocol's version, both names and both nonces: it is worth
 * nothing in another conversation, nor sent back to its maker. The owner proves itself first, so
 * whoever can connect can collect a proof and try secrets on it at home: a secret is 20 or more
 * random characters, not a word. Without a secret the key is empty and anybody passes; the
 * configuration then allows loopback addresses only.
 *
 * The owner's *incarnation* is a word that each process makes up when it begins. By it another node
 * knows whether it still speaks to the same process, and not to one that was started anew under its name.
 *
 * These are the pure halves of both sides; the caller's is played by `Link`, the owner's by
 * whoever serves connections.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Random } from '../world.ts'

/** Of handshake and peer mode together. Nodes of different versions do not talk. */
export const PEER_PROTOCOL_VERSION = 1

/** 128 bits: two conversations never share a nonce. */
const NONCE_BYTES = 16

/** 64 bits: of a name no two processes ever share an incarnation. */
export const INCARNATION_BYTES = 8

/** A host name has at most 253 bytes; with brackets and port a name stays below this. */
const NAME_BYTES_MAX = 300

const PROOF_BYTES = 32

/** What both sides know of one conversation when the nonces are exchanged. */
export interface Meeting {
  readonly caller: string
  readonly callerNonce: string
  readonly owner: string
  readonly ownerNonce: string
}

/** Who is proving: each side's proof is useless for the other. */
export type Role = 'owner' | 'caller'

/** A fresh nonce, as hex digits. */
export function challenge(random: Random): string {
  return random.bytes(NONCE_BYTES).toString('hex')
}

/** The word of this process, as hex digits; see the top of the file. */
export function newIncarnation(random: Random): string {
  return random.bytes(INCARNATION_BYTES).toString('hex')
}

/** The proof of knowing the secret: 64 hex digits. */
export function prove(secret: string, role: Role, meeting: Meeting): string {
  const { caller, callerNonce, owner, ownerNonce } = meeting
  const said = [role, PEER_PROTOCOL_VERSION, caller, owner, callerNonce, ownerNonce]
  // JSON keeps the parts apart whatever stands in them.
  return createHmac('sha256', secret).update(JSON.stringify(said)).digest('hex')
}

/** Is this the proof of that role in this meeting? Takes the same time for every wrong one. */
export function verify(secret: string, role: Role, meeting: Meeting, proof: string): boolean {
  const given = Buffer.from(proof, 'hex')
  const wellFormed = given.length === PROOF_BYTES && proof.length === 2 * PROOF_BYTES
  const expected = Buffer.from(prove(secret, role, meeting), 'hex')
  return wellFormed && timingSafeEqual(given, expected)
}

/** The owner's answer to PEER HELLO: what to reply and what to judge PEER AUTH by, or a refusal. */
export type HelloAnswer =
  { readonly reply: readonly string[]; meeting: Meeting } | { readonly refusal: string }

/**
 * The owner's half of PEER HELLO. `words` are the command's arguments behind HELLO. The refusal is
 * an error line; the connection stays an ordinary client's. PEER AUTH is then
 * `verify(secret, 'caller', meeting, proof)`; a meeting is good for one PEER AUTH.
 */
export function answerHello(
  owner: {
    readonly name: string
    readonly secret: string
    readonly random: Random
    readonly incarnation: string
  },
  words: readonly string[],
): HelloAnswer {
  const [version, caller, callerNonce] = words
  if (
    version === undefined ||
    caller === undefined ||
    callerNonce === undefined ||
    words.length > 3
  ) {
    return { refusal: "ERR wrong number of arguments for 'peer|hello' command" }
  }
  if (version !== String(PEER_PROTOCOL_VERSION)) {
    return { refusal: `NOPROTO this node speaks peer protocol ${PEER_PROTOCOL_VERSION} only` }
  }
  if (!isNodeName(caller) || !isNonce(callerNonce)) {
    return { refusal: 'ERR PEER HELLO needs a version, a node name and a nonce in hex' }
  }
  const meeting = { caller, callerNonce, owner: owner.name, ownerNonce: challenge(owner.random) }
  const proof = prove(owner.secret, 'owner', meeting)
  return { reply: [meeting.owner, meeting.ownerNonce, proof, owner.incarnation], meeting }
}

/** Could this be the name of a node? Says nothing about whether it is a member. */
export function isNodeName(text: string): boolean {
  return text.length <= NAME_BYTES_MAX && /^[!-~]+$/.test(text)
}

/** The incarnation of a process as another node has told it; '' for what is none. */
export function incarnationTold(word: unknown): string {
  const isShort = Buffer.isBuffer(word) && word.length === 2 * INCARNATION_BYTES
  const text = isShort ? word.toString('latin1') : ''
  return /^[0-9a-f]+$/.test(text) ? text : ''
}

function isNonce(text: string): boolean {
  return text.length === 2 * NONCE_BYTES && /^[0-9a-f]+$/.test(text)
}
