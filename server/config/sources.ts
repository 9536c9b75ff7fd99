/**
 * Where directives come from: the config file, the environment, the command line. Each becomes a
 * list of statements in the same form; which directives there are is not known here beyond the
 * `Names` handed in.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { nearest } from '../../cluster/groups/nearest.ts'
import { globMatches } from '../glob.ts'
import { splitWords } from '../../cluster/groups/words.ts'

/** Bad input at the start: one line that says where, what, and what may have been meant. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'BAD_CONFIG'
  /** 'redis.conf:12', 'RINGTIER_PORT', 'command line'. */
  readonly where: string

  constructor(where: string, what: string, options?: ErrorOptions) {
    super(`${where}: ${what}`, options)
    this.where = where
  }
}

/** One directive as it was given. */
export interface Statement {
  /** As written, in lower case. */
  readonly name: string
  /** Already split, or `text` that the directive's kind splits. */
  readonly words: readonly string[] | { readonly text: string }
  readonly where: string
}

/** Which names are directives, and which of them may stand many times. */
export interface Names {
  has(name: string): boolean
  adds(name: string): boolean
  all(): Iterable<string>
}

/** As Redis: an include that includes itself would never end. */
const includeDepthMax = 16

/** What stands for a config file on standard input. */
export const standardInput = '-'
const standardInputFd = 0

/**
 * Reads a config file: a directive a line, `#` begins a comment line, words may be quoted, and
 * `include` reads other files (`*`, `?` and `[...]` allowed) where it stands.
 */
export function readConfigFile(path: string): Statement[] {
  if (path !== standardInput) return readFile(path, path, 0)
  return parseFile(readText(standardInputFd, 'standard input'), 'standard input', 0)
}

/** `where`: who asked for the file, for the error when it cannot be read. */
function readFile(path: string, where: string, depth: number): Statement[] {
  return parseFile(readText(path, where), path, depth)
}

function parseFile(text: string, name: string, depth: number): Statement[] {
  return parseConfigText(text, name, (pattern, where) => {
    if (depth === includeDepthMax) throw new ConfigError(where, 'includes stand too deep')
    return includedFiles(pattern, where).flatMap((file) => readFile(file, where, depth + 1))
  })
}

function readText(path: string | number, where: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw cannotRead(path, where, cause)
  }
}

function cannotRead(path: string | number, where: string, cause: unknown): ConfigError {
  const reason = reasonOf(cause as NodeJS.ErrnoException)
  const what = path === where ? 'it' : `config file '${path}'`
  return new ConfigError(where, `can't open ${what}: ${reason}`, { cause })
}

/** What the system's error code means, in Redis's (that is, C's) words. */
export function reasonOf(error: NodeJS.ErrnoException): string {
  return systemReasons[error.code ?? ''] ?? error.message
}

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  ENOENT: 'No such file or directory',
  ENOSPC: 'No space left on device',
  ENOTDIR: 'Not a directory',
  EROFS: 'Read-only file system',
}

/** The statements of a config file's text; `include` gives those of an include line. */
function parseConfigText(
  text: string,
  file: string,
  include: (pattern: string, where: string) => Statement[],
): Statement[] {
  return text.split('\n').flatMap((line, i) => {
    const where = `${file}:${i + 1}`
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return []
    const words = splitWords(trimmed)
    if (words === null) throw new ConfigError(where, 'unbalanced quotes')
    const [name = '', ...rest] = words
    if (name.toLowerCase() === 'include') {
      if (rest.length !== 1) throw new ConfigError(where, 'include wants one file')
      return include(rest[0]!, where)
    }
    return [{ name: name.toLowerCase(), words: rest, where }]
  })
}

