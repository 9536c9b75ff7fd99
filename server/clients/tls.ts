/**
 * TLS between nodes: the files that the `tls-*` directives name, read and checked, and what connections are
 * made with.
 *
 * The hub reads the files; other threads are handed what stood in them, so that all have the same however
 * the files change. A certificate says one thing: this cluster's CA has signed it. Which node is there is
 * what the handshake proves (cluster/peers/handshake.ts), so no host name is looked for in a certificate, as in
 * Redis.
 *
 * No session is ever taken up again: each connection shows its certificate, and links are few and live long.
 */
import { strict as assert } from 'node:assert'
import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Config } from '../config.ts'
import { BadValue } from '../config/kinds.ts'
import { reasonOf } from '../config/sources.ts'
import { readProtocols, type TlsProtocol } from '../config/tls-protocols.ts'
import type { ServerWorld } from '../snapshots/files.ts'

/** As a connection begins that speaks TLS: the type of a handshake record. No request begins so. */
export const TLS_HANDSHAKE = 0x16

/** Certificates and keys have a few kilobytes, a bundle of all public CAs a few hundred. */
const FILE_BYTES_MAX = 1024 * 1024
/** Longer chains are no longer followed to see whether this node's own certificate is the cluster's. */
const CHAIN_MAX = 16

const fileNames = ['tls-cert-file', 'tls-key-file', 'tls-ca-cert-file'] as const
type FileName = (typeof fileNames)[number]
/** What CONFIG SET may change: connections that are made afterwards have the new ones. */
const changing = [...fileNames, 'tls-key-file-pass', 'tls-protocols'] as const
export type TlsDirective = (typeof changing)[number] | 'tls-cluster'

/** What a directive names cannot be used. */
export class TlsError extends Error {
  override readonly name = 'TlsError'
  readonly code = 'TLS'
  readonly directive: TlsDirective
  constructor(directive: TlsDirective, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.directive = directive
  }
}

/** What stood in the files, PEM, and how it is used. Plain data. */
export interface TlsKeys {
  readonly certificate: string
  readonly key: string
  readonly passphrase: string
  readonly authority: string
  readonly protocols: readonly TlsProtocol[]
}

/** What a thread makes TLS connections with. */
export class Tls {
  #keys: TlsKeys
  #context: SecureContext
  readonly #listeners: ((keys: TlsKeys) => void)[] = []

  /** @throws {TlsError} */
  constructor(keys: TlsKeys) {
    this.#keys = keys
    this.#context = contextOf(keys)
  }

  get keys(): TlsKeys {
    return this.#keys
  }

  /** For the next connection, from here or to here. */
  get context(): SecureContext {
    return this.#context
  }

  /**
   * Connections that are made from now on have these; those that stand stay.
   * @throws {TlsError} then nothing has changed
   */
  use(keys: TlsKeys): void {
    this.#context = contextOf(keys)
    this.#keys = keys
    for (const listener of this.#listeners) listener(keys)
  }

  onChange(listener: (keys: TlsKeys) => void): void {
    this.#listeners.push(listener)
  }
}

/**
 * What this configuration wants, null if it wants no TLS. CONFIG SET of a file has it read anew, also if its
 * name is the same.
 * @throws {TlsError}
 */
export function openTls(config: Config): Tls | null {
  if (!config['tls-cluster']) return null
  const tls = named(config, () => new Tls(readKeys(config)))
  config.onApply(changing, () => {
    try {
      named(config, () => tls.use(readKeys(config)))
    } catch (error) {
      throw error instanceof TlsError ? new BadValue(error.message) : error
    }
  })
  return tls
}

/** A world whose nodes are dialled with this. */
export function withTls(world: ServerWorld, tls: Tls | null): ServerWorld {
  if (tls === null) return world
  assert(world.secure !== undefined, 'tls-cluster wants a World with TLS')
  return { ...world, network: world.secure(tls) }
}

/** Names the directive and its file in what goes wrong: `tls-cert-file '/etc/node.crt': is no file`. */
function named<T>(config: Config, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof TlsError)) throw error
    const { directive, message } = error
    const file = fileNames.find((name) => name === directive)
    const value = file === undefined ? '' : config[file]
    const shown = value === '' ? '' : ` '${value}'`
    throw new TlsError(directive, `${directive}${shown}: ${message}`, error.cause)
  }
}

