/*
 * What must be true of every run, each a named check over what clients saw (history.ts), what the
 * origin was asked (origin.ts) and what the nodes say of the ring. The names are those of the promises
 * in docs/cluster.md.
 *
 * A miss is always allowed while something is disturbed. An old value is one whose write had ended
 * before a newer write of the key began. It may be read for STALE_MS after the newer one was
 * acknowledged, and for good only where that newer one was made while a partition kept sides apart:
 * then it may have been made on the side that gives way. One link that is cut, and nothing else, is no
 * partition: as soon as its two nodes have noticed all is as if it was whole.
 */
import { ERR_CLUSTER_READS_ONLY } from '../../protocol/errors.ts'
import type { Disturbance, History, Read, Step, Write } from './history.ts'
import {
  GROUP_TIMEOUT_MS,
  GROUP_TTL_MS,
  GROUP_WAIT_MS,
  isGrouped,
  LAX_IF_ERROR_MS,
  LAX_NEGATIVE_MS,
  LAX_STALE_MS,
  LAX_TTL_MS,
} from './cluster.ts'
import { isAbsent, isLax, type SeenLoad, type SimOrigin } from './origin.ts'

/** How long other nodes may serve an old value after the newer one's acknowledgement. */
export const STALE_MS = 2000

/** An owner tells those who have copies of a change within this, over links that take up to 65 ms. */
const TELL_MS = 300

/** In this time a node has noticed that others are gone. */
const ALONE_MS = 2000

/** After a disturbance everything agrees again within this. */
export const AGREE_MS = 5000

/** A stall shorter than this goes unnoticed by requests (cluster/peers/frame.ts, SILENCE_MS). */
export const SHORT_STALL_MS = 250

/** A node whose link stalls for less is not missed by others (cluster/members/membership.ts): it stays the owner. */
export const UNMISSED_MS = 350

/** Who does not hear a node knows by then that others do, and asks it by way of them. */
const NOTICED_MS = 1000

const ERRORS_MAX = 0.02

/** What a write is told where there are too few nodes. Other lines begin with the same word. */
export const REFUSED = ERR_CLUSTER_READS_ONLY

export interface Violation {
  readonly invariant: string
  readonly at: number
  readonly text: string
  /** By which the trace is searched. */
  readonly about: string
}

export interface Run {
  readonly history: History
  readonly origin: SimOrigin
  /** Nodes were given different lists: then they need not agree, but answer. */
  readonly listsDiffer: boolean
  /** Nodes keep copies of others' hot keys. */
  readonly isHot: boolean
  /** `cluster-min-members`. */
  readonly minMembers: number
  readonly report: (violation: Violation) => void
}

type Check = (run: Run) => void

/** Values come from a client or the origin, of this key and group. */
function neverProduced(run: Run): void {
  const { history, origin, report } = run
  for (const [key, reads] of history.reads) {
    const written = new Set((history.writes.get(key) ?? []).map(({ value }) => value))
    for (const { value, node, end } of reads) {
      if (value === null || written.has(value)) continue
      const made = madeByOrigin(value)
      const isRight =
        made !== null &&
        made.key === key &&
        !isAbsent(key, made.version) &&
        key.startsWith(`${made.group}:`) &&
        (origin.versionsOf(key)[made.version] ?? Infinity) <= end
      if (isRight) continue
      const isOfOther = made !== null && !key.startsWith(`${made.group}:`)
      const named =
        isOfOther || value.split('|').some((word) => word !== key && /^[a-z]+:/.test(word))
      const invariant = named ? 'C11 groups and keys never share values' : 'no value is made up'
      report({ invariant, at: end, about: key, text: `${node} answered ${value} for ${key}` })
    }
  }
}

