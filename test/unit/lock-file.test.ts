/** What `npm ci` must be able to do on a machine that has npm and nothing else. */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'

interface Locked {
  readonly optionalDependencies?: Record<string, string>
  readonly gypfile?: boolean
}

const root = new URL('../../', import.meta.url)
const read = (path: string) => JSON.parse(readFileSync(new URL(path, root), 'utf8'))
const { packages } = read('package-lock.json') as { packages: Record<string, Locked> }

/** npm resolves a dependency beside the package, then further up. */
function locked(name: string, from: string): boolean {
  const nested = `${from}/node_modules/${name}` in packages
  return (
    nested ||
    (from.includes('/node_modules/') ? locked(name, parent(from)) : `node_modules/${name}` in packages)
  )
}
const parent = (path: string) => path.slice(0, path.lastIndexOf('/node_modules/'))

t.test('the lock file lists the binaries of every platform, as npm ci requires', async (t) => {
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !locked(name, path))
      .map((name) => `${name}, for ${path}`),
  )
  t.same(missing, [], 'choose a version that is published for all platforms')
})

t.test('npm ci compiles nothing, so no compiler or Python is needed', async (t) => {
  // npm compiles whatever has a binding.gyp and no install script of its own. A package opts out in its package.json,
  // but npm does not record that: add "gypfile": false by hand to its entry in the lock file.
  const compiled = Object.entries(packages).filter(([path, { gypfile }]) => {
    if (path === '' || gypfile === false || !existsSync(new URL(`${path}/binding.gyp`, root))) return false
    const { scripts = {} } = read(`${path}/package.json`)
    return scripts.install === undefined && scripts.preinstall === undefined
  })
  t.same(
    compiled.map(([path]) => path),
    [],
  )
})
