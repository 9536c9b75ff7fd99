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

/* Refused before it ran. Texts from the client are one char a byte. */
export const ERR_NOAUTH = 'NOAUTH Authentication required.'
export const ERR_OOM = "OOM command not allowed when used memory > 'maxmemory'."

export function unknownCommand(name: string, args: readonly string[]): string {
  let shown = ''
  for (const arg of args) {
    if (shown.length >= ECHO_BYTES_MAX) break
    shown += `'${cString(arg).slice(0, ECHO_BYTES_MAX - shown.length)}' `
  }
  return `ERR unknown command '${echo(name)}', with args beginning with: ${shown}`
}

/** `container`: the command that was to have this subcommand, in lower case. */
export function unknownSubcommand(name: string, container: string): string {
  return `ERR unknown subcommand '${echo(name)}'. Try ${container.toUpperCase()} HELP.`
}

/** `name` as statistics have it: 'get', 'client|setname'. */
export function wrongArity(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`
}

/** Of what a client sent, so much is repeated to it. */
const ECHO_BYTES_MAX = 128

function echo(text: string): string {
  return cString(text).slice(0, ECHO_BYTES_MAX)
}

/** Redis prints what it repeats as C does: up to the first zero byte. */
function cString(text: string): string {
  const zero = text.indexOf('\0')
  return zero < 0 ? text : text.slice(0, zero)
}

/* Numbers and names. */
export const ERR_NOT_INTEGER = 'ERR value is not an integer or out of range'
export const ERR_DB_INDEX = 'ERR DB index is out of range'

export function valueBetween(min: number, max: number): string {
  return `ERR value is out of range, value must between ${min} and ${max}`
}

/* The connection: HELLO, AUTH, CLIENT. */
export const ERR_NOPROTO = 'NOPROTO unsupported protocol version'
export const ERR_PROTOCOL_VERSION = 'ERR Protocol version is not an integer or out of range'
export const ERR_NOAUTH_HELLO =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH ' +
  '<user> <pass> option can be used to authenticate the client and select the RESP protocol ' +
  'version at the same time'
export const ERR_WRONGPASS = 'WRONGPASS invalid username-password pair or user is disabled.'
export const ERR_AUTH_WITHOUT_PASSWORD =
  'ERR AUTH <password> called without any password configured for the default user. Are you ' +
  'sure your configuration is correct?'
export const ERR_SELECT_IN_CLUSTER = 'ERR SELECT is not allowed in cluster mode'
export const ERR_CLIENT_NAME =
  'ERR Client names cannot contain spaces, newlines or special characters.'
export const ERR_CLIENT_ID = 'ERR Invalid client ID'
export const ERR_CLIENT_ID_POSITIVE = 'ERR client-id should be greater than 0'
export const ERR_NO_SUCH_CLIENT = 'ERR No such client'

export const helloSyntax = (option: string): string =>
  `ERR Syntax error in HELLO option '${cString(option)}'`
export const unknownClientType = (type: string): string =>
  `ERR Unknown client type '${cString(type)}'`
export const noSuchUser = (user: string): string => `ERR No such user '${cString(user)}'`
export const unrecognizedOption = (option: string): string =>
  `ERR Unrecognized option '${cString(option)}'`
export const attributeNotPlain = (attribute: string): string =>
  `ERR ${cString(attribute)} cannot contain spaces, newlines or special characters.`

/* COMMAND GETKEYS. */
export const ERR_INVALID_COMMAND = 'ERR Invalid command specified'
export const ERR_COMMAND_WITHOUT_KEYS = 'ERR The command has no key arguments'
export const ERR_COMMAND_ARITY = 'ERR Invalid number of arguments specified for command'
export const ERR_COMMAND_ARGUMENTS = 'ERR Invalid arguments specified for command'

/* The server: CONFIG, SHUTDOWN. */
export const ERR_NO_CONFIG_FILE = 'ERR The server is running without a config file'
export const ERR_NO_SHUTDOWN = 'ERR No shutdown in progress.'
/** Ours: there is nothing that could save yet. */
export const ERR_SHUTDOWN_SAVE =
  'ERR SHUTDOWN SAVE is not possible: this version keeps no data on disk. Use SHUTDOWN NOSAVE'

export const unknownDirective = (name: string): string =>
  `ERR Unknown option or number of arguments for CONFIG SET - '${cString(name)}'`
export const directiveFailed = (name: string, reason: string): string =>
  `ERR CONFIG SET failed (possibly related to argument '${cString(name)}') - ${reason}`

/* The cluster. */
export const ERR_CLUSTER_DISABLED = 'ERR This instance has cluster support disabled'
/** Ours: another node's handshake. */
export const ERR_PEER_AUTH_FIRST = 'ERR PEER AUTH must follow a PEER HELLO'
export const ERR_PEER_PROOF = 'NOAUTH the proof of the cluster secret is wrong'
export const ERR_PEER_SECRET_MISSING =
  'NOAUTH this node has no cluster-secret: its peers must be on this machine, and requirepass unset'

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
