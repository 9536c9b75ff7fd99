/* redis-cli, as tests run it; the server's port is PORT in what it prints. */
import { available, run, type Run, type RunningServer } from '../process.ts'

/** Is it here, and what it takes to run it as a newcomer does? */
export const hasRedisCli = ['redis-server', 'redis-cli', 'script', 'stdbuf'].every(available)

export interface CliOptions {
  readonly input?: string | Buffer
  readonly enough?: (stdout: string) => boolean
}

export async function cli(
  server: RunningServer,
  args: string[],
  options: CliOptions = {},
): Promise<Run> {
  const all = ['-p', String(server.port), ...args]
  // Line by line, also into a pipe.
  const done = await run('stdbuf', ['-oL', 'redis-cli', ...all], { timeoutMs: 20_000, ...options })
  const rename = (text: string): string => text.replaceAll(String(server.port), 'PORT')
  return { ...done, stdout: rename(done.stdout), stderr: rename(done.stderr) }
}

/** redis-cli in a terminal of its own, where it shows prompts, help and colours. */
export async function interactive(
  server: RunningServer,
  lines: readonly string[],
): Promise<string> {
  const command = `stty -echo; redis-cli -p ${server.port}`
  const input = [...lines, 'quit', ''].join('\n')
  // A dumb terminal gets no line editing, so what it shows is what is printed.
  const env = { TERM: 'dumb' }
  const done = await run('script', ['-qec', command, '/dev/null'], {
    input,
    env,
    timeoutMs: 20_000,
  })
  const shown = done.stdout.replaceAll(String(server.port), 'PORT').replaceAll('\r', '')
  // The terminal may repeat what was typed before -echo came into force.
  const plain = shown.replaceAll(/\p{Cc}\[[0-9;]*[A-Za-z]/gu, '')
  return plain.slice(plain.indexOf('127.0.0.1:PORT>'))
}
