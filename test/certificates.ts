/* The certificates of test/certificates, which make.sh there has made and tells of. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TlsKeys } from '../server/clients/tls.ts'
import { PROJECT } from './process.ts'

/** `one` and `two` are nodes of a cluster; `stranger` has another CA; the others are what they are called. */
export type Owner = 'one' | 'two' | 'expired' | 'server-only' | 'stranger'

/** The path of a file there. */
export function certificateFile(name: string): string {
  return join(PROJECT, 'test/certificates', name)
}

export function readCertificate(name: string): string {
  return readFileSync(certificateFile(name), 'latin1')
}

/** Arguments of a node with TLS. */
export function tlsArguments(owner: Owner): string[] {
  const authority = owner === 'stranger' ? 'stranger-ca.crt' : 'ca.crt'
  return [
    ...['--tls-cluster', 'yes', '--tls-ca-cert-file', certificateFile(authority)],
    ...['--tls-cert-file', certificateFile(`${owner}.crt`)],
    ...['--tls-key-file', certificateFile(`${owner}.key`)],
    ...(owner === 'two' ? ['--tls-key-file-pass', 'open'] : []),
  ]
}

/** What `openTls` makes of them. */
export function tlsKeys(owner: Owner): TlsKeys {
  return {
    certificate: readCertificate(`${owner}.crt`),
    key: readCertificate(`${owner}.key`),
    passphrase: owner === 'two' ? 'open' : '',
    authority: readCertificate('ca.crt'),
    protocols: ['TLSv1.2', 'TLSv1.3'],
  }
}

/** How somebody dials with a certificate, or without one, who believes whoever answers. */
export function dialOptions(owner: Owner | null) {
  if (owner === null) return { rejectUnauthorized: false }
  const { certificate, key, passphrase } = tlsKeys(owner)
  return { rejectUnauthorized: false, cert: certificate, key, passphrase }
}