/** A pattern that matches no file is nothing; a plain name must be there (as in Redis). */
function includedFiles(pattern: string, where: string): string[] {
  if (!/[*?[]/.test(pattern)) return [pattern]
  const absolute = resolve(pattern)
  const parts = absolute.split('/').slice(1)
  return parts.reduce<string[]>(
    (folders, part) => folders.flatMap((folder) => expand(folder, part, where)),
    ['/'],
  )
}

function expand(folder: string, part: string, where: string): string[] {
  if (!/[*?[]/.test(part)) return [join(folder, part)]
  const pattern = Buffer.from(part)
  return list(folder, where)
    .filter((name) => (name.startsWith('.') ? part.startsWith('.') : true))
    .filter((name) => globMatches(pattern, Buffer.from(name)))
    .sort()
    .map((name) => join(folder, name))
}

/** A folder that is none holds no files: the pattern does not match there. */
function list(folder: string, where: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw cannotRead(folder, where, cause)
  }
}

const environmentPrefix = 'RINGTIER_'

/** RINGTIER_MAXMEMORY=1gb is `maxmemory 1gb`; directives that may repeat have one a line. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  names: Names,
): Statement[] {
  return Object.entries(environment).flatMap(([variable, value]) => {
    if (!variable.startsWith(environmentPrefix) || value === undefined) return []
    if (isServiceLink(variable, value)) return []
    const name = variable.slice(environmentPrefix.length).toLowerCase()
    const directive = names.has(name) ? name : name.replaceAll('_', '-')
    if (!names.has(directive)) {
      const variables = [...names.all()].map(environmentName)
      throw new ConfigError('environment', unknown(variable, variables))
    }
    const texts = names.adds(directive)
      ? value.split('\n').filter((line) => line.trim() !== '')
      : [value]
    return texts.map((text) => ({ name: directive, words: { text }, where: variable }))
  })
}

/**
 * Kubernetes tells every pod of a service named `ringtier` where it is, in variables of the same
 * prefix: RINGTIER_SERVICE_HOST, RINGTIER_PORT=tcp://10.0.0.1:6379, RINGTIER_PORT_6379_TCP ...
 */
function isServiceLink(variable: string, value: string): boolean {
  if (/^RINGTIER_(SERVICE_|PORT_\d)/.test(variable)) return true
  return variable === 'RINGTIER_PORT' && value.includes('://')
}

export function environmentName(directive: string): string {
  return environmentPrefix + directive.toUpperCase().replaceAll('-', '_')
}

/** "unknown directive 'prot', did you mean 'port'?" */
export function unknown(name: string, candidates: Iterable<string>, kind = 'directive'): string {
  const near = nearest(name, candidates)
  return `unknown ${kind} '${name}'${near === null ? '' : `, did you mean '${near}'?`}`
}

/** The command line, taken apart. */
export interface CommandLine {
  /** The config file, '-' for standard input, or null. */
  readonly file: string | null
  readonly statements: readonly Statement[]
}

const onCommandLine = 'command line'

/**
 * `[file] [--name word ...] [--name=word] ["--name word"] ...`: a directive takes all arguments up
 * to the next one that begins with `--` and a letter. A single argument is split by the directive
 * as in the file where it takes a list.
 */
export function readCommandLine(args: readonly string[], names: Names): CommandLine {
  const [first] = args
  const file = first !== undefined && (first === '-' || !first.startsWith('-')) ? first : null
  const statements: Statement[] = []
  for (let i = file === null ? 0 : 1; i < args.length;) {
    const option = /^--([a-z][\w-]*)(?:(=|\s+)(.*))?$/is.exec(args[i]!)
    if (option === null) throw new ConfigError(onCommandLine, `'${args[i]}' is no --directive`)
    const [, given = '', , joined] = option
    const name = given.toLowerCase()
    if (!names.has(name) && name !== 'include') {
      const near = nearest(name, names.all())
      const hint = near === null ? '' : `, did you mean '--${near}'?`
      throw new ConfigError(onCommandLine, `unknown directive '--${given}'${hint}`)
    }
    const values: string[] = joined === undefined ? [] : [joined]
    for (i++; i < args.length && !/^--[a-z]/i.test(args[i]!); i++) values.push(args[i]!)
    if (name === 'include') {
      statements.push(...values.flatMap((path) => readFile(path, onCommandLine, 0)))
    } else {
      // As Redis: `--save` with nothing behind it is an empty one.
      if (name === 'save' && values.length === 0) values.push('')
      const words = values.length === 1 ? { text: values[0]! } : values
      statements.push({ name, words, where: onCommandLine })
    }
  }
  return { file, statements }
}
