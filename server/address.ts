import { isLoopback } from '../cluster/members/membership.ts'

/** The host of a socket's 'host:port' or '[host]:port'; an IPv4 address is not dressed as IPv6. */
function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(':')))
  return host.replace(/^\[|\]$/g, '').replace(/^::ffff:(?=\d+\.)/, '')
}

/** Does the other side sit on this machine? So does a stream without an address: our own process. */
export function isLocal(address: string): boolean {
  return address === '' || isLoopback(hostOf(address))
}