/** C2, C3, C4, C6: old values. */
function staleness(run: Run): void {
  const { history, report } = run
  if (run.listsDiffer) return
  for (const [key, reads] of history.reads) {
    const writes = history.writes.get(key) ?? []
    const newer = writes.filter((write) => {
      return write.acked && !mayBeLost(run, write) && !isPostponed(write, writes)
    })
    for (const read of reads) {
      if (read.value === null) continue
      const from = madeByOrigin(read.value)
      const by = writes.find(({ value }) => value === read.value)
      const madeAt = from === null ? (by?.end ?? Infinity) : askedAt(run, from, read)
      const passed = newer.find((write) => {
        const seenFrom = Math.max(write.end, write.effectAt)
        if (madeAt >= write.start || seenFrom > read.start) return false
        const allowedMs = isCalm(run, write.start, read.end) ? calmMs(run, write, read) : STALE_MS
        return seenFrom + allowedMs <= read.start
      })
      if (passed === undefined) continue
      const old = Math.round(read.start - Math.max(passed.end, passed.effectAt))
      report({
        invariant: nameOfStale(history, passed, read),
        at: read.end,
        about: key,
        text:
          `${read.node} answered ${read.value} for ${key}, ${old} ms after the ` +
          `${passed.kind} of ${String(passed.value)} by ${passed.node} was acknowledged`,
      })
    }
  }
}

/** Where nothing happens: how long after a write's end it may not be seen yet. */
function calmMs({ isHot }: Run, write: Write, read: Read): number {
  // Copies of others are told, but who wrote through a node reads that through it.
  return !isHot || read.atOwner || read.node === write.node ? 0 : TELL_MS
}

/** When the origin was last asked for what somebody read. */
function askedAt({ origin }: Run, from: { key: string; version: number }, read: Read): number {
  const loads = origin.loads.filter(({ key, version, start }) => {
    return key === from.key && version === from.version && start <= read.end
  })
  return loads.at(-1)?.start ?? Infinity
}

function nameOfStale({ disturbances }: History, write: Write, read: Read): string {
  const between = disturbances.filter(({ start, end }) => {
    return start <= read.end && end + AGREE_MS >= write.start
  })
  const had = (kind: Disturbance['kind']): boolean => between.some((one) => one.kind === kind)
  if (had('freeze')) return 'C3 a thawed owner never brings old values back'
  if (had('crash')) return 'C4 who rejoins serves no key that moved'
  if (had('cut')) return 'C6 entries of slots no longer owned are never merged'
  return 'C2 a write is seen at the owner at once, everywhere within 2 s'
}

/** Was it made where it may have to give way? */
function mayBeLost({ history }: Run, { start, end }: Write): boolean {
  return history.disturbances.some((one) => {
    const { kind } = one
    return (kind === 'cut' || kind === 'stall') && touches(history, one, { from: start, to: end })
  })
}

/**
 * Does a disturbance, or what it leaves behind, reach into this time? `leftMs`: what the next node answered
 * before a single bad link was noticed is seen for so long.
 */
function touches(
  history: History,
  one: Disturbance,
  { from, to, leftMs = 0 }: { from: number; to: number; leftMs?: number },
): boolean {
  const isNoticed = one.isOneLink === true && history.isAlone(one, AGREE_MS)
  const over = isNoticed ? one.start + NOTICED_MS + leftMs : one.end + AGREE_MS
  return one.start <= to && Math.min(over, one.end + AGREE_MS) >= from
}

/** An EXPIRE counts only if no other came after it, or at about the same time. */
function isPostponed(write: Write, writes: readonly Write[]): boolean {
  if (write.kind !== 'expire') return false
  return writes.some((other) => {
    return other !== write && other.kind === 'expire' && other.end > write.start
  })
}

function isCalm({ history }: Run, from: number, to: number): boolean {
  return !history.disturbances.some((one) => touches(history, one, { from, to, leftMs: STALE_MS }))
}

/** Did no key change hands? What is not repeatable is then done by its owner, or not at all. */
function hasOneOwner({ history }: Run, from: number, to: number): boolean {
  return !history.disturbances.some((one) => {
    const isUnmissed = one.kind === 'stall' && one.end - one.start < UNMISSED_MS
    return !isUnmissed && touches(history, one, { from, to })
  })
}