function readKeys(config: Config): TlsKeys {
  const certificate = readText('tls-cert-file', config)
  const key = readText('tls-key-file', config)
  const authority = readText('tls-ca-cert-file', config)
  const passphrase = config['tls-key-file-pass']
  const keys = { certificate, key, passphrase, authority }
  check(keys)
  // The directive takes no others.
  return { ...keys, protocols: readProtocols(config['tls-protocols'])! }
}

function readText(directive: FileName, config: Config): string {
  const path = config[directive]
  if (path === '') throw new TlsError(directive, 'must be given with tls-cluster yes')
  try {
    const facts = statSync(path)
    if (!facts.isFile()) throw new TlsError(directive, 'is no file')
    if (facts.size > FILE_BYTES_MAX) {
      throw new TlsError(directive, `is larger than ${FILE_BYTES_MAX} bytes`)
    }
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (error instanceof TlsError) throw error
    throw new TlsError(directive, reasonOf(error as NodeJS.ErrnoException), error)
  }
}

/** Each mistake by the directive that it is in: OpenSSL would tell of the first, and not where. */
function check({ certificate, key, passphrase, authority }: Omit<TlsKeys, 'protocols'>): void {
  const [own, ...chain] = certificatesOf('tls-cert-file', certificate)
  const authorities = certificatesOf('tls-ca-cert-file', authority)
  if (!own!.checkPrivateKey(keyOf(key, passphrase))) {
    throw new TlsError('tls-key-file', 'is not the key of the certificate in tls-cert-file')
  }
  if (!isIssuedBy(own!, chain, authorities)) {
    const why = 'no certificate in tls-ca-cert-file has signed it, so no node would accept it'
    throw new TlsError('tls-cert-file', why)
  }
}

function certificatesOf(directive: FileName, text: string): X509Certificate[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (found === null) throw new TlsError(directive, 'has no certificate in PEM')
  try {
    return found.map((one) => new X509Certificate(one))
  } catch (error) {
    throw new TlsError(directive, 'has a certificate that cannot be read', error)
  }
}

function keyOf(text: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey(passphrase === '' ? text : { key: text, passphrase })
  } catch (error) {
    if (passphrase === '' && text.includes('ENCRYPTED')) {
      throw new TlsError('tls-key-file', 'is encrypted, and wants tls-key-file-pass', error)
    }
    const hint = passphrase === '' ? '' : ', or tls-key-file-pass is wrong'
    throw new TlsError('tls-key-file', `has no private key in PEM${hint}`, error)
  }
}

/** Do signatures lead from this certificate to one of the authorities? Says nothing of dates. */
function isIssuedBy(
  certificate: X509Certificate,
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  const issuers = [...authorities, ...chain]
  let at = certificate
  for (let i = 0; i < CHAIN_MAX; i++) {
    const below = at
    const issuer = issuers.find((one) => below.checkIssued(one) && below.verify(one.publicKey))
    if (issuer === undefined) return false
    if (authorities.includes(issuer)) return true
    at = issuer
  }
  return false
}

function contextOf({ certificate, key, passphrase, authority, protocols }: TlsKeys): SecureContext {
  try {
    return createSecureContext({
      ...{ cert: certificate, key, passphrase, ca: authority },
      ...{ minVersion: protocols[0]!, maxVersion: protocols.at(-1)! },
      secureOptions: constants.SSL_OP_NO_TICKET,
      // Who asks for a session all the same is given a new one, and no error.
      sessionIdContext: 'ringtier',
    })
  } catch (error) {
    // A key too short for this OpenSSL, say.
    throw new TlsError('tls-cert-file', (error as Error).message, error)
  }
}
