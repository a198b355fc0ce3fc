/**
 * Decides what counts as this machine. The specifications differ by purpose, so each purpose has its own function.
 */
import ipaddr from 'ipaddr.js'

/**
 * Host names are those of WHATWG URLs, which write every spelling of an IPv4 address (`0x7f.1`, `127.1`) in the same way
 * and IPv6 addresses in brackets.
 */
const LOOPBACK_IPV4_HOST = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/

/**
 * Hosts at which plain http never leaves the machine: `localhost`, 127.0.0.0/8 (RFC 1122 §3.2.1.3) and `[::1]`
 * (RFC 4291 §2.5.3). An issuer there may use http; elsewhere, RFC 8414 §2 requires https.
 */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || LOOPBACK_IPV4_HOST.test(hostname)
}

/**
 * Hosts of a redirect URI that lead to whatever program listens on the user's device (OAuth 2.1 §8.4.2). Used for a
 * warning, so it also contains the names below `localhost`, which RFC 6761 §6.3 reserves for loopback.
 */
export function isDeviceHost(hostname: string): boolean {
  return isLoopbackHost(hostname) || hostname.endsWith('.localhost')
}

/**
 * Hosts that this server may call with plain http: the three names alone, because a client that registers an address
 * has no reason to name another one of 127.0.0.0/8.
 */
export function isCallableLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
}

/**
 * The host is compared as written and not as parsed, because URL parsers also read `0x7f.1` as 127.0.0.1, and redirect URIs are
 * compared character by character (RFC 9700 §2.1).
 */
const REDIRECT_URI = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?:[/?]|$)/

/** Redirect URIs that may be registered with plain http: loopback addresses (RFC 8252 §7.3) and `localhost` (§8.3). */
export function isLoopbackRedirectUri(uri: string): boolean {
  return REDIRECT_URI.test(uri)
}

const IP_LITERAL_REDIRECT_URI = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?::([1-9]\d{0,4}))?(?=[/?]|$)/

/**
 * A redirect URI on a loopback IP literal, without its port: RFC 8252 §7.3 allows any port there, and only there, since
 * an app listens on whichever port is free. null for every other URI, including `localhost`.
 */
export function loopbackUriWithoutPort(uri: string): string | null {
  const match = IP_LITERAL_REDIRECT_URI.exec(uri)
  if (!match || Number(match[1] ?? 80) > 65_535) return null
  const [origin, port] = match
  return (port === undefined ? origin : origin.slice(0, -port.length - 1)) + uri.slice(origin.length)
}

/** Whether the peer of a socket is on this machine. Its address may be written as `::ffff:127.0.0.1` (RFC 4291 §2.5.5.2). */
export function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback'
}
