#!/usr/bin/env node
// Plain JavaScript that even a very old Node.js can parse: an old runtime must print a sentence, and neither a syntax error nor
// a crash inside the binary of the database. Everything else starts in main.ts.
import { existsSync } from 'node:fs'
import module from 'node:module'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'

const FLUSH_MS = 5000

// A signal without a handler ends a process, except process 1 of a container, where it is lost. So the program listens before it
// loads anything, and main.ts decides what a signal does.
const signals = { early: [], handle: undefined }
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(name, () => (signals.handle ? signals.handle(name) : signals.early.push(name)))
}

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `keyturn needs Node.js 22.18 or newer, this is ${process.versions.node}: use "npx keyturn" or "npm start" in the checkout, which bring their own Node.js.\n`,
  )
  process.exitCode = 2
} else {
  // Signing runs on Node's thread pool, and so does hashing where it has no threads of its own. The pool has four threads on every
  // machine: too many for two processors, where they slow each other down, and too few for eight. Set here, because the pool is created by its first use, and loading a
  // file uses it.
  if (process.env.UV_THREADPOOL_SIZE === undefined) {
    process.env.UV_THREADPOOL_SIZE = String(Math.max(2, Math.min(16, os.availableParallelism())))
  }
  const youngGenerationIsSmall = keepYoungGenerationSmall()
  compileOnce()
  // In a checkout the sources are what runs, so no build can be stale; the published package has only dist/.
  const source = new URL('./main.ts', import.meta.url)
  const entry = existsSync(source) ? source : new URL('../dist/main.js', import.meta.url)
  import(entry.href).then((main) => main.start({ youngGenerationIsSmall }, signals))
}

// Without growth, the process has about 8 MB less when it has started; src/node/young-generation.ts says why. The growth factor is set
// before the cache of compiled code is opened, because V8 accepts compiled code only with the flags that it was compiled with. Returns
// false if the options of Node.js choose a size.
function keepYoungGenerationSmall() {
  if (/semi.space/.test([process.env.NODE_OPTIONS, ...process.execArgv].join(' '))) return false
  v8.setFlagsFromString('--semi-space-growth-factor=1')
  return true
}

// Stripping the types from the sources and compiling them is most of the cost of starting, in time and in memory, so the result
// is cached. The cache is beside the program, where only users who can change the program itself can write, and not in the
// folder for temporary files, which is Node's default. If the folder is not writable, nothing is cached. NODE_COMPILE_CACHE
// names another folder.
function compileOnce() {
  // A coverage run must compile everything again, or V8 does not see all of the code.
  if (process.env.NODE_COMPILE_CACHE || process.env.NODE_V8_COVERAGE) return
  module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/keyturn', import.meta.url)))
  // By default Node writes the cache at exit, which a killed process never reaches.
  setTimeout(() => module.flushCompileCache(), FLUSH_MS).unref()
}