/** C2: what was written is there, as long as nothing happens. */
function nothingIsLost(run: Run): void {
  const { history, report } = run
  if (run.listsDiffer) return
  for (const [key, reads] of history.reads) {
    const writes = history.writes.get(key) ?? []
    for (const read of reads) {
      if (read.value !== null) continue
      const before = writes.filter(({ start }) => start < read.end)
      const last = before.at(-1)
      if (last === undefined || !last.acked || last.kind === 'del' || last.kind === 'expire')
        continue
      if (last.end > read.start || !isCalm(run, last.start, read.end)) continue
      if (before.some((other) => other !== last && other.end > last.start)) continue
      report({
        invariant: 'C2 a write is seen at the owner at once, everywhere within 2 s',
        at: read.end,
        about: key,
        text: `${read.node} answered nil for ${key} after ${String(last.value)} was acknowledged`,
      })
    }
  }
}

/** C2: nil is the answer for what the origin does not have, or does not give in time. */
function nilIsRight(run: Run): void {
  const { history, origin, report } = run
  if (run.listsDiffer) return
  for (const [key, reads] of history.reads) {
    if (!isGrouped(key)) continue
    const loads = origin.loads.filter((load) => load.key === key)
    const writes = (history.writes.get(key) ?? []).filter(({ acked }) => acked)
    for (const { value, start, end, node } of reads) {
      if (value !== null) continue
      const isExcused = loads.some((load) => {
        if (load.start > end) return false
        if (load.end - load.start >= GROUP_WAIT_MS && load.start + GROUP_TIMEOUT_MS >= start)
          return true
        const ended = writes.some((write) => write.start > load.start && write.end < start)
        return load.outcome === 'missing' && load.end + LAX_NEGATIVE_MS >= start && !ended
      })
      if (isExcused || !isCalm(run, start - LAX_NEGATIVE_MS, end)) continue
      const text = `${node} answered nil for ${key}, which the origin has`
      report({ invariant: 'C2 what the origin has is there', at: end, about: key, text })
    }
  }
}

/** C2: what was loaded ends with its time; of a group with `stale-if-error` later, where a load fails or is slow. */
function ttlHolds({ history, origin, report }: Run): void {
  for (const [key, reads] of history.reads) {
    if (!isGrouped(key)) continue
    const loads = origin.loads.filter((load) => load.key === key)
    for (const { value, start, end, node } of reads) {
      const made = value === null ? null : madeByOrigin(value)
      const from = loads.findLast((load) => {
        return load.version === made?.version && load.outcome === 'value' && load.end <= end
      })
      const ageMs = start - (from?.end ?? Infinity)
      if (ageMs <= (isLax(key) ? LAX_TTL_MS + LAX_STALE_MS : GROUP_TTL_MS)) continue
      const isExcused = isLax(key) && ageMs <= LAX_TTL_MS + LAX_IF_ERROR_MS
      if (isExcused && loads.some((load) => hasFailed(load, start, end))) continue
      const text = `${node} answered ${value} for ${key}, ${Math.round(ageMs)} ms after it was loaded`
      report({ invariant: 'C2 what was loaded ends with its ttl', at: end, about: key, text })
    }
  }
}

/** Did it fail, or take longer than anybody waits, in this time? */
function hasFailed(load: SeenLoad, from: number, to: number): boolean {
  if (load.start > to) return false
  if (load.outcome === 'error') return load.end >= from
  return load.end - load.start >= GROUP_WAIT_MS && load.start + GROUP_TIMEOUT_MS >= from
}

