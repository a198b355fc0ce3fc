/** Where a redirect URI leads, in terms that users understand. */
import { isDeviceHost } from '../loopback.ts'

export type RedirectDestination =
  | { readonly kind: 'host'; readonly host: string }
  /** Any program on the device may listen there (OAuth 2.1 §8.4.2). */
  | { readonly kind: 'device'; readonly host: string }
  /** Any app on the device may have registered the scheme (RFC 8252 §7.1). */
  | { readonly kind: 'app'; readonly scheme: string }

/** Host names are in ASCII (`xn--…`), so that foreign letters cannot imitate another host. */
export function redirectDestination(uri: string): RedirectDestination {
  const url = URL.parse(uri)
  if (url === null) return { kind: 'app', scheme: uri.slice(0, uri.indexOf(':') + 1) }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { kind: 'app', scheme: url.protocol }
  return { kind: isDeviceHost(url.hostname) ? 'device' : 'host', host: url.host }
}
