/**
 * The package as its users get it: packed, installed into an empty project, run and compiled there.
 * `OTHER_NODE=/path/to/node` runs it on another Node.js too.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { codeBlocks, read } from '../support/docs/documents.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'

const execute = promisify(execFile)
/** Removes the options of the test runner from the environment, because npm and tsc are not under test. */
const run = (file: string, args: string[], cwd: string) =>
  execute('env', ['-u', 'NODE_OPTIONS', file, ...args], { cwd })
const ROOT = resolve(import.meta.dirname, '../..')

const PROGRAM = `
import { createVerifier, VerifyError } from '@keyturn/verify'
import { keyturnFastify } from '@keyturn/verify/fastify'

const [issuer, good, bad] = process.argv.slice(2)
const verifier = createVerifier({ issuer, audience: 'https://orders.example', clock: () => 1_800_000_000 })
const { sub } = await verifier.verify(good)
const error = await verifier.verify(bad).catch((thrown) => thrown)
verifier.close()
console.log(JSON.stringify([sub, error instanceof VerifyError && error.code, typeof keyturnFastify]))
`

/** Code as users write it. The test is that it compiles. */
const TYPED = `
import express from 'express'
import Fastify from 'fastify'
import { type AccessTokenClaims, createVerifier, keyturnExpress, requireScope, VerifyError } from '@keyturn/verify'
import { keyturnFastify } from '@keyturn/verify/fastify'

const verifier = createVerifier({ issuer: 'https://a.example', audience: ['b'], statusList: { onStale: 'reject' } })
const claims: AccessTokenClaims = await verifier.verify('')
export const own: unknown = claims['https://a.example/own']
export const code = (error: unknown) => (error instanceof VerifyError && error.code === 'expired' ? 1 : 0)

const app = Fastify()
await app.register(keyturnFastify, { verifier })
app.get('/a', { onRequest: app.requireScope('x', 'y') }, async ({ claims }) => claims?.sub)
app.get('/b', { preHandler: [app.requireRole('r'), app.requireToken()] }, async ({ claims }) => claims?.roles)
// @ts-expect-error: scopes are strings
app.requireScope(5)

const other = express()
other.use(keyturnExpress({ verifier }))
other.get('/', requireScope('x'), (request, response) => void response.json(request.claims?.scope))
// @ts-expect-error: the audience is not optional
createVerifier({ issuer: 'https://a.example' })
// @ts-expect-error: no such algorithm
createVerifier({ issuer: 'https://a.example', audience: 'b', algorithms: ['HS256'] })
`

/** What a snippet takes from the app that it stands in. */
const preamble = (snippet: string): string =>
  [
    "import type { Verifier } from '@keyturn/verify'",
    ...(snippet.includes('const verifier =') ? [] : ['declare const verifier: Verifier']),
    'declare const token: string',
    'declare function list(user: string | undefined): string[]',
    'declare function clear(): string[]',
    '',
  ].join('\n')

t.test('the packed package works in an empty project and has no dependencies', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-package-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const npm = (args: string[], cwd: string) =>
    run('npm', [...args, '--no-audit', '--no-fund', '--offline'], cwd)

  const { stdout } = await npm(
    ['pack', '-w', '@keyturn/verify', '--json', '--pack-destination', folder],
    ROOT,
  )
  // Before npm 11 this was a list; since then it is an object by package name.
  const packed = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))))[0] as {
    filename: string
    files: { path: string }[]
  }
  const files = packed.files.map(({ path }) => path)
  const modules = readdirSync(join(ROOT, 'packages/verify')).filter((name) => name.endsWith('.ts'))
  const built = modules.flatMap((name) => [name.replace(/ts$/, 'js'), name.replace(/ts$/, 'd.ts')])
  const expected = [...built.map((name) => `dist/${name}`), 'LICENSE', 'README.md', 'package.json']
  t.same(
    expected.filter((name) => !files.includes(name)),
    [],
    'nothing is missing',
  )
  const others = files.filter(
    (name) => !expected.includes(name) && !/^dist\/.*\.js$|^dist\/.*\.d\.ts$/.test(name),
  )
  t.same(others, [], 'nothing else is in it, no sources and no tests')

  writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true,"type":"module"}')
  await npm(['install', join(folder, packed.filename)], folder)
  t.same(
    readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['@keyturn'],
  )
  t.same(readdirSync(join(folder, 'node_modules/@keyturn')), ['verify'])
  for (const name of built) {
    const text = readFileSync(join(folder, 'node_modules/@keyturn/verify/dist', name), 'utf8')
    t.notMatch(text, /from ["']\.\.\//, `${name} reaches for nothing outside`)
  }

  await t.test('it runs', async (t) => {
    const issuer = await fakeIssuer(t)
    writeFileSync(join(folder, 'program.js'), PROGRAM)
    const tokens = [await issuer.token(), await issuer.token({ aud: 'x' })]
    for (const node of [process.execPath, ...(process.env.OTHER_NODE ? [process.env.OTHER_NODE] : [])]) {
      const { stdout: output } = await run(node, ['program.js', issuer.issuer, ...tokens], folder)
      t.same(JSON.parse(output), ['user-1', 'wrong_audience', 'function'], node)
    }
  })

  await t.test('strict TypeScript with Fastify and Express compiles', async (t) => {
    for (const name of ['fastify', 'express', '@types']) {
      symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
    }
    writeFileSync(join(folder, 'typed.ts'), TYPED)
    const options = ['--strict', '--noEmit', '--target', 'es2024', '--module', 'nodenext', '--types', 'node']
    const tsc = join(ROOT, 'node_modules/.bin/tsc')
    await t.resolves(run(tsc, [...options, '--skipLibCheck', 'false', 'typed.ts'], folder))

    const snippets = codeBlocks(read('packages/verify/README.md')).filter(({ language }) => language === 'ts')
    t.ok(snippets.length >= 5, `${snippets.length} snippets of the README`)
    const files = snippets.map(({ text }, index) => {
      const name = `readme-${index}.ts`
      writeFileSync(join(folder, name), preamble(text) + text)
      return name
    })
    const strictest = ['--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--noImplicitReturns']
    const compiled = run(tsc, [...options, ...strictest, '--skipLibCheck', ...files], folder)
    await compiled.catch(({ stdout }) => t.fail(`the snippets of the README do not compile: ${stdout}`))
  })
})
