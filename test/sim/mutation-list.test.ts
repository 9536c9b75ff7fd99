import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { PROJECT } from '../process.ts'
import { mutated, mutations } from './mutation-list.ts'

for (const mutation of mutations) {
  const [name, file] = mutation
  test(`fits the product, once, and changes it: ${name}`, (t) => {
    const text = readFileSync(join(PROJECT, file), 'utf8')
    const changed = mutated(text, mutation)
    t.truthy(changed)
    t.not(changed, text)
  })
}