/** C1, C3: one load a key and view, two while a view changes; each fault changes it anew. */
function loads(run: Run): void {
  const { history, origin, report } = run
  if (run.listsDiffer) return
  const byKey = new Map<string, typeof origin.loads>()
  for (const load of origin.loads) byKey.set(load.key, [...(byKey.get(load.key) ?? []), load])
  for (const [key, all] of byKey) {
    // A load that a SET came in between asks again, if its origin says that nothing has changed.
    const changes = (history.writes.get(key) ?? []).filter(({ kind }) => kind !== 'expire')
    for (const [i, load] of all.entries()) {
      const hadChange = changes.some(
        ({ start, end }) => start <= load.start && end >= all[Math.max(0, i - 2)]!.start,
      )
      if (hadChange) continue
      const before = all[i - 1]
      if (before === undefined) continue
      const isStillGood = load.start < goodUntil(before)
      if (isStillGood && isCalm(run, before.start - 1, load.start)) {
        const text = `${load.node} loaded ${key}, which ${before.node} had loaded or was loading`
        report({ invariant: 'C1 one load per cold key and view', at: load.start, about: key, text })
      }
      const first = all[i - 2]
      if (first === undefined) continue
      const together = [first, before].filter((other) => {
        const end = Math.min(other.end, other.start + GROUP_TIMEOUT_MS - 1)
        return end > load.start && other.node !== load.node
      })
      if (together.length < 2 || first.node === before.node) continue
      const times = { from: first.start - 1, to: load.start }
      const changing = history.disturbances.filter((one) => touches(history, one, times))
      if (changing.length < 2) {
        const text = `${first.node}, ${before.node} and ${load.node} load ${key} at once`
        report({ invariant: 'C3 at most two loads a key', at: load.start, about: key, text })
      }
    }
  }
}

/** Until when a load need not be repeated, if nothing happens. */
function goodUntil({ key, start, end, outcome }: SeenLoad): number {
  if (outcome === 'none') return start + GROUP_TIMEOUT_MS - 1
  if (outcome === 'error') return -Infinity
  if (!isLax(key)) return end + GROUP_TTL_MS
  return end + (outcome === 'missing' ? LAX_NEGATIVE_MS : LAX_TTL_MS) - 1
}

/** C12: each INCRBY is counted once, if at all; what was acknowledged is, as long as nothing happens. */
function counters(run: Run): void {
  const { history, report } = run
  const invariant = 'C12 INCR happens at the owner only and is never repeated'
  for (const { key, value, own, start, end } of history.sums) {
    const fail = (text: string): void => report({ invariant, at: end, about: key, text })
    const counts = history.counts.get(key) ?? []
    const digits = [...value.toString(4)].reverse()
    for (const [digit, times] of digits.entries()) {
      if (times === '0') continue
      const count = counts.find((one) => one.digit === digit)
      if (times !== '1') fail(`4^${digit} was counted ${times} times in ${key}`)
      else if (count === undefined || count.start > end) fail(`4^${digit} of ${key} is nobody's`)
    }
    if (own >= 0 && digits[own] !== '1') fail(`an INCRBY of ${key} did not count itself`)
    if (run.listsDiffer) continue
    // A GET may be answered with a copy that is not told yet.
    const toldMs = run.isHot && own < 0 ? TELL_MS : 0
    for (const count of counts) {
      if (!count.acked || count.end + toldMs >= start || (digits[count.digit] ?? '0') !== '0')
        continue
      // A read that the owner did not answer may have been answered by the next node, with a miss.
      const isOwners = own >= 0 ? hasOneOwner : isCalm
      if (isOwners(run, count.start, end))
        fail(`an acknowledged 4^${count.digit} of ${key} is lost`)
    }
  }
}

/** C12: of those who SET NX a key one hears yes. */
function locks(run: Run): void {
  const { history, report } = run
  if (run.listsDiffer) return
  const invariant = 'C12 SET NX happens at the owner only and is never repeated'
  for (const [key, writes] of history.writes) {
    const taken = writes.filter(({ kind }) => kind === 'setnx')
    if (taken.length === 0) continue
    const others = writes.filter(({ kind }) => kind !== 'setnx')
    for (const [i, one] of taken.entries()) {
      if (!one.acked) continue
      for (const two of taken.slice(i + 1)) {
        if (!two.acked) continue
        const [from, to] = [one.start, Math.max(one.end, two.end)]
        if (others.some(({ start, end }) => start <= to && end >= from)) continue
        if (!hasOneOwner(run, from, to)) continue
        const text = `${String(one.value)} and ${String(two.value)} both got ${key}`
        report({ invariant, at: to, about: key, text })
      }
    }
    const values = new Map((history.reads.get(key) ?? []).map((read) => [read.value, read]))
    for (const write of taken) {
      // It was answered that somebody else has it.
      const read = values.get(write.value)
      if (write.acked || write.end === Infinity || read === undefined) continue
      const text = `${String(write.value)} was refused ${key}, and has it`
      report({ invariant, at: read.end, about: key, text })
    }
  }
}

