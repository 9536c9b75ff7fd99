/**
 * `ringtier check file [key ...]`: reads the configuration as a start would, and tells which groups it
 * makes and what a miss of each key would ask for. Nothing is started, and nothing is asked.
 */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Group } from '../cluster/groups/group.ts'
import { OriginError } from '../cluster/origin/loader.ts'
import { quoteWord } from '../cluster/groups/words.ts'
import { type Config, type ConfigSources, loadConfig } from './config.ts'
import { ConfigError } from './config/sources.ts'
import { requestOf } from './loads/groups.ts'

const checkUsage = 'ringtier check redis.conf [key ...]'

/** The lines to print. Throws ConfigError where a start would. `args`: what stands behind `check`. */
export function check(
  args: readonly string[],
  sources: Pick<ConfigSources, 'environment' | 'machine'>,
): string[] {
  const [file, ...keys] = args
  if (file === undefined || /^-./.test(file)) {
    throw new ConfigError('check', `wants a file: ${checkUsage}`)
  }
  const config = loadConfig({ ...sources, args: [file] })
  const { all } = config.groups
  for (const group of all) checkModule(config, group)
  const groups = all.map((group) => `${whereOf(config, group)}: ${group.shownText()}`)
  return [
    ...(groups.length === 0 ? ['there are no groups'] : groups),
    ...keys.map((key) => `${quoteWord(key)}: ${answerTo(config, Buffer.from(key))}`),
  ]
}

function whereOf({ group: lines }: Config, { name }: Group): string {
  return lines.find(({ words }) => words[0] === name)!.where
}

/** Whether the program is right is seen when it is loaded; whether there is one, now. */
function checkModule(config: Config, group: Group): void {
  const { address, name } = group
  // A relative path begins beside the config file.
  const folder = config.file === '' ? config.dir : dirname(config.file)
  if (address.kind !== 'module' || existsSync(resolve(folder, address.path))) return
  const what = `group ${name}: origin '${address.shown}': No such file or directory`
  throw new ConfigError(whereOf(config, group), what)
}

/** Which group has the key, and what its origin would be asked. */
function answerTo({ groups }: Config, key: Uint8Array): string {
  const group = groups.match(key, 0, key.length)
  if (group === null) return 'no group'
  try {
    return `group ${group.name}, ${requestOf(group, key)}`
  } catch (error) {
    if (error instanceof OriginError) return `group ${group.name}, but ${error.message}`
    throw error
  }
}
