/** What becomes of a TLS handshake between nodes, for the one who has to mend it, by OpenSSL's codes. */

const OTHER_AUTHORITY = 'its certificate is not signed by one in tls-ca-cert-file'
const NO_TLS = 'it does not answer with TLS: its tls-cluster is no, or it takes no more clients'

const faults: ReadonlyMap<string, string> = new Map([
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', OTHER_AUTHORITY],
  ['UNABLE_TO_GET_ISSUER_CERT', OTHER_AUTHORITY],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', OTHER_AUTHORITY],
  ['SELF_SIGNED_CERT_IN_CHAIN', OTHER_AUTHORITY],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', OTHER_AUTHORITY],
  ['CERT_SIGNATURE_FAILURE', OTHER_AUTHORITY],
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet'],
  ['INVALID_PURPOSE', 'its certificate may not be used for both, servers and clients'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', NO_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NO_TLS],
])

/** What is wrong with the other node's certificate, or that it speaks no TLS; null: something else. */
export function certificateFault(code: string): string | null {
  return faults.get(code) ?? null
}
