/** Which addresses are trusted proxies, as `KEYTURN_TRUST_PROXY` says. */
import ipaddr from 'ipaddr.js'
import type { TrustProxy } from '../config/parsers.ts'

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number]

/** The names that the setting allows, with the ranges that Fastify's documentation gives them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * Whether an address is a trusted proxy. `hop` counts from the server: 0 is the address that connects. This one rule decides which
 * address is the client's, and which connections carry the requests of many clients.
 */
export type IsTrustedProxy = (address: string, hop: number) => boolean

export function trustedProxies(setting: TrustProxy): IsTrustedProxy {
  if (typeof setting === 'number') return (_address, hop) => hop < setting
  const ranges = setting
    .split(',')
    .map((part) => part.trim())
    .flatMap((part) => NAMED[part] ?? [part])
    .map(rangeOf)
  return (address) => {
    const [plain = ''] = address.split('%', 1)
    if (!ipaddr.isValid(plain)) return false
    // An IPv4 client on a socket for both versions (RFC 4291 §2.5.5.2).
    const peer = ipaddr.process(plain)
    return ranges.some(([network, bits]) => peer.kind() === network.kind() && peer.match(network, bits))
  }
}

function rangeOf(text: string): Range {
  if (!text.includes('/')) {
    const address = ipaddr.process(text)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  }
  const [network, bits] = ipaddr.parseCIDR(text)
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= 96) {
    return [network.toIPv4Address(), bits - 96]
  }
  return [network, bits]
}
