// Loaded before every test file (.taprc). Plain JavaScript, so that nothing has to be compiled for it.
import hooks from 'node:async_hooks'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

// What was compiled once is kept, where src/keyturn.js keeps it. Not by the environment, which other programs inherit.
module.enableCompileCache(fileURLToPath(new URL('../../../node_modules/.cache/keyturn', import.meta.url)))

// The runner has them read for every dependency, which takes as long as loading it. Taking types out moves no line.
process.setSourceMapsEnabled(false)

// The runner follows every promise, to say in which test an error was thrown that nobody caught, which takes a third of
// the time of many files. Without it, such a rejection fails the file instead of the test (test/unit/stray-errors).
const { createHook } = hooks
hooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false })
module.syncBuiltinESMExports()
