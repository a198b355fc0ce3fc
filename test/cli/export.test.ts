import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createVerifier, VerifyError } from '../../packages/verify/index.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { basic, claimsOf, clientCredentials, post } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

/** A plain file server for the folder; the server itself is not running. */
async function startBucket(t: Test, folder: () => string): Promise<{ issuer: string; requested: string[] }> {
  const requested: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    requested.push(path)
    const file = join(folder(), path)
    if (!existsSync(file)) return response.writeHead(404).end()
    return response.writeHead(200).end(readFileSync(file))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return { issuer: `http://127.0.0.1:${port}`, requested }
}

interface Exported {
  readonly cli: Cli
  readonly server: TestServer
  readonly issuer: string
  readonly folder: string
  readonly env: { settings: { ISSUER: string } }
}

async function exported(t: Test): Promise<Exported> {
  const cli = await startedCli(t)
  const folder = join(cli.dir, 'public')
  const { issuer } = await startBucket(t, () => folder)
  const env = { settings: { ISSUER: issuer } }
  await cli.json(['keys', 'list'], env)
  const masterKey = readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim()
  const { clock, database } = cli
  const server = await testServer({ clock, database, masterKey, settings: { ISSUER: issuer } })
  t.teardown(() => server.close())
  await seed(server.store)
  return { cli, server, issuer, folder, env }
}

t.test(
  'a new verifier with only the exported files verifies tokens and knows which are revoked',
  async (t) => {
    const { cli, server, issuer, folder, env } = await exported(t as Test)
    const good = (await clientCredentials(server)).json().access_token
    const bad = (await clientCredentials(server)).json().access_token
    await post(server, '/oauth2/revoke', { token: bad }, { authorization: basic('machine') })

    const { files } = await cli.json<{ files: string[] }>(['export', folder], env)
    t.same(files, [
      '.well-known/jwks.json',
      '.well-known/oauth-authorization-server',
      '.well-known/openid-configuration',
      'status-lists/1',
      '.well-known/status-lists.json',
      '_headers',
    ])
    const verifier = createVerifier({ issuer, audience: ORDERS, statusList: { onStale: 'reject' } })
    t.teardown(() => verifier.close())
    await verifier.ready()
    t.equal((await verifier.verify(good)).sub, 'machine')
    await t.rejects(verifier.verify(bad), new VerifyError('revoked', 'the token was revoked'))
  },
)

t.test('the exported files equal the endpoint responses and their caching headers', async (t) => {
  const { cli, server, folder, env } = await exported(t as Test)
  await clientCredentials(server)
  const { files } = await cli.json<{ files: string[] }>(['export', folder], env)
  const headers = readFileSync(join(folder, '_headers'), 'utf8')
  for (const path of files.filter((name) => name !== '_headers')) {
    const answer = await server.inject({ url: `/${path}` })
    const file = readFileSync(join(folder, path), 'utf8')
    // The command signs its own status lists, so only their claims are equal.
    if (path.startsWith('status-lists/')) t.same(claimsOf(file), claimsOf(answer.body), path)
    else t.equal(file, answer.body, path)
    const type = String(answer.headers['content-type']).split(';')[0]
    const block = headers.slice(headers.indexOf(`/${path}\n`)).split('\n\n')[0]
    t.match(block, `Content-Type: ${type}`, path)
    t.match(block, `Cache-Control: ${answer.headers['cache-control']}`, path)
    t.match(block, 'Access-Control-Allow-Origin: *', path)
  }
})

t.test('--watch writes changes until it is stopped and deletes expired status lists', async (t) => {
  const { cli, server, folder, env } = await exported(t as Test)
  await clientCredentials(server)
  let stop = (_signal: string) => {}
  const stopSignal = () =>
    new Promise<string>((resolve) => {
      stop = resolve
    })
  const running = cli.run(['export', folder, '--watch', '--json'], { ...env, stopSignal })
  const jwks = join(folder, '.well-known/jwks.json')
  const kids = () => JSON.parse(readFileSync(jwks, 'utf8')).keys.length
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
    t.pass(String(condition))
  }
  await until(() => existsSync(join(folder, '_headers')))
  t.equal(kids(), 2)
  await cli.json(['keys', 'rotate'], env)
  await until(() => kids() === 3)
  t.ok(existsSync(join(folder, 'status-lists/1')))
  cli.clock.tick(2 * 3600)
  await until(() => !existsSync(join(folder, 'status-lists/1')))
  stop('SIGTERM')
  t.equal((await running).code, 0)
})

t.test('a file that cannot be written is reported in one line', async (t) => {
  const { cli, env } = await exported(t as Test)
  const { code, err } = await cli.run(['export', cli.database], env)
  t.equal(code, 1)
  t.match(err, /^keyturn: [^\n]+\n$/)
})
