/**
 * Runs several test files in one process, one after the other, because a process of its own costs more than most files.
 * Each file is a test with the file's name, and gets that test as its `t`.
 */
import { globSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { matchesGlob } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { read, root } from '../docs/documents.ts'
import { reuseCachedKeys } from '../server/cached-keys.ts'

/** What `import t from 'tap'` returns in a file of the group, by the URL of the file. */
const tests = new Map<string, Test>()
Object.assign(globalThis, { testOfFile: (url: string) => tests.get(url) })

const SCHEME = 'tap-of:'

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL = '' } = context
    if (specifier !== 'tap' || !tests.has(parentURL)) return next(specifier, context)
    return { url: SCHEME + parentURL, format: 'module', shortCircuit: true }
  },
  load(url, context, next) {
    if (!url.startsWith(SCHEME)) return next(url, context)
    const source = `export default testOfFile(${JSON.stringify(url.slice(SCHEME.length))})`
    return { format: 'module', source, shortCircuit: true }
  },
})

/** Runs the files that match, without those that `npm test` leaves out; or one of several equal shares of them. */
export async function runGroup(t: Test, pattern: string, share = 0, of = 1): Promise<void> {
  const { exclude } = parse(read('.taprc')) as { exclude: readonly string[] }
  const files = globSync(pattern, { cwd: root })
    .filter((path) => !exclude.some((slow) => matchesGlob(path, slow)))
    .sort()
    .filter((_path, i) => i % of === share)
  for (const path of files) {
    await t.test(path, async (t) => {
      const { href } = pathToFileURL(root + path)
      tests.set(href, t as Test)
      reuseCachedKeys()
      await import(href)
    })
  }
}
