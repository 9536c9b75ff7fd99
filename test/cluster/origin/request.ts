import type { LoadRequest, OriginGroup, WriteRequest } from '../../../cluster/origin/loader.ts'

/** A group named `g` with these rules, and nothing that retries or breaks. */
export function originGroup(rules: Partial<OriginGroup> = {}): OriginGroup {
  return {
    name: 'g',
    address: { kind: 'http' },
    origin: '',
    ttlMs: 0,
    timeoutMs: 5000,
    concurrency: 64,
    bodyBytesMax: 1024 ** 2,
    retries: 0,
    breakerFailures: 0,
    breakerOpenMs: 1000,
    honoursCacheControl: true,
    headers: [],
    writes: false,
    ...rules,
  }
}

/** What a loader of this group is asked for a key that is text. */
export function loadRequest(
  group: OriginGroup,
  key: string | Uint8Array,
  rest: Partial<LoadRequest> = {},
): LoadRequest {
  const { signal } = new AbortController()
  return { group, key: Buffer.from(key), params: new Map(), url: '', signal, etag: null, ...rest }
}

/** What it is told to write; null removes. */
export function writeRequest(
  group: OriginGroup,
  key: string,
  value: string | null,
  rest: Partial<WriteRequest> = {},
): WriteRequest {
  const { signal } = new AbortController()
  const bytes = value === null ? null : Buffer.from(value)
  const request = { group, key: Buffer.from(key), params: new Map(), url: '', signal }
  return { ...request, value: bytes, ttlMs: 0, ...rest }
}
