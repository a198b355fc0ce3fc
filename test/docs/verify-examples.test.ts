import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { codeBlocks, read } from '../support/docs/documents.ts'
import { listen } from '../support/server/listen.ts'
import { claimsOf, clientCredentials } from '../support/server/requests.ts'
import { resigned } from '../support/server/resigned-tokens.ts'
import { client, ORDERS, seed } from '../support/server/seed.ts'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../../examples/verify/', import.meta.url))

const works = (command: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
  run(command, args, { cwd: folder, env: { ...process.env, ...env } }).then(
    () => true,
    () => false,
  )

t.test('docs/verify.md shows the three example files verbatim', async (t) => {
  for (const [language, file] of [
    ['js', 'verify.mjs'],
    ['python', 'verify.py'],
    ['go', 'verify.go'],
  ] as const) {
    const shown = codeBlocks(read('docs/verify.md')).filter((block) => block.language === language)
    t.ok(
      shown.some((block) => block.text === readFileSync(join(folder, file), 'utf8')),
      file,
    )
  }
})

t.test('each of the three examples accepts a valid token and refuses invalid ones', async (t) => {
  const { server, issuer } = await listen(t)
  await seed(server.store)
  await server.store.clients.insert(client({ id: 'stocker', scopes: ['stock:read'] }))

  const good: string = (await clientCredentials(server)).json().access_token
  const jwks = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  const [, payload] = good.split('.')
  const unsigned = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')
  const now = server.clock.now()
  const bad: Record<string, string> = {
    expired: await resigned(server, good, { iat: now - 7200, exp: now - 3600 }),
    'without an end': await resigned(server, good, { exp: undefined }),
    'for another audience': (await clientCredentials(server, {}, 'stocker')).json().access_token,
    'of another issuer': await resigned(server, good, { iss: 'https://elsewhere.example' }),
    'of another type': await resigned(server, good, {}, 'JWT'),
    unsigned: `${unsigned}.${payload}.`,
    'signed with the public key as a secret': await new SignJWT(claimsOf(good))
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: jwks.keys[0].kid })
      .sign(Buffer.from(jwks.keys[0].n)),
    'with a broken signature': `${good.slice(0, -8)}AAAAAAAA`,
  }

  const env = { ...process.env, ISSUER: issuer, AUDIENCE: ORDERS }
  const verdictsOf = async (t: Test, command: string, args: string[]) => {
    const check = (token: string) => run(command, [...args, token], { env, cwd: folder })
    const { stdout } = await check(good)
    t.match(stdout, /machine/, 'a valid token is accepted')
    await Promise.all(
      Object.entries(bad).map(([what, token]) => t.rejects(check(token), { code: 1 }, `refused: ${what}`)),
    )
  }

  await t.test('JavaScript', (t) => verdictsOf(t, process.execPath, ['verify.mjs']))

  const python = await works('python3', ['-c', 'import jwt; jwt.decode_complete, jwt.PyJWKClient'])
  await t.test('Python', { skip: python ? false : 'python3 with PyJWT is not installed' }, (t) =>
    verdictsOf(t, 'python3', ['verify.py']),
  )

  // Runs only with modules already on this machine; tests do not contact the module proxy.
  const offline = { GOPROXY: 'off', GOFLAGS: '-buildvcs=false' }
  const go = await works('go', ['list', '-deps', '.'], offline)
  await t.test('Go', { skip: go ? false : 'Go with the two modules is not installed' }, async (t) => {
    const built = mkdtempSync(join(tmpdir(), 'keyturn-go-'))
    t.teardown(() => rmSync(built, { recursive: true }))
    await run('go', ['build', '-o', join(built, 'verify'), '.'], { cwd: folder, env: { ...env, ...offline } })
    await verdictsOf(t, join(built, 'verify'), [])
  })
})
