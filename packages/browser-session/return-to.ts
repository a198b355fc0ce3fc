/** Where to go after the sign-in: a path of this app, or its start page. Anything else is somebody's bait. */

const LONGEST = 2048
// Backslashes are slashes to a browser; tabs and line ends it drops; controls and spaces have no place in a path.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const TROUBLE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff\\]/

/** An absolute URL of `origin`, whatever was asked for. `own` are the plugin's paths: returning to them would loop. */
export function returnTo(asked: unknown, origin: string, own: readonly string[]): string {
  const start = `${origin}/`
  if (typeof asked !== 'string' || asked.length > LONGEST) return start
  if (!asked.startsWith('/') || TROUBLE.test(asked) || !URL.canParse(asked, origin)) return start
  const url = new URL(asked, origin)
  // `/.//evil.example` is a path of ours to the parser, and another host to who parses what it made of it.
  if (url.origin !== origin || doubled(asked) || doubled(url.pathname)) return start
  if (own.includes(url.pathname)) return start
  return origin + url.pathname + url.search + url.hash
}

/** Two slashes at the start, however written: some proxy may decode them. */
function doubled(path: string): boolean {
  return /^(?:\/|%(?:25)*2f)(?:\/|\\|%(?:25)*(?:2f|5c))/i.test(path)
}
