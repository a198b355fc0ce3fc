/** Where a user goes after the sign-in: a path of this app, or its start page. Anything else is an open redirect. */

const MAX_LENGTH = 2048
// Browsers treat a backslash as a slash and drop tabs and line ends; control characters and spaces do not belong in a path.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff\\]/

/**
 * Returns an absolute URL of `origin`, whatever was requested. The plugin's own paths are refused, because returning to
 * them would loop.
 */
export function returnUrl(requested: unknown, origin: string, pluginPaths: readonly string[]): string {
  const startPage = `${origin}/`
  if (typeof requested !== 'string' || requested.length > MAX_LENGTH) return startPage
  if (!requested.startsWith('/') || FORBIDDEN.test(requested)) return startPage
  if (!URL.canParse(requested, origin)) return startPage
  const url = new URL(requested, origin)
  // `/.//evil.example` parses to `//evil.example`, a path of this origin that names another host when it is parsed again.
  const namesHost = beginsWithTwoSlashes(requested) || beginsWithTwoSlashes(url.pathname)
  if (url.origin !== origin || namesHost) return startPage
  if (pluginPaths.includes(url.pathname)) return startPage
  return origin + url.pathname + url.search + url.hash
}

/** Percent-encoded slashes count too, even if they are encoded several times: a proxy may decode them. */
function beginsWithTwoSlashes(path: string): boolean {
  return /^(?:\/|%(?:25)*2f)(?:\/|\\|%(?:25)*(?:2f|5c))/i.test(path)
}
