/** The bytes of what trackers are told. Keys are latin1 text; null: all keys. */

/** A push of RESP3. */
export function invalidation(keys: readonly string[] | null): Buffer {
  return bytesOf('>2\r\n$10\r\ninvalidate\r\n', keys, '_\r\n')
}

/** A message as a subscriber hears it in RESP2, whatever it is subscribed to. */
export function invalidationMessage(keys: readonly string[] | null): Buffer {
  return bytesOf('*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n', keys, '$-1\r\n')
}

/** A push of RESP3: the client to which messages were redirected is gone. */
export function redirectionBroken(redirect: number): Buffer {
  return Buffer.from(`>2\r\n$21\r\ntracking-redir-broken\r\n:${redirect}\r\n`)
}

function bytesOf(head: string, keys: readonly string[] | null, all: string): Buffer {
  if (keys === null) return Buffer.from(head + all)
  const parts = keys.map((key) => `$${key.length}\r\n${key}\r\n`)
  return Buffer.from(`${head}*${keys.length}\r\n${parts.join('')}`, 'latin1')
}