/** C3 to C7: every request ends, and within its time. */
function deadlines({ history, report }: Run): void {
  for (const step of history.steps) {
    const tookMs = step.end - step.start
    if (step.outcome !== 'open' && tookMs <= step.limitMs) continue
    if (befell(history, ['freeze', 'crash', 'leave'], step)) continue
    const took = step.outcome === 'open' ? 'did not end' : `took ${Math.round(tookMs)} ms`
    const text = `${step.client} at ${step.node}: ${step.words} ${took} (${step.outcome} ${step.line})`
    report({
      invariant: 'C5 every request ends within its time',
      at: Math.min(step.end, step.start + step.limitMs),
      about: step.words.split(' ')[1] ?? '',
      text,
    })
  }
}

/** Did one of these befall the client's own node meanwhile? */
function befell(
  { disturbances }: History,
  kinds: readonly Disturbance['kind'][],
  step: Step,
): boolean {
  return disturbances.some(({ kind, nodes, start, end }) => {
    const isIts = kinds.includes(kind) && nodes[0] === step.node
    return isIts && start <= step.end && end >= step.start
  })
}

/** C4: few errors, where nothing but a crash, or a restart, happened; none, where nodes just come and go. */
function errorsAreFew({ history, report }: Run): void {
  const kinds = new Set(history.disturbances.map(({ kind }) => kind))
  if ([...kinds].some((kind) => !['crash', 'leave', 'join'].includes(kind))) return
  const told = history.steps.filter(({ outcome }) => outcome === 'value' || outcome === 'error')
  const errors = told.filter((step) => {
    const { outcome, line } = step
    if (outcome !== 'error' || line.startsWith('ORIGIN') || line === REFUSED) return false
    // What a node that ends is still asked may be under way when it has ended.
    return !befell(history, ['leave'], step)
  })
  if (errors.length <= (kinds.has('crash') ? told.length * ERRORS_MAX : 0)) return
  const text = `${errors.length} errors of ${told.length} answers: ${errors[0]!.line}`
  const invariant = kinds.has('crash') ? 'C4 at most 2 % errors' : 'C9 no error at join and leave'
  report({ invariant, at: errors[0]!.end, about: errors[0]!.words.split(' ')[1] ?? '', text })
}

/** C6: with `cluster-min-members` a minority does not write, and the others do. */
function minorities(run: Run): void {
  const { history, listsDiffer, minMembers, report } = run
  const invariant = 'C6 a minority refuses writes, nobody else does'
  for (const { words, node, start, end, outcome, line, aloneMs } of history.steps) {
    const about = words.split(' ')[1] ?? ''
    const isRead = words.startsWith('GET ') || words.startsWith('MGET ')
    if (outcome === 'value' && !isRead && aloneMs >= ALONE_MS) {
      const text = `${node} took ${words}, ${Math.round(aloneMs)} ms after it had too few others`
      report({ invariant, at: end, about, text })
    }
    const isRefused = outcome === 'error' && line === REFUSED
    if (isRefused && !listsDiffer && (minMembers === 0 || isCalm(run, start, end))) {
      report({ invariant, at: end, about, text: `${node} refused ${words}` })
    }
  }
}

/** Group, key and version of a value that the origin made; null: it is none. */
function madeByOrigin(value: string): { group: string; key: string; version: number } | null {
  const words = value.split('|')
  if (words.length !== 4 || words[0] !== 'o') return null
  return { group: words[1]!, key: words[2]!, version: Number(words[3]) }
}

/** Those that look at the whole run when it is over. */
export const checks: readonly Check[] = [
  neverProduced,
  staleness,
  nothingIsLost,
  nilIsRight,
  ttlHolds,
  loads,
  counters,
  locks,
  deadlines,
  errorsAreFew,
  minorities,
]
