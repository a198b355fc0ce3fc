/** The unchanged program, which also prints each module that it loads to standard error. */
import { registerHooks } from 'node:module'

registerHooks({
  load(url, context, next) {
    process.stderr.write(`loaded ${url}\n`)
    return next(url, context)
  },
})
await import(new URL('../../src/keyturn.js', import.meta.url).href)
