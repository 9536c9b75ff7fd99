import { COMMANDS, KEYS, MANY_KEYS, type Case, type Command } from './requests.ts'

/** What the command line asks for; where it says nothing the plan has values of its own. */
export interface Asked {
  readonly quick: boolean
  readonly commands?: readonly Command[] | undefined
  readonly sizes?: readonly number[] | undefined
  readonly pipelines?: readonly number[] | undefined
  readonly connections?: readonly number[] | undefined
  readonly keys?: readonly number[] | undefined
}

type Axes = Required<{ [axis in Exclude<keyof Asked, 'quick'>]: NonNullable<Asked[axis]> }>

const USUAL: Axes = {
  commands: COMMANDS,
  sizes: [3, 100, 1024, 16_384],
  pipelines: [1, 16, 100],
  connections: [50],
  keys: [KEYS],
}
const QUICK_SIZES = [100]
/**
 * What more connections and more keys change hardly depends on the rest, so they are run with these
 * only, unless they are asked for. Without a pipeline the sockets cost so much that keys do not show.
 */
const MANY = { commands: ['get', 'set'], sizes: [100] }
const MANY_CONNECTIONS = [1000]
const MANY_KEYS_PIPELINES = [16, 100]

/** All cases, by keys and then size, so that the keys are set anew as seldom as can be. */
export function planCases(asked: Asked): Case[] {
  const axes: Axes = {
    commands: asked.commands ?? USUAL.commands,
    sizes: asked.sizes ?? (asked.quick ? QUICK_SIZES : USUAL.sizes),
    pipelines: asked.pipelines ?? USUAL.pipelines,
    connections: asked.connections ?? USUAL.connections,
    keys: asked.keys ?? USUAL.keys,
  }
  const cases = cross(axes)
  if (!asked.quick) {
    const few = {
      ...axes,
      commands: both(axes.commands, MANY.commands),
      sizes: both(axes.sizes, MANY.sizes),
    }
    const pipelines = both(axes.pipelines, MANY_KEYS_PIPELINES)
    if (!asked.connections) cases.push(...cross({ ...few, connections: MANY_CONNECTIONS }))
    if (!asked.keys) cases.push(...cross({ ...few, pipelines, keys: [MANY_KEYS] }))
  }
  return cases.sort((a, b) => a.keys - b.keys || a.bytes - b.bytes)
}

function cross({ keys, sizes, connections, pipelines, commands }: Axes): Case[] {
  return keys.flatMap((keyCount) =>
    sizes.flatMap((bytes) =>
      connections.flatMap((connectionCount) =>
        pipelines.flatMap((pipeline) =>
          commands.map((command) => {
            return { command, bytes, pipeline, connections: connectionCount, keys: keyCount }
          }),
        ),
      ),
    ),
  )
}

function both<T>(some: readonly T[], others: readonly unknown[]): T[] {
  return some.filter((one) => others.includes(one))
}
