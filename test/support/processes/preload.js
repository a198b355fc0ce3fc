// Loaded before every test file (.taprc). Plain JavaScript, so that it needs no compilation.
import hooks from 'node:async_hooks'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

// Uses the compile cache of src/keyturn.js. Not set through the environment, which other programs inherit.
module.enableCompileCache(fileURLToPath(new URL('../../../node_modules/.cache/keyturn', import.meta.url)))

// The runner reads the source map of every dependency, which takes as long as loading it. Stripping types moves no
// line.
process.setSourceMapsEnabled(false)

// The runner tracks every promise to attribute uncaught errors to a test, which takes a third of the time of many
// files. Without it such a rejection fails the file instead of the test (test/unit/stray-errors).
const { createHook } = hooks
hooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false })
module.syncBuiltinESMExports()
