/** Changes of the product that the simulator must see, for mutations.ts; a test sees to it that they fit. */

/** What is changed: the name, the file, a text that is in it once, and what stands there instead. */
export type Mutation = readonly [name: string, file: string, from: string, to: string]

export const mutations: readonly Mutation[] = [
  [
    'who is told to rejoin forgets nothing',
    'server/cluster/owned-slots.ts',
    'if (!this.#begins(slots, -1)) return false\n    // Who',
    '// Who',
  ],
  [
    'who thaws does not ask whether it was missed',
    'server/cluster/owned-slots.ts',
    '    this.doubt.raise()\n',
    '',
  ],
  [
    'what others sent before a node stood still is run',
    'server/cluster/owned-slots.ts',
    'if (before > 0) this.#server.ask',
    'if (before > Infinity) this.#server.ask',
  ],
  [
    'entries of lost slots stay visible',
    'cluster/ownership/slot-states.ts',
    'Atomics.store(this.#states, slot, STALE)',
    'Atomics.store(this.#states, slot, CLEAN)',
  ],
  [
    'what a visit left stays visible',
    'cluster/ownership/slot-states.ts',
    'if (state === DISTURBED || (state === VISITED && isLong)) {',
    'if (state === DISTURBED) {',
  ],
  [
    'a gained slot is own before what was hidden is removed',
    'server/cluster/owned-slots.ts',
    'if (slotStates.hidesSome(slot)) this.#pending.add(slot)\n      else ',
    '',
  ],
  ['PEER TAKE leaves the entry', 'server/cluster/moved-entry.ts', '  store.remove()\n', ''],
  [
    'a key is asked for of its old owner again',
    'cluster/ownership/handoff-fence.ts',
    'Atomics.or(this.#bits, bit >>> 5, 1 << (bit & 31))',
    'void bit',
  ],
  [
    'what was asked for before all was forgotten is taken',
    'server/cluster/takeover.ts',
    'forgotten === this.#forgotten && number === this.#fence.numberOf(slot)',
    'forgotten >= 0 && number > 0',
  ],
  [
    'what arrives overwrites what was written meanwhile',
    'server/cluster/takeover.ts',
    'const isFree = !found && store.leaseToken() === 0',
    'const isFree = found || !found',
  ],
  [
    'who leaves runs what is still sent to it',
    'server/cluster/handoff.ts',
    'this.fence.phase >= HAS_LEFT\n',
    'this.fence.phase > 99\n',
  ],
  [
    'a hunt sends INCR again',
    'cluster/routes/hunt.ts',
    'mayHaveRun && !hunt.repeatable',
    'hunt.until < 0',
  ],
  ['a hunt takes three seconds', 'cluster/routes/hunt.ts', 'HUNT_MS = 1000', 'HUNT_MS = 3000'],
  [
    'a request of another node is passed on',
    'server/dispatch.ts',
    'if (client.peer === null) {\n    if (routing.takes(client, entry)) return true\n  } else if',
    'if (routing.takes(client, entry)) return true\n  if (client.peer !== null) if',
  ],
  [
    'a load fills whatever lease there is',
    'server/store/store.ts',
    'const stands = this.#hasLease(token)\n    let stored = false\n    const isDead',
    'const stands = token > 0\n    let stored = false\n    const isDead',
  ],
  [
    'each miss is a load of its own',
    'cluster/loads/loads.ts',
    'this.#flights.get(miss.token)\n    if (this.#closed)',
    'this.#flights.get(-1)\n    if (this.#closed)',
  ],
  [
    'values live for twice their ttl',
    'cluster/loads/keeping.ts',
    'loaded.freshMs ?? group.ttlMs',
    'loaded.freshMs ?? 2 * group.ttlMs',
  ],
  [
    'negative answers live for four times as long',
    'cluster/loads/keeping.ts',
    'Math.floor(now) + group.negativeMs',
    'Math.floor(now) + 4 * group.negativeMs',
  ],
  [
    'a group has keys that begin like its own',
    'cluster/groups/pattern.ts',
    'if (bytes[pos + i] !== literal[i]) return false',
    'if (i < 4 && bytes[pos + i] !== literal[i]) return false',
  ],
  [
    'copies are not told of changes',
    'cluster/hot/copies.ts',
    '?.owner === source.owner && this.#shelf.delete(name)',
    "?.owner === ''",
  ],
  [
    'a copy outlives a write through its own node',
    'cluster/hot/copies.ts',
    'now >= copy.until || this.#options.stamps.of(copy.slot) !== copy.stamp',
    'now >= copy.until',
  ],
  [
    'a copy that a change has overtaken is kept',
    'cluster/hot/copies.ts',
    'if (grant.number < source.taken) return\n',
    '',
  ],
  [
    'copies outlive the silence of their owner',
    'cluster/hot/copies.ts',
    'now - source.heardAt <= SILENT_MS',
    'now >= source.heardAt',
  ],
  [
    'copies outlive a gap in what is told',
    'cluster/hot/copies.ts',
    '    if (this.#shelf.countOf(source.owner) > 0) this.#flushes++\n    this.#shelf.deleteWhere(({ owner }) => owner === source.owner)\n',
    '',
  ],
  [
    'copies outlive a change of the ring',
    'server/cluster/routing.ts',
    'membership.onChange(() => copied.copies.clear())\n',
    '',
  ],
  [
    'a minority writes',
    'server/cluster/min-members.ts',
    'const minority = heard < min',
    'const minority = heard < 0 * min',
  ],
  [
    'any proof will do',
    'cluster/peers/handshake.ts',
    'return wellFormed && timingSafeEqual(given, expected)',
    'return wellFormed || timingSafeEqual(expected, expected)',
  ],
  [
    'owners depend on who looks',
    'cluster/members/membership.ts',
    'this.#ring.add(...list.all)',
    'this.#ring.add(...list.all.map((one) => ({ ...one, weight: one.name === list.self.name ? 2 : 1 })))',
  ],
  [
    'slots are dealt by turns',
    'cluster/ring.ts',
    'this.#table[slot] = indexes.get(nearer(slot, coming, last).name)!',
    'this.#table[slot] = slot % indexes.size',
  ],
]

/** The text with the change; null: it does not fit any more. */
export function mutated(text: string, [, , from, to]: Mutation): string | null {
  return text.split(from).length === 2 ? text.replace(from, () => to) : null
}
