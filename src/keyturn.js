#!/usr/bin/env node
// Plain JavaScript, and nothing a Node of ten years ago could not parse: an old runtime must get a sentence,
// not a syntax error or a crash inside the database's binary. Everything else starts in main.
import { existsSync } from 'node:fs'
import os from 'node:os'

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
  // In a checkout the sources are what runs, so no build can be stale; the published package has only dist/.
  const source = new URL('./main.ts', import.meta.url)
  const entry = existsSync(source) ? source : new URL('../dist/main.js', import.meta.url)
  import(entry.href).then((main) => main.start())
}
