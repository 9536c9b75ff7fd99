/**
 * Names of elements in the order of their beginnings. Throws where the text is no well-formed XML of
 * the kind that a chart is: elements, attributes in double quotes, text, the five entities.
 */
export function elementsOf(xml: string): string[] {
  const open: string[] = []
  const names: string[] = []
  const token =
    /<(\/?)([a-z]+)((?: [\w:-]+="[^"<>&]*")*)(\/?)>|([^<>&]|&(?:amp|lt|gt|quot|apos);)+/y
  while (token.lastIndex < xml.length) {
    const at = token.lastIndex
    const found = token.exec(xml)
    if (found === null) throw new Error(`not well-formed: ${xml.slice(at, at + 40)}`)
    const [all, isEnd, name, attributes = '', isEmpty] = found
    if (name === undefined) {
      if (open.length === 0 && all.trim() !== '') throw new Error('text outside of the root')
      continue
    }
    const keys = [...attributes.matchAll(/ ([\w:-]+)=/g)].map(([, key]) => key)
    if (new Set(keys).size < keys.length) throw new Error(`an attribute twice: ${all}`)
    if (isEnd === '/') {
      if (open.pop() !== name) throw new Error(`${all} ends nothing`)
      continue
    }
    if (open.length === 0 && names.length > 0) throw new Error('two roots')
    names.push(name)
    if (isEmpty !== '/') open.push(name)
  }
  if (open.length > 0) throw new Error(`${open.join(', ')} not ended`)
  return names
}
