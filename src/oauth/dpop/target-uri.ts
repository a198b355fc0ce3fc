/** Compares the `htu` claim of a proof with the URL of an endpoint. Pure. */

const URI = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#@]+)([^?#]*)/
/** Visible ASCII without the characters that no URI has (RFC 3986 §2). Some parsers drop or replace them. */
const CHARACTERS = /^[\x21\x23-\x3B\x3D\x3F-\x5B\x5D\x5F\x61-\x7A\x7E]+$/
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/

const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' }

/**
 * Whether two URIs name one target, ignoring query and fragment (RFC 9449 §4.3, check 9). They are compared after the
 * normalization of RFC 3986 §6.2.2 and §6.2.3: letter case, percent-encoding, dot segments, the default port and the empty path.
 */
export function isSameTarget(a: string, b: string): boolean {
  const normalized = normalize(a)
  return normalized !== null && normalized === normalize(b)
}

/** null if the text is not a URI with an authority. User information is refused, because no request line has it (RFC 9110 §4.2.4). */
function normalize(uri: string): string | null {
  const [, scheme = '', authority = '', path = ''] = URI.exec(uri) ?? []
  if (scheme === '' || !CHARACTERS.test(uri) || BAD_ESCAPE.test(uri)) return null
  const lower = scheme.toLowerCase()
  // The first step decodes letters, whose case is then changed; the second one gives escapes their case back.
  const [, host = '', port = ''] =
    /^(.*?)(?::(\d*))?$/.exec(normalizeEscapes(normalizeEscapes(authority).toLowerCase())) ?? []
  if (host === '') return null
  const shown = port === '' || port === DEFAULT_PORTS[lower] ? '' : `:${port}`
  return `${lower}://${host}${shown}${withoutDotSegments(normalizeEscapes(path))}`
}

const UNRESERVED = /^[A-Za-z0-9\-._~]$/

/** RFC 3986 §6.2.2.1 and §6.2.2.2: escapes in upper case, and none for a character that needs none. */
function normalizeEscapes(text: string): string {
  return text.replace(/%[0-9A-Fa-f]{2}/g, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
    return UNRESERVED.test(character) ? character : encoded.toUpperCase()
  })
}

/** RFC 3986 §5.2.4, for a path that is empty or begins with a slash. */
function withoutDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [i, segment] of segments.entries()) {
    const isDots = segment === '.' || segment === '..'
    if (segment === '..') kept.pop()
    if (!isDots) kept.push(segment)
    else if (i === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}
