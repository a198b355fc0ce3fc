/** How IP addresses are written. Must not know whose address it is. */
import ipaddr from 'ipaddr.js'

/**
 * An IPv4 client has the address `::ffff:192.0.2.1` on a socket for both versions (RFC 4291 §2.5.5.2). It is written as IPv4, so that one
 * client has one address in the log, in the audit trail and in rate limits, however the server listens. Other text is unchanged.
 */
export function plainAddress(address: string): string {
  if (!/^[0:]*:ffff:/i.test(address) || !ipaddr.IPv6.isValid(address)) return address
  const parsed = ipaddr.IPv6.parse(address)
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : address
}

/** Whether two texts are one address, which has several texts if it is IPv6 (RFC 5952 §1). */
export function isSameAddress(a: string, b: string): boolean {
  if (!ipaddr.isValid(a) || !ipaddr.isValid(b)) return false
  return ipaddr.parse(a).toNormalizedString() === ipaddr.parse(b).toNormalizedString()
}

/** A host name or an IP address with a port. An IPv6 address is in brackets, as in a URL (RFC 3986 §3.2.2). */
export const hostAndPort = (host: string, port: number): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
