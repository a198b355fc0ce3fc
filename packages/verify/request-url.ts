/** Compares the URL of a request with the `htu` of a DPoP proof (RFC 9449 §4.3), and finds out what that URL is. */

/**
 * Returns the URL without query and fragment, normalised by syntax and by scheme (RFC 3986 §6.2.2, §6.2.3), which RFC 9449 §4.3 recommends;
 * undefined if it is not an absolute http URL of printable ASCII. Only a few characters are allowed, because URL parsers do not agree on
 * the others.
 */
export function normalizedUrl(url: string): string | undefined {
  const [address = ''] = url.split(/[?#]/, 1)
  if (!/^https?:\/\/[\w\-.~%!$&'()*+,;=:[\]/@]+$/i.test(address) || !URL.canParse(address)) return undefined
  if (/%(?![0-9a-f]{2})/i.test(address)) return undefined
  const { origin, pathname, username, password } = new URL(address)
  if (username !== '' || password !== '') return undefined
  // §6.2.2.1, §6.2.2.2: hexadecimal digits in upper case, and no encoding of characters that do not need it.
  const path = pathname.replace(/%([0-9a-f]{2})/gi, (encoded: string, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16))
    return /[\w\-.~]/.test(character) ? character : encoded.toUpperCase()
  })
  return origin + path
}

/** The names and addresses of this machine that cannot belong to another. */
export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

const isLoopbackAddress = (address: string | undefined): boolean =>
  address !== undefined && /^(?:127\.|::1$|::ffff:127\.)/.test(address)

/** Headers with which a proxy shows that it is there. */
const FORWARDING = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
]

export interface UrlRules {
  /** The URL under which clients reach this service, if it is configured. */
  readonly baseUrl: string | undefined
  /** The names of this service in `aud`. */
  readonly audiences: readonly string[]
}

export interface Target {
  /** The path, possibly with a query. */
  readonly path: string
  readonly host: string | undefined
  readonly secure: boolean
  /** The address of the peer; undefined if it is not known. */
  readonly peer: string | undefined
  header(name: string): unknown
}

/**
 * Returns the URLs that the client may have sent a request to. Anyone can send any `Host`: if it were believed, a proof that a client
 * made for another server could be replayed here. So the origin is the configured one, or else that of an audience that is a URL.
 * `Host` counts only for a program on this machine that calls this machine without a proxy, for development.
 */
export function requestUrls({ path, ...target }: Target, { baseUrl, audiences }: UrlRules): string[] {
  if (baseUrl !== undefined) return [baseUrl.replace(/\/$/, '') + path]
  const origins = audiences.filter((one) => /^https?:/.test(one) && URL.canParse(one)).map(originOf)
  return [...origins, ...loopbackOrigin(target)].map((origin) => origin + path)
}

const originOf = (url: string): string => new URL(url).origin

function loopbackOrigin({ host = '', secure, peer, header }: Omit<Target, 'path'>): string[] {
  const url = `${secure ? 'https' : 'http'}://${host}`
  const local = isLoopbackAddress(peer) && URL.canParse(url) && isLoopback(new URL(url).hostname)
  return local && !FORWARDING.some((name) => header(name) !== undefined) ? [originOf(url)] : []
}
