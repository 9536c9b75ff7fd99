import { originTls, originUnreachable } from '../../protocol/errors.ts'
import { OriginError } from './loader.ts'

/** Codes of OpenSSL's verdicts on certificates, of its handshake, and Node's around them. */
const TLS =
  /^(?:ERR_TLS|ERR_SSL|EPROTO$|CERT|CRL|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH|ERROR_IN_)/
const UNREACHABLE =
  /^(?:UND_ERR_CONNECT_TIMEOUT|ENOTFOUND|EAI_|ECONN|EHOST|ENET|EADDR|ETIMEDOUT|EACCES|EPERM)/

/** The code of an error of Node or of a package, '' if it has none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  // Of a name with several addresses none of which answers.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : ''
}

/** What a socket's error before any answer means; null: it is none of those that are known. */
export function connectionErrorOf(error: unknown, group: string): OriginError | null {
  const code = codeOf(error)
  if (TLS.test(code)) return new OriginError('tls', originTls(group, code), error, code)
  if (UNREACHABLE.test(code)) {
    return new OriginError('unreachable', originUnreachable(group, code), error, code)
  }
  return null
}
