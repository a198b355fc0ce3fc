import { readFileSync } from 'node:fs'

/** Of the package, which lies one folder up from here in the checkout and in the published package alike. */
export const version: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version
