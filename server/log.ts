/**
 * The log: pino with Redis's levels. JSON, one object a line, wherever a program reads it; on a
 * terminal lines as Redis writes them:
 *
 *     4711:M 22 Nov 2026 17:49:31.329 * Ready to accept connections port=6379
 *
 * The mark tells the level: `.` debug, `-` verbose, `*` notice, `#` warning and worse.
 *
 * What clients send (keys, values, arguments) is not logged, and neither is a secret: whoever logs
 * an object that holds one finds it replaced.
 */
import { pino } from 'pino'

/** As in the directive `loglevel`. */
export type LogLevel = 'debug' | 'verbose' | 'notice' | 'warning' | 'nothing'

/** Either a message, or fields and a message. An error goes into the field `err`. */
export interface Write {
  (message: string): void
  (fields: object, message: string): void
}

export interface Log {
  readonly debug: Write
  readonly verbose: Write
  readonly notice: Write
  readonly warning: Write
  /** For what ends the process. */
  readonly fatal: Write
  setLevel(level: LogLevel): void
  /** Opens the log file anew, after something has moved it away. */
  reopen(): void
  /** Writes a line that the log of another thread has made. */
  line(json: string): void
}

export interface LogOptions {
  readonly level: LogLevel
  /** A path; '' is standard output. */
  readonly file?: string
  /** Lines to read instead of JSON, with times written by this function. */
  readonly readable?: (wallMs: number) => string
}

/** pino's numbers, so that its tools can tell levels apart. */
const levels = { debug: 20, verbose: 25, notice: 30, warning: 40, fatal: 60 }
const marks: ReadonlyMap<number, string> = new Map([
  [levels.debug, '.'],
  [levels.verbose, '-'],
  [levels.notice, '*'],
])

/** Fields that hold a secret, in an object that is logged or one level below. */
const secrets = [
  'requirepass',
  'cluster-secret',
  'masterauth',
  'password',
  'secret',
  'auth',
].flatMap((name) => [`["${name}"]`, `*["${name}"]`])

const standardOutput = 1

/** Writes at once, so that nothing is lost when the process ends. Throws when the file cannot be opened. */
export function createLog({ level, file = '', readable }: LogOptions): Log {
  const destination = pino.destination({ dest: file === '' ? standardOutput : file, sync: true })
  const line = (json: string): void => {
    destination.write(readable === undefined ? json : readableLine(json, readable))
  }
  return logOver(level, line, () => {
    if (file !== '') destination.reopen()
  })
}

/** The log of a thread that does not write itself: each line is handed to the thread that does. */
export function createThreadLog(level: LogLevel, line: (json: string) => void): Log {
  return logOver(level, line, () => {})
}

function logOver(level: LogLevel, line: (json: string) => void, reopen: () => void): Log {
  const logger = pino(
    {
      level: pinoLevel(level),
      customLevels: levels,
      useOnlyCustomLevels: true,
      base: { pid: process.pid },
      redact: { paths: secrets, censor: '[secret]' },
    },
    { write: line },
  )
  const writeAt =
    (name: keyof typeof levels): Write =>
    (first: object | string, message?: string) => {
      if (typeof first === 'string') logger[name](first)
      else logger[name](first, message)
    }
  return {
    debug: writeAt('debug'),
    verbose: writeAt('verbose'),
    notice: writeAt('notice'),
    warning: writeAt('warning'),
    fatal: writeAt('fatal'),
    setLevel: (changed) => {
      logger.level = pinoLevel(changed)
    },
    reopen,
    line,
  }
}

function pinoLevel(level: LogLevel): string {
  return level === 'nothing' ? 'silent' : level
}

/** A line of JSON as a line to read; an error's stack follows it, indented. */
export function readableLine(json: string, formatTime: (wallMs: number) => string): string {
  const { level, time, pid, msg, err, ...fields } = JSON.parse(json) as Record<string, unknown>
  const mark = marks.get(level as number) ?? '#'
  const shown = Object.entries(fields).map(([name, value]) => ` ${name}=${readableValue(value)}`)
  const head = `${String(pid)}:M ${formatTime(time as number)} ${mark} ${String(msg)}`
  const { stack = '' } = (err ?? {}) as { stack?: string }
  const below = stack === '' ? [] : stack.split('\n').map((line) => `    ${line.trim()}`)
  return [`${head}${shown.join('')}`, ...below].map((line) => `${escapeControls(line)}\n`).join('')
}

function readableValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** What could move a terminal's cursor or forge a second line is shown, not sent. */
function escapeControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => {
    return char === '\n' ? '\\n' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
