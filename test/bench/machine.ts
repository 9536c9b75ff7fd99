import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

const GIB = 2 ** 30

/** One line that says what a figure was measured on; a figure without it means nothing. */
export function describeMachine(): string {
  const cores = availableParallelism()
  const memory = (totalmem() / GIB).toFixed(0)
  const load = loadavg()[0]!.toFixed(1)
  return `${cores} cores of ${cpus()[0]?.model ?? 'unknown'}, ${memory} GiB, Linux ${release()}, load average ${load} at the start`
}

/** 'v24.1.0' */
export function nodeVersion(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
}

/** '7.0.15' */
export function redisVersion(): string {
  const line = execFileSync('redis-server', ['--version'], { encoding: 'utf8' })
  return / v=(\S+)/.exec(line)?.[1] ?? line.trim()
}

/**
 * User and system time of all threads of a process, in microseconds. /proc/PID/stat has the same in
 * ticks of 10 ms, too coarse for a case that costs a server 100 ms. A thread that ended takes its
 * time with it: not to be used on a process whose threads come and go.
 */
export function cpuMicros(pid: number): number {
  let nanos = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
  }
  return nanos / 1000
}

/** What a process has in memory, in bytes. */
export function residentBytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1])
  return pages * PAGE_BYTES
}

/** Linux's on x86-64, and on most ARM. */
const PAGE_BYTES = 4096

/** File descriptors that a process has open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
