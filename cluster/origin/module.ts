import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { RuleError } from '../groups/rule.ts'
import { FunctionLoader, type LoadFunctions } from './function.ts'

/**
 * Imports a module that loads values (function.ts says what it exports). Done at the start, so that
 * a mistake in it is heard of then and not with the first miss.
 *
 * TypeScript is imported as it is: Node strips its types from version 22.18 on.
 */
export async function openModule({ path, folder, writes }: ModuleSource): Promise<FunctionLoader> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new RuleError(`'module:${path}' ${why}`, { cause })
  }
  let exports: Readonly<Record<string, unknown>>
  try {
    const file = pathToFileURL(resolve(folder, path)).href
    exports = (await import(file)) as Readonly<Record<string, unknown>>
  } catch (error) {
    return refuse(`cannot be loaded: ${reasonOf(error)}`, error)
  }
  const wanted = writes ? ['load', 'store', 'remove'] : ['load']
  const missing = wanted.filter((name) => typeof exports[name] !== 'function')
  if (missing.length > 0) {
    const why = missing.includes('load') ? '' : ', which write needs'
    refuse(`exports no function ${missing.join(' and no ')}${why}`)
  }
  for (const name of ['store', 'remove', 'close']) {
    if (name in exports && typeof exports[name] !== 'function') {
      refuse(`exports a ${name} that is no function`)
    }
  }
  return new FunctionLoader(exports as unknown as LoadFunctions)
}

export interface ModuleSource {
  /** As the group has it. */
  readonly path: string
  /** Where a relative path begins. */
  readonly folder: string
  /** Must it take what clients write? */
  readonly writes: boolean
}

/** One line of it. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') return 'this Node does not run TypeScript'
  const [line = ''] = String(error instanceof Error ? error.message : error).split('\n')
  return line
}
