import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { plainAddress } from '../ip-address.ts'

/**
 * The prefix under which guesses are counted together: an IPv4 address, or the /64 of an IPv6 address. A household or a rented
 * server has a whole /64 (RFC 6177 §2) with 2^64 addresses to guess from, and changes its address for privacy (RFC 8981).
 */
export function ipPrefix(written: string): string {
  if (!isIPv6(written)) return written
  // The zone of a link-local address (RFC 4007 §11) is removed: it may be any text.
  const [zoneless = ''] = written.split('%', 1)
  const ip = plainAddress(zoneless)
  if (!isIPv6(ip)) return ip
  const address = ipaddr.IPv6.parse(ip)
  const prefix = address.parts.slice(0, 4).map((group) => group.toString(16))
  return `${prefix.join(':')}::/64`
}
