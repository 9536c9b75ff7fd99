/** Tags of one value. */
export const TAGS_MAX = 64
/** Of one tag, in UTF-8. */
export const TAG_BYTES_MAX = 256

/** What is wrong with a value's tags, to go on after "it has"; null: nothing is. */
export function tagsFault(tags: readonly string[]): string | null {
  if (tags.length > TAGS_MAX) return `more than ${TAGS_MAX} tags`
  const tooLong = tags.some((tag) => Buffer.byteLength(tag) > TAG_BYTES_MAX)
  return tooLong ? `a tag longer than ${TAG_BYTES_MAX} bytes` : null
}
