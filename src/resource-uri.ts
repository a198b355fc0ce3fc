/**
 * Which URIs name the same API. Clients build the `resource` parameter (RFC 8707) with URL libraries, which append a slash to a
 * bare origin, and administrators register APIs without one.
 */

const AUTHORITY_WITHOUT_PATH = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)(?=[?#]|$)/i

/**
 * Equal for URIs that name the same API: behind an authority, an empty path is "/" (RFC 3986 §6.2.3). All other differences
 * count, because `aud` is compared as text (RFC 7519 §4.1.3).
 */
export function resourceKey(uri: string): string {
  return uri.replace(AUTHORITY_WITHOUT_PATH, '$1/')
}

export const isSameResource = (a: string, b: string): boolean => resourceKey(a) === resourceKey(b)
