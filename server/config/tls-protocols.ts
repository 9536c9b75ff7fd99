/** What `tls-protocols` means. */

export type TlsProtocol = 'TLSv1.2' | 'TLSv1.3'

const all: readonly TlsProtocol[] = ['TLSv1.2', 'TLSv1.3']

/** The versions that these words name, the oldest first; without a word all of them. Null: one is unknown. */
export function readProtocols(words: string): readonly TlsProtocol[] | null {
  const named = new Set(words.toLowerCase().split(/\s+/).filter(Boolean))
  if (named.size === 0) return all
  const chosen = all.filter((one) => named.has(one.toLowerCase()))
  return chosen.length === named.size ? chosen : null
}
