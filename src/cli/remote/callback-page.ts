/** The page at which the browser's part of a sign-in ends. It is complete in itself, because no server is left behind it. */
import { createHash } from 'node:crypto'

const STYLE = `
  :root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif }
  body { min-height: 90vh; margin: 0 auto; padding: 1.5rem; max-width: 30rem; display: grid; align-content: center }
  h1 { font-size: 1.5rem; margin: 0 }
`

/** No part of the page can load or run anything, and the address, which has the code, is not sent on. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** @param title and text are constants of this program, because nothing is escaped */
export function callbackPage(title: string, text: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} – Keyturn</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${text}</p>
</main>
</body>
</html>
`
}
