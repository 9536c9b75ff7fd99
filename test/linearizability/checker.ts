/**
 * Is a history linearizable: is there an order of its operations, in which each takes effect at one
 * moment between its call and its return, that a single client alone could have seen?
 *
 * The events are walked through in the order of their times, with all *configurations* that are
 * possible so far: the state, and which of the operations under way have taken effect already. A
 * call adds one that has not. At a return the operation must have: every order in which operations
 * under way can take effect up to it is tried, and configurations in which it did not are dropped.
 * When none is left, there is no such order.
 *
 *     client 1   |--- SET x a ---|          |-- GET x -> a --|     (b may take effect after it)
 *     client 2          |------- SET x b --------------------------|
 *
 * Wing and Gong, "Testing and verifying concurrent objects" (1993), in the form of Lowe's
 * just-in-time linearization (2017): as few configurations as operations overlap, however long the
 * history is.
 */

/** An operation as its client saw it. */
export interface Operation<Action, Result> {
  /** 0 to 30; a client has one operation under way at a time. */
  readonly client: number
  readonly action: Action
  /** Undefined: it was never heard of again, and may have taken effect or not. */
  readonly result: Result | undefined
  readonly calledAt: number
  /** Infinity where there is no result. */
  readonly returnedAt: number
}

/** What a thing does when operations come one after the other. */
export interface Model<State, Action, Result> {
  readonly initial: State
  /** The state after the action; `IMPOSSIBLE` when it cannot have had this result. */
  step(state: State, action: Action, result: Result | undefined): State | typeof IMPOSSIBLE
  /** Equal for equal states only. */
  keyOf(state: State): string
}

export const IMPOSSIBLE = Symbol('impossible')

interface Configuration<State> {
  readonly state: State
  /** Bits of the clients whose operation under way has taken effect. */
  readonly done: number
}

/** The first operation that no order explains; null: the history is linearizable. */
export function findViolation<State, Action, Result>(
  history: readonly Operation<Action, Result>[],
  model: Model<State, Action, Result>,
): Operation<Action, Result> | null {
  const events = history.flatMap((operation) => [
    { at: operation.calledAt, isReturn: false, operation },
    { at: operation.returnedAt, isReturn: true, operation },
  ])
  // Of one moment the calls come first: then they overlap, which allows more.
  events.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn))
  const underWay = new Map<number, Operation<Action, Result>>()
  let configurations: Configuration<State>[] = [{ state: model.initial, done: 0 }]
  for (const { isReturn, operation } of events) {
    if (!isReturn) {
      underWay.set(operation.client, operation)
      continue
    }
    if (operation.result === undefined) continue
    configurations = settle(configurations, operation.client, underWay, model)
    underWay.delete(operation.client)
    if (configurations.length === 0) return operation
  }
  return null
}

/** The configurations that can follow in which this client's operation has taken effect. */
function settle<State, Action, Result>(
  from: readonly Configuration<State>[],
  client: number,
  underWay: ReadonlyMap<number, Operation<Action, Result>>,
  model: Model<State, Action, Result>,
): Configuration<State>[] {
  const bit = 1 << client
  const seen = new Set<string>()
  const settled = new Map<string, Configuration<State>>()
  const open = [...from]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const key = `${next.done}|${model.keyOf(next.state)}`
    if (seen.has(key)) continue
    seen.add(key)
    if ((next.done & bit) !== 0) {
      const done = next.done & ~bit
      settled.set(`${done}|${model.keyOf(next.state)}`, { state: next.state, done })
      continue
    }
    for (const [other, { action, result }] of underWay) {
      if ((next.done & (1 << other)) !== 0) continue
      const state = model.step(next.state, action, result)
      if (state !== IMPOSSIBLE) open.push({ state, done: next.done | (1 << other) })
    }
  }
  return [...settled.values()]
}

/* ---- what a key does ---- */

export type KeyAction =
  | { readonly name: 'get' }
  | { readonly name: 'set'; readonly value: string }
  | { readonly name: 'del' }
  | { readonly name: 'incr' }

/** GET: the value; SET: 'OK'; DEL and INCR: the number. */
export type KeyResult = string | number | null

export const keyModel: Model<string | null, KeyAction, KeyResult> = {
  initial: null,
  keyOf: (state) => (state === null ? '-' : `+${state}`),
  step(state, action, result) {
    const fits = (expected: KeyResult): boolean => result === undefined || result === expected
    switch (action.name) {
      case 'get':
        return fits(state) ? state : IMPOSSIBLE
      case 'set':
        return action.value
      case 'del':
        return fits(state === null ? 0 : 1) ? null : IMPOSSIBLE
      case 'incr': {
        const after = Number(state ?? 0) + 1
        return fits(after) ? String(after) : IMPOSSIBLE
      }
    }
  },
}

/** Several keys that are written and read together: MSET and MGET. */
export type GroupAction =
  { readonly name: 'mget' } | { readonly name: 'mset'; readonly values: readonly string[] }

export function groupModel(
  keys: number,
): Model<readonly (string | null)[], GroupAction, readonly (string | null)[] | 'OK'> {
  return {
    initial: Array.from({ length: keys }, () => null),
    keyOf: (state) => JSON.stringify(state),
    step(state, action, result) {
      if (action.name === 'mset') return action.values
      const isSame = result === undefined || JSON.stringify(result) === JSON.stringify(state)
      return isSame ? state : IMPOSSIBLE
    },
  }
}
