/** The issuer as a prefix of other addresses. RFC 8414 §3.1 removes a trailing slash before a path is appended. */

/** `https://host/base` for `https://host/base/` and for `https://host/base`. */
export function issuerBase(issuer: string): string {
  return issuer.replace(/\/$/, '')
}

/** The path of the issuer, without a trailing slash: `/base`, or empty for an issuer that is a bare origin. */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '')
}
