import { originFailed } from '../../protocol/errors.ts'
import { GroupError } from '../groups/group.ts'
import { RuleError } from '../groups/rule.ts'
import {
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginGroup,
  type WriteRequest,
} from './loader.ts'
import { type ResilienceParts, ResilientLoader } from './resilience.ts'

/**
 * A loader for all groups, which asks for each of them as its rules say. What one kind of origin
 * needs is imported only if there is one. Throws a GroupError where an origin cannot be used.
 */
export async function createLoader(
  groups: readonly OriginGroup[],
  options: LoaderOptions,
): Promise<ResilientLoader> {
  const origins = new Origins()
  const opened = new Map<string, Loader>()
  try {
    for (const group of groups) {
      const name = nameOf(group)
      const writes = groups.some((other) => other.writes && nameOf(other) === name)
      const loader = opened.get(name) ?? (await openFor(group, { ...options, writes }))
      opened.set(name, loader)
      origins.add(group.name, loader)
    }
  } catch (error) {
    await origins.close()
    throw error
  }
  return new ResilientLoader(origins, options)
}

export interface LoaderOptions extends ResilienceParts {
  /** Ours, for who is asked. */
  readonly version: string
  /** Where relative paths of modules begin. */
  readonly folder: string
}

/** The loaders of the groups, each under its group's name. */
export class Origins implements Loader {
  readonly #byGroup = new Map<string, Loader>()

  add(group: string, loader: Loader): void {
    this.#byGroup.set(group, loader)
  }

  load(request: LoadRequest): Promise<Loaded> {
    return this.#of(request.group).load(request)
  }

  async write(request: WriteRequest): Promise<void> {
    const { group } = request
    const loader = this.#of(group)
    if (loader.write === undefined) throw new TypeError(`group ${group.name} cannot write`)
    await loader.write(request)
  }

  /** Closes each. That one of them, a module say, cannot end well is no reason for the others not to. */
  async close(): Promise<void> {
    const loaders = new Set(this.#byGroup.values())
    await Promise.allSettled([...loaders].map((loader) => loader.close()))
  }

  #of({ name }: OriginGroup): Loader {
    const loader = this.#byGroup.get(name)
    if (loader !== undefined) return loader
    throw new OriginError('failed', originFailed(name), new Error(`nobody loads group ${name}`))
  }
}

/** Groups with the same one share a loader: one for all of HTTP and of Redis, one for each module. */
function nameOf({ address }: OriginGroup): string {
  return address.kind === 'module' ? `module:${address.path}` : address.kind
}

async function openFor(
  { name, address }: OriginGroup,
  options: LoaderOptions & { readonly writes: boolean },
): Promise<Loader> {
  switch (address.kind) {
    case 'http': {
      const { HttpLoader } = await import('./http.ts')
      return new HttpLoader(options)
    }
    case 'redis': {
      const { RedisLoader } = await import('./redis.ts')
      return RedisLoader.open(options)
    }
    case 'module': {
      const { openModule } = await import('./module.ts')
      try {
        return await openModule({ ...options, path: address.path })
      } catch (error) {
        if (!(error instanceof RuleError)) throw error
        throw new GroupError(`group ${name}: origin ${error.message}`, { cause: error })
      }
    }
  }
}
