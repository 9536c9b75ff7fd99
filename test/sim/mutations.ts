/*
 * Does the simulator see what it is there for? Each mutation takes one mechanism out of a copy of the
 * product; then seeds run until one of them fails.
 *
 *     npm run sim:mutations -- [--seeds 200] [--only 'a part of a name'] [--faults crash,leave]
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FAULTS } from './faults.ts'
import { mutated, type Mutation, mutations } from './mutation-list.ts'

function mutate(root: string, mutation: Mutation): void {
  const path = join(root, mutation[1])
  const text = mutated(readFileSync(path, 'utf8'), mutation)
  if (text === null) throw new Error(`'${mutation[0]}' does not fit ${mutation[1]} any more`)
  writeFileSync(path, text)
}

/** Which seed fails first, and what it breaks; null: none. */
function firstFailure(root: string, seeds: number, faults: string): string | null {
  const args = ['dist/test/sim/sim.js', '--first', '--workers', '1', '--seeds', String(seeds)]
  args.push('--faults', faults)
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  if (run.status === 0) return null
  const [, summary = ''] = run.stdout.split('hash of all: ')
  const broken = summary
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
  const names = new Set(broken.map((line) => line.trim().split(/[ ,]/)[0]!))
  const seed = /: (\d+)$/.exec(broken[0] ?? '')?.[1]
  if (seed !== undefined) return `seed ${seed}: ${[...names].join(' ')}`
  return /^(?:\w*Error|AssertionError).*$/m.exec(run.stderr)?.[0] ?? 'it ends'
}

function tryOne(mutation: Mutation, seeds: number, faults: string): void {
  const root = mkdtempSync(join(tmpdir(), 'ringtier-mutation-'))
  try {
    for (const name of [
      'cluster',
      'protocol',
      'server',
      'test',
      'dist',
      'tsconfig.json',
      'package.json',
    ]) {
      cpSync(name, join(root, name), { recursive: true })
    }
    symlinkSync(join(process.cwd(), 'node_modules'), join(root, 'node_modules'))
    mutate(root, mutation)
    const tsc = join(root, 'node_modules', '.bin', 'tsc')
    // What is left unused is an error, and is built all the same.
    spawnSync(tsc, ['-p', 'tsconfig.json'], { cwd: root, stdio: 'pipe' })
    const failure = firstFailure(root, seeds, faults)
    console.log(`${mutation[0]} | ${failure ?? `not in ${seeds} seeds`}`)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
    faults: { type: 'string', default: FAULTS.join() },
  },
})
for (const mutation of mutations) {
  if (mutation[0].includes(values.only)) tryOne(mutation, Number(values.seeds), values.faults)
}
