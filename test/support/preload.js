// Loaded before every test file (.taprc). Plain JavaScript, so that nothing has to be compiled for it.
import module from 'node:module'
import { fileURLToPath } from 'node:url'

// What was compiled once is kept, where src/keyturn.js keeps it. Not by the environment, which other programs inherit.
module.enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/keyturn', import.meta.url)))

// The runner has them read for every dependency, which takes as long as loading it. Taking types out moves no line.
process.setSourceMapsEnabled(false)
