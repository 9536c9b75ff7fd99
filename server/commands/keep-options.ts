import type { Group } from '../../cluster/groups/group.ts'
import { FOREVER, type Times, timesOf } from '../../cluster/loads/keeping.ts'
import { TAG_BYTES_MAX, TAGS_MAX } from '../../cluster/origin/tags.ts'
import type { Args } from '../../protocol/args.ts'
import {
  ERR_NOT_INTEGER,
  ERR_SYNTAX,
  ERR_TAG_TOO_LONG,
  ERR_TOO_MANY_TAGS,
  invalidExpire,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { FillExtras } from '../store/store.ts'

/* How long a value that a client brings is fresh and may be stale, and its tags: CACHE.SET, CACHE.FILL. */

export interface KeepOptions {
  readonly freshMs: number
  readonly staleMs: number
  readonly tags: readonly Buffer[]
  /** Is what is not said as the key's group says? */
  readonly asGroup: boolean
}

/**
 * The options from argument `from` on: [EX seconds | PX milliseconds] [STALE ms] [TAGS n tag ...], and
 * of CACHE.SET [GROUP].
 */
export function readKeepOptions(args: Args, from: number, command: string): KeepOptions | string {
  let freshMs = 0
  let staleMs = 0
  let asGroup = command === 'cache.fill'
  const tags: Buffer[] = []
  for (let i = from; i < args.count; i++) {
    if (!asGroup && args.is(i, 'group')) {
      asGroup = true
      continue
    }
    const isSeconds = args.is(i, 'ex')
    if (i + 1 === args.count) return ERR_SYNTAX
    const n = args.integer(i + 1)
    if (isSeconds || args.is(i, 'px')) {
      if (freshMs !== 0) return ERR_SYNTAX
      if (Number.isNaN(n)) return ERR_NOT_INTEGER
      freshMs = isSeconds ? n * 1000 : n
      if (!(freshMs > 0 && freshMs < Number.MAX_SAFE_INTEGER / 4)) return invalidExpire(command)
      i++
    } else if (args.is(i, 'stale')) {
      if (!(n >= 0 && n < Number.MAX_SAFE_INTEGER / 4)) return ERR_NOT_INTEGER
      staleMs = n
      i++
    } else if (args.is(i, 'tags')) {
      if (!(n >= 0)) return ERR_NOT_INTEGER
      if (n > TAGS_MAX) return ERR_TOO_MANY_TAGS
      if (i + 1 + n >= args.count) return ERR_SYNTAX
      for (let k = i + 2; k < i + 2 + n; k++) {
        if (args.length(k) > TAG_BYTES_MAX) return ERR_TAG_TOO_LONG
        tags.push(args.buffer(k))
      }
      i += 1 + n
    } else return ERR_SYNTAX
  }
  return { freshMs, staleMs, tags, asGroup }
}

/**
 * How a value that comes now is kept, and when it ends. What the client does not say is as the group
 * says, as of a value that was loaded.
 */
export function keepOf(
  { server, store }: Client,
  options: KeepOptions,
  group: Group | null,
): { readonly expireAt: number; readonly extras: FillExtras } {
  const now = Math.floor(store.now)
  const { expireAt, ...until } =
    group === null ? plainTimesOf(options, now) : groupTimesOf(options, group, server, now)
  const extras = {
    ...{ ...until, loadedAt: server.world.clock.now() },
    ...{ costMs: 0, group: group?.number ?? -1, birth: store.birth(), etag: null },
    ...{ tags: options.tags.map((tag) => store.tagHash(tag)), idleMs: group?.idleMs ?? 0 },
  }
  return { expireAt, extras }
}

function plainTimesOf({ freshMs, staleMs }: KeepOptions, now: number): Times {
  if (freshMs === 0) return FOREVER
  const freshUntil = now + freshMs
  return { freshUntil, visibleUntil: freshUntil + staleMs, expireAt: freshUntil + staleMs }
}

function groupTimesOf(
  { freshMs, staleMs }: KeepOptions,
  group: Group,
  { world }: Client['server'],
  now: number,
): Times {
  const said = {
    ...(freshMs > 0 ? { freshMs } : {}),
    ...(staleMs > 0 ? { staleMs } : {}),
  }
  return timesOf({ value: null, ...said }, group, now, world.random) ?? FOREVER
}
