/*
 * The generator's process: does what its parent asks, one thing at a time, and answers.
 */
import { load, setKeys } from './load.ts'
import type { Answer, Question } from './generator.ts'

process.on('message', (question: Question) => void answer(question))
process.on('disconnect', () => process.exit())

async function answer(question: Question): Promise<void> {
  process.send!(await run(question))
}

async function run(question: Question): Promise<Answer> {
  const { target } = question
  try {
    if (question.kind === 'load') {
      return { figures: await load(target, question.case, question.window) }
    }
    await setKeys(target, question.filling)
    return {}
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
