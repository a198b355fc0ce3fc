import { isIPv6 } from 'node:net'

/**
 * Whose guesses are counted together: an IPv4 address, or the /64 of an IPv6 one. A household or a rented server
 * has a whole /64 (RFC 6177 §2), 2^64 addresses to guess from, and hops within it for privacy (RFC 8981).
 */
export function networkOf(ip: string): string {
  if (!isIPv6(ip)) return ip
  const groups = groupsOf(ip)
  const [high = 0, low = 0] = groups.slice(6)
  // RFC 4291 §2.5.5.2: an IPv4 client on a socket that speaks both.
  const mapped = groups.slice(0, 6).join() === '0,0,0,0,0,65535'
  if (mapped) return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`
}

/** The eight numbers, whichever of its many spellings the address came in. */
function groupsOf(ip: string): number[] {
  const [address = ''] = ip.split('%', 1)
  // The URL parser writes all of them in one way (RFC 5952).
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const numbers = (text = '') =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [numbers(head), numbers(tail)]
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}
