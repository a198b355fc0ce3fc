/** What the README says about the version of Node.js: any that runs npm will do, with warnings, because `npm ci` installs the right one. */
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { read, root } from '../support/docs/documents.ts'
import { shellEnvironment } from '../support/docs/shell.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'

interface Manifest {
  readonly engines: { readonly node: string }
  readonly workspaces: readonly string[]
}

const manifest = JSON.parse(read('package.json')) as Manifest
const readme = read('README.md').replace(/\s+/g, ' ')

t.test('npm ci warns about another version of Node.js, and installs all the same', async (t) => {
  t.match(
    readme,
    'Any Node.js that runs npm is enough, because `npm ci` installs the right version; you can ignore npm',
  )
  const folder = emptyFolder(t).path
  const copied = ['.npmrc', 'package-lock.json', ...manifest.workspaces.map((path) => `${path}/package.json`)]
  for (const path of copied) {
    if (!existsSync(join(root, path))) continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    copyFileSync(join(root, path), join(folder, path))
  }
  // As if this Node.js were too old.
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, engines: { node: '>=999' } }))
  // npm's default, which `npm test --silent` would change.
  const args = ['ci', '--dry-run', '--offline', '--ignore-scripts', '--loglevel=notice']
  const { stdout, stderr } = await promisify(execFile)('npm', args, {
    cwd: folder,
    env: shellEnvironment({}),
  })
  t.match(stderr, /npm warn EBADENGINE +package: 'keyturn@/)
  t.match(stdout, /added \d+ packages/)
})

t.test('npm ci installs a Node.js that is new enough, which npx runs', async (t) => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Readonly<Record<string, { version: string; bin?: Record<string, string> }>>
  }
  const node = packages['node_modules/node']
  t.equal(node?.bin?.node, 'bin/node')
  const numbers = (version: string) => version.split('.').map(Number)
  const [major = 0, minor = 0] = numbers(node?.version ?? '0')
  const [needed = 0, neededMinor = 0] = numbers(manifest.engines.node.replace('>=', ''))
  t.ok(
    major > needed || (major === needed && minor >= neededMinor),
    `${node?.version} ${manifest.engines.node}`,
  )
})
