/* What can go wrong for who embeds ringtier. All have a `code`, by which they are told apart. */

/** There is no room, and `eviction` lets nobody go for it ('noeviction', 'volatile-*'). */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError'
  readonly code = 'OUT_OF_MEMORY'
}

/** The cache is closed, or is being loaded. */
export class CacheStateError extends Error {
  override readonly name = 'CacheStateError'
  readonly code = 'CACHE_STATE'
}

/** The load took longer than the group's `timeout`. */
export class LoadTimeoutError extends Error {
  override readonly name = 'LoadTimeoutError'
  readonly code = 'LOAD_TIMEOUT'
}

/** As many loads are under way and waiting as the group's `concurrency` and `queue` allow. */
export class LoadBusyError extends Error {
  override readonly name = 'LoadBusyError'
  readonly code = 'LOAD_BUSY'
}

/** The loader failed too often, and is left alone for a while. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError'
  readonly code = 'BREAKER_OPEN'
}

/* ---- of nodes ---- */

/**
 * The function of the program that owns the key failed. `cause` is what it threw if that program is this
 * one; another one's log has it.
 */
export class LoadFailedError extends Error {
  override readonly name = 'LoadFailedError'
  readonly code = 'LOAD_FAILED'
}

/** The program that owns the key has no such group: all of a cluster must make the same ones. */
export class GroupMissingError extends Error {
  override readonly name = 'GroupMissingError'
  readonly code = 'GROUP_MISSING'
}

/** Nobody answered for the key in time, or not all nodes have heard of what all must hear. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly code = 'CLUSTER'
}

/** The node has not started, or is closed. */
export class NodeStateError extends Error {
  override readonly name = 'NodeStateError'
  readonly code = 'NODE_STATE'
}
