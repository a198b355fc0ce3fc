/** docs/interop.md against the tests of test/interop, whose libraries are not installed here. */
import t from 'tap'
import { read, repositoryFiles, tableBelow } from '../support/docs/documents.ts'

const page = read('docs/interop.md')
const logins = tableBelow(page, '## Login libraries')
const verifiers = tableBelow(page, '## Verifiers')
const project = JSON.parse(read('test/interop/package.json')) as { dependencies: Record<string, string> }

const linkOf = (cell = '') => /^\[test\]\(\.\.\/(.+)\)$/.exec(cell)?.[1]
const tested = [...logins, ...verifiers].filter((row) => linkOf(row[2]) !== undefined)
/** Without the white space that a formatter decides. */
const compact = (text: string) => text.replace(/\s+/g, '').replace(/,([}\])])/g, '$1')

t.test(
  'the page links each test of a login library, and each test names its library as the page does',
  async (t) => {
    // The other three have the verifiers, the programs of docs/guides, and a client of the administration API.
    const others = ['verifiers', 'guides', 'admin-api'].map((name) => `test/interop/${name}.interop.ts`)
    const files = repositoryFiles().filter(
      (path) => /^test\/interop\/.*\.interop\.ts$/.test(path) && !others.includes(path),
    )
    const linked = logins.map((row) => linkOf(row[2])).filter((path) => path !== undefined)
    t.same(linked.sort(), files.sort())
    for (const [name = '', , cell] of logins) {
      const path = linkOf(cell)
      if (path) t.match(read(path), `est('${name}: sign-in, name and email`, name)
    }
  },
)

t.test(
  'the page lists the verifiers of the tests, with the time that each needs after a forced rotation',
  async (t) => {
    const table = [
      ...read('test/interop/verifiers.ts').matchAll(
        /^ {2}'?([^':\n]+?)'?: \{ create: \w+, forced: (\d+) \}/gm,
      ),
    ]
    t.ok(table.length > 0)
    t.same(
      verifiers.filter((row) => linkOf(row[2])).map(([name, , , , forced]) => [name, forced]),
      table.map(([, name, seconds]) => [name, seconds === '0' ? 'at once' : `${seconds} s`]),
    )
  },
)

t.test('the lines that a tested library needs are in its test', async (t) => {
  for (const row of tested) {
    const source = compact(read(linkOf(row[2]) ?? ''))
    const [needs = ''] = row.slice(-1)
    // What follows "better" is advice.
    for (const [, line = ''] of needs.replace(/better.*/, '').matchAll(/`([^`]+)`/g)) {
      const optional = line === 'rateLimit' || line === 'kid' || line === 'http'
      if (!optional) t.ok(source.includes(compact(line)), `${row[0]}: ${line}`)
    }
  }
})

t.test('what was run by hand says so, with the day and the version', async (t) => {
  const products = tableBelow(page, '## Servers and proxies')
  const rows = [...logins, ...verifiers].map(([name = '', , how = '']) => ({ name, how }))
  const all = [...rows, ...products.map(([name = '', , how = '']) => ({ name, how }))]
  for (const { name, how } of all) {
    if (linkOf(how) !== undefined || how === 'not run') continue
    t.match(how, /^by hand, 20\d\d-\d\d-\d\d$/, name)
    t.match(name, / \d/, 'the version')
  }
  const guides = repositoryFiles().filter((path) => /^docs\/guides\/(?!README)/.test(path))
  const run = read('test/interop/guides.interop.ts')
  for (const path of guides) {
    const tested = run.includes(`'${path.replace('docs/guides/', '')}'`)
    const text = read(path)
    t.equal(/ by hand on 20\d\d-\d\d-\d\d/.test(text), !tested, path)
    if (tested)
      t.match(
        read('docs/guides/README.md'),
        /`npm run interop` runs those of Express, the single-page app and the native app/,
      )
  }
})

t.test('each tested library is installed in an exact version', async (t) => {
  const names = Object.keys(project.dependencies)
  for (const [name, version] of Object.entries(project.dependencies)) {
    t.match(version, /^(npm:openid-client@)?\d+\.\d+\.\d+$/, name)
  }
  for (const [row = ''] of tested) {
    for (const part of row.split(' + ')) {
      const [name = '', major] = part.split(' ')
      t.ok(
        names.some((one) => one === name || one === `${name}-${major}`),
        part,
      )
    }
  }
  // npm would fetch each package from the registry of the machine that wrote the file.
  t.notMatch(read('test/interop/package-lock.json'), /"resolved"/)
})
