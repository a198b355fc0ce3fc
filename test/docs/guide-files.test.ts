/** The files that docs/guides print, as far as they can be checked without the libraries that they use. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { codeBlocks, read, root } from '../support/docs/documents.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'

const guides = readdirSync(join(root, 'docs/guides'))
const folder = emptyFolder(t).path

/** Each file, written below a folder of its page. */
const files = guides.flatMap((page) =>
  codeBlocks(read(`docs/guides/${page}`)).flatMap(({ info, text }) => {
    // Lines for the end of a file that Django has made.
    const name = info === 'settings' ? 'settings.py' : info
    if (!/\.(m?js|py|java|xml|ya?ml)$/.test(name)) return []
    // Next.js reads JSX in files that end with .js; biome only in those that end with .jsx.
    const path = join(folder, page.replace('.md', ''), name.replace(/\.js$/, '.jsx'))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    return [{ path, text }]
  }),
)
const ofType = (...extensions: readonly string[]) =>
  files.map(({ path }) => path).filter((path) => extensions.some((one) => path.endsWith(`.${one}`)))
const isMissing = (command: string) =>
  spawnSync(command, ['--version']).status === 0 ? false : `${command} is not installed`

t.test(
  'the JavaScript of the guides can be parsed, and declares or imports every name that it uses',
  async (t) => {
    t.equal(ofType('mjs', 'jsx').length, 8)
    // The repository's own configuration is about its own sources.
    writeFileSync(join(folder, 'biome.json'), '{}')
    const biome = join(root, 'node_modules/.bin/biome')
    const args = ['lint', '--only=correctness/noUndeclaredVariables', '.']
    const { status, stdout, stderr } = spawnSync(biome, args, { cwd: folder, encoding: 'utf8' })
    t.equal(status, 0, stderr)
    t.match(stdout, /Checked 9 files/)
  },
)

t.test('the YAML of the guides can be parsed', async (t) => {
  const documents = files
    .filter(({ path }) => path.endsWith('.yaml'))
    .map(({ text }) => parseAllDocuments(text))
  t.equal(documents.length, 2)
  for (const one of documents.flat()) t.same('errors' in one ? one.errors : ['empty'], [])
})

t.test('the Python and the XML of the guides can be parsed', { skip: isMissing('python3') }, async (t) => {
  const parse = `import ast, sys, xml.dom.minidom
for name in sys.argv[1:]:
    (ast.parse if name.endswith(".py") else xml.dom.minidom.parseString)(open(name).read())`
  t.equal(ofType('py', 'xml').length, 5)
  execFileSync('python3', ['-c', parse, ...ofType('py', 'xml')])
})

t.test('the Java of the guides can be parsed', { skip: isMissing('javac') }, async (t) => {
  const [program = ''] = ofType('java')
  const { stderr } = spawnSync('javac', ['-proc:none', '-d', folder, program], { encoding: 'utf8' })
  // Spring is not installed. javac reports an error of syntax first, and then nothing else.
  const missing = /error: (package \S+ does not exist|cannot find symbol|static import only)/
  t.same(
    (stderr.match(/error: .*/g) ?? []).filter((line) => !missing.test(line)),
    [],
  )
})

t.test('a guide uses only variables that its commands have written', async (t) => {
  for (const page of guides) {
    const blocks = codeBlocks(read(`docs/guides/${page}`))
    const shell = blocks
      .filter(({ language }) => language === 'sh')
      .map(({ text }) => text)
      .join('\n')
    const written = new Set([...shell.matchAll(/\b([A-Z_]+)=/g)].map(([, name]) => name))
    if (/npx keyturn clients create .*--env /.test(shell))
      for (const name of ['CLIENT_ID', 'CLIENT_SECRET']) written.add(name)
    for (const { text } of blocks) {
      for (const [, name] of text.matchAll(/(?:process\.env\.|environ\["|\$\{|"\$)([A-Z_]+)/g))
        t.ok(written.has(name), `${page}: ${name}`)
    }
  }
})
