import test from 'ava'
import { elementsOf } from './elements-of.ts'
import { line, svg, text } from './svg.ts'

test('what is not well-formed is found', (t) => {
  t.deepEqual(elementsOf('<svg a="b"><g/>&lt;</svg>\n'), ['svg', 'g'])
  for (const wrong of ['<svg>', '<svg></g>', '<svg>&</svg>', '<svg a=b/>', '<svg a="1" a="2"/>']) {
    t.throws(() => elementsOf(wrong))
  }
  for (const wrong of ['<svg/><svg/>', '<svg/>x', '<svg><</svg>', '<svg a="<"/>']) {
    t.throws(() => elementsOf(wrong))
  }
})

test('a document is well-formed, whatever is written in it', (t) => {
  const lines = [line(0, 1.26, 2, 3, 'grid'), text(1, 2, '<&>', 'faint', 'end')]
  const xml = svg({ height: 10, title: 'a & b', description: '1 < 2', lines })
  t.deepEqual(elementsOf(xml), ['svg', 'title', 'desc', 'style', 'text', 'path', 'text'])
  t.true(xml.includes('M0 1.3L2 3'))
})
