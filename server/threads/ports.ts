import { MessageChannel, type MessagePort } from 'node:worker_threads'

/** A port from each of these threads to each other, by their rows: each end is to be given to its thread. */
export function portsBetween(
  rows: readonly number[],
): ReadonlyMap<number, ReadonlyMap<number, MessagePort>> {
  const ports = new Map(rows.map((row) => [row, new Map<number, MessagePort>()]))
  for (const one of rows) {
    for (const other of rows) {
      if (one >= other) continue
      const { port1, port2 } = new MessageChannel()
      ports.get(one)!.set(other, port1)
      ports.get(other)!.set(one, port2)
    }
  }
  return ports
}
