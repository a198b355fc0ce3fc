/** The program as it is, and on standard error a line for every module that it loads. */
import { registerHooks } from 'node:module'

registerHooks({
  load(url, context, next) {
    process.stderr.write(`loaded ${url}\n`)
    return next(url, context)
  },
})
await import(new URL('../../src/keyturn.js', import.meta.url).href)
