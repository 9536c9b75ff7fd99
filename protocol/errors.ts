/** CONTRACT: to be extended by the implementation; every line a client can get, word for word, without '-' and CRLF. */
export const ERR_SYNTAX = 'ERR syntax error'
