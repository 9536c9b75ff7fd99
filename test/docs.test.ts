import test from 'ava'
import { makePages } from './docs.ts'

for (const { path, text, found } of await makePages()) {
  test(`${path} is what \`npm run docs\` makes of the tables`, (t) => t.is(found, text))
}
