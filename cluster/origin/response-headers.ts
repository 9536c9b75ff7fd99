import { freshnessOf, notKept, type ResponseHeaders, textOf } from './cache-control.ts'
import { ETAG_BYTES_MAX, type Loaded, type OriginGroup } from './loader.ts'
import { tagsFault } from './tags.ts'

/** All that a response's headers say of how its value may be kept. */
export function keepingOf(group: OriginGroup, headers: ResponseHeaders): Keeping {
  const tags = tagsOf(headers)
  const fault = tagsFault(tags)
  const says = {
    ...etagOf(headers),
    ...(tags.length === 0 || fault !== null ? {} : { tags }),
  }
  if (fault !== null) return { ...says, ...notKept(`it has ${fault}`) }
  if (!group.honoursCacheControl) return says
  const field = varyingField(group, headers)
  return {
    ...says,
    ...(field === null ? freshnessOf(headers) : notKept(`its Vary names ${field}`)),
  }
}

export type Keeping = Omit<Loaded, 'value' | 'unchanged'>

/** These are the same in every request, because nobody but the group's rules says what they are. */
const SENT_ALIKE: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'origin',
  'user-agent',
])

/**
 * The first field of Vary that says the value is not for everybody; null: there is none. A cookie
 * is not sent either, but who varies by it means an answer for one visitor.
 */
function varyingField(group: OriginGroup, { vary }: ResponseHeaders): string | null {
  for (const name of textOf(vary).split(',')) {
    const field = name.trim().toLowerCase()
    if (field === '' || SENT_ALIKE.has(field)) continue
    if (!group.headers.some(([sent]) => sent.toLowerCase() === field)) return field
  }
  return null
}

/** What is sent back in If-None-Match. A malformed one could not be. */
function etagOf({ etag }: ResponseHeaders): { readonly etag?: string } {
  if (typeof etag !== 'string' || etag.length > ETAG_BYTES_MAX) return {}
  return /^(?:W\/)?"[!#-~]*"$/.test(etag) ? { etag } : {}
}

/** Of Cache-Tag, whose tags are divided by commas, and Surrogate-Key, by spaces. */
function tagsOf(headers: ResponseHeaders): readonly string[] {
  const given = [
    ...textOf(headers['cache-tag']).split(','),
    // More than one header has commas between, which are none of its tags.
    ...[headers['surrogate-key'] ?? []].flat().flatMap((keys) => keys.split(/\s+/)),
  ]
  return [...new Set(given.map((tag) => tag.trim()).filter((tag) => tag !== ''))]
}
