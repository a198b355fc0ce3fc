#!/usr/bin/env node
// Plain JavaScript, and nothing a Node of ten years ago could not parse: an old runtime must get a sentence,
// not a syntax error or a crash inside the database's binary. Everything else starts in main.
import { existsSync } from 'node:fs'
import module from 'node:module'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const FLUSH_MS = 5000

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `keyturn needs Node.js 22.18 or newer, this is ${process.versions.node}: use "npx keyturn" or "npm start" in the checkout, which bring their own.\n`,
  )
  process.exitCode = 2
} else {
  // Signing and hashing run on Node's thread pool, which has four threads on any machine: too many for two
  // processors, where they take each other's time, and too few for eight. It is made when it is first used, and
  // loading a file uses it.
  if (process.env.UV_THREADPOOL_SIZE === undefined) {
    process.env.UV_THREADPOOL_SIZE = String(Math.max(2, Math.min(16, os.availableParallelism())))
  }
  compileOnce()
  // In a checkout the sources are what runs, so no build can be stale; the published package has only dist/.
  const source = new URL('./main.ts', import.meta.url)
  const entry = existsSync(source) ? source : new URL('../dist/main.js', import.meta.url)
  import(entry.href).then((main) => main.start())
}

// Taking the types out of the sources and compiling them is most of what starting costs, in time and in memory, so the
// result is kept. Beside the program, because whoever can write there can change the program as well; not in the
// machine's folder for temporary files, where Node would keep it. Where nothing can be written nothing is kept;
// NODE_COMPILE_CACHE names another place.
function compileOnce() {
  // A measured run must compile everything anew, or V8 does not see all of it.
  if (process.env.NODE_COMPILE_CACHE || process.env.NODE_V8_COVERAGE) return
  module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/keyturn', import.meta.url)))
  // Otherwise done at the end, which a server that is killed does not come to.
  setTimeout(() => module.flushCompileCache(), FLUSH_MS).unref()
}
