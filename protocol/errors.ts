/* Protocol errors: the line is sent, then the connection is closed. */
export const INLINE_TOO_LONG = 'ERR Protocol error: too big inline request'
export const UNBALANCED_QUOTES = 'ERR Protocol error: unbalanced quotes in request'
export const MULTIBULK_LINE_TOO_LONG = 'ERR Protocol error: too big mbulk count string'
export const MULTIBULK_LENGTH_INVALID = 'ERR Protocol error: invalid multibulk length'
export const MULTIBULK_LENGTH_UNAUTHENTICATED =
  'ERR Protocol error: unauthenticated multibulk length'
export const BULK_LINE_TOO_LONG = 'ERR Protocol error: too big bulk count string'
export const BULK_LENGTH_INVALID = 'ERR Protocol error: invalid bulk length'
export const BULK_LENGTH_UNAUTHENTICATED = 'ERR Protocol error: unauthenticated bulk length'
/** An array's element that is no bulk string. The byte is echoed, as Redis does. */
export function expectedDollar(byte: number): string {
  return `ERR Protocol error: expected '$', got '${String.fromCharCode(byte)}'`
}

export const ERR_SYNTAX = 'ERR syntax error'

/*
 * Lines of a key whose group could not be loaded (cluster/loads.ts). They name the group and never
 * the URL or the key: the first is the operator's, the second a stranger's.
 */
export const originBusy = (group: string): string => `ORIGIN ${group}: too many loads are waiting`
export const originClosing = (group: string): string => `ORIGIN ${group}: the server is ending`
export const originEmptyKey = (group: string): string => `ORIGIN ${group}: key is required`
export const originEncoding = (group: string): string =>
  `ORIGIN ${group}: the origin's answer has a content-encoding that was not asked for`
export const originFailed = (group: string): string => `ORIGIN ${group}: the load failed`
export const originKey = (group: string): string =>
  `ORIGIN ${group}: the key cannot be put into the origin's URL`
export const originKeyTooLong = (group: string, bytesMax: number): string =>
  `ORIGIN ${group}: the key is longer than ${bytesMax} bytes`
export const originProtocol = (group: string): string =>
  `ORIGIN ${group}: the origin's answer is not valid HTTP`
export const originRedirect = (group: string): string =>
  `ORIGIN ${group}: the origin redirects to another host`
export const originRedirects = (group: string, hopsMax: number): string =>
  `ORIGIN ${group}: the origin redirects more than ${hopsMax} times`
export const originReset = (group: string): string =>
  `ORIGIN ${group}: the origin closed the connection without an answer`
export const originShort = (group: string): string =>
  `ORIGIN ${group}: the origin's answer broke off before its end`
export const originStatus = (group: string, status: number): string =>
  `ORIGIN ${group}: the origin answered ${status}`
export const originTimeout = (group: string, timeoutMs: number): string =>
  `ORIGIN ${group}: no complete answer from the origin within ${timeoutMs} ms`
export const originTls = (group: string, reason: string): string =>
  `ORIGIN ${group}: no trusted TLS connection to the origin (${reason})`
export const originTooLarge = (group: string, bytesMax: number): string =>
  `ORIGIN ${group}: the origin's answer is larger than ${bytesMax} bytes`
export const originUnreachable = (group: string, reason: string): string =>
  `ORIGIN ${group}: the origin cannot be reached (${reason})`
