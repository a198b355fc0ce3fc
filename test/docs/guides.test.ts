/** docs/guides: what can be checked without the products that the guides are about. Each page says how it was run by hand. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseEnv } from 'node:util'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { SHUTDOWN_TIMEOUT_MS } from '../../src/cli/run-server.ts'
import { loadConfig } from '../../src/config/load.ts'
import { codeBlocks, read, root } from '../support/docs/documents.ts'
import {
  captured,
  fileOf,
  guideApplications,
  keyturnPaths,
  springSettings,
} from '../support/docs/guide-programs.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { freePort } from '../support/server/free-port.ts'
import { listen } from '../support/server/listen.ts'
import { claimsOf, clientCredentials } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'

const guides = readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`)

const commandsOf = (page: string) =>
  codeBlocks(read(page))
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line.includes('npx keyturn '))

/** In a new folder with a running server. `../shop` is a folder beside it, which here is one below it. */
async function runCommands(t: Test, lines: readonly string[]): Promise<{ issuer: string; folder: string }> {
  const folder = checkout(t)
  const port = await freePort()
  const env = shellEnvironment({ KEYTURN_PORT: String(port) })
  await terminal(t, folder, env, 'npx keyturn serve')
  const block = lines.join('\n').replace(/\.\.\/([\w-]+)\//g, (_, name: string) => {
    mkdirSync(join(folder, name), { recursive: true })
    return `${name}/`
  })
  await paste(folder, env, block)
  return { issuer: `http://localhost:${port}`, folder }
}

t.test('the commands of all guides work together', async (t) => {
  const [prepare, ...others] = [
    'docs/guides/README.md',
    ...guides.filter((page) => !page.endsWith('README.md')),
  ].map(commandsOf)
  t.equal(prepare?.length, 3)
  for (const lines of others) t.ok(lines.length > 0)
  const { issuer, folder } = await runCommands(t, [...(prepare ?? []), ...others.flat()])
  const authorize = (query: Record<string, string>) =>
    fetch(`${issuer}/oauth2/authorize?${new URLSearchParams(query)}`, { redirect: 'manual' })

  await t.test('the clients of the guides fit what the programs send', async (t) => {
    for (const { page, clientId, redirectUri, scope, afterLogout } of guideApplications()) {
      const request = { client_id: clientId, redirect_uri: redirectUri, response_type: 'code', nonce: 'n' }
      const { status, headers } = await authorize({ ...request, scope, prompt: 'none' })
      const answer = new URL(headers.get('location') ?? 'none:')
      t.match([status, answer.href], [303, new RegExp(`^${redirectUri}\\?`)], page)
      t.equal(answer.searchParams.get('error'), 'login_required', `${page}: ${answer.searchParams}`)

      const logout = new URLSearchParams({ client_id: clientId, post_logout_redirect_uri: afterLogout })
      const left = await fetch(`${issuer}/oauth2/logout?${logout}`, { redirect: 'manual' })
      t.match([left.status, left.headers.get('location')], [303, afterLogout], page)

      const registered = JSON.parse(
        await paste(folder, shellEnvironment({}), `npx keyturn clients show ${clientId} --json`),
      ) as { scope: string; client_id: string }
      t.same(
        scope.split(' ').sort(),
        registered.scope.split(' ').sort(),
        `${page}: every scope is registered`,
      )
    }
  })

  await t.test('the tokens with which the guides call their APIs pass their checks', async (t) => {
    const fastapi = fileOf('docs/guides/fastapi.md', 'main.py')
    const { audiences, 'issuer-uri': springIssuer } = springSettings().resourceserver.jwt
    const spring = fileOf('docs/guides/spring-boot.md', 'src/main/java/shop/ShopApplication.java')
    for (const [name, audience, program, scope] of [
      [
        'reports',
        captured(fastapi, /^AUDIENCE = "(.+)"$/m),
        captured(fastapi, /^ISSUER = "(.+)"$/m),
        captured(fastapi, /scopes=\["(.+?)"\]/),
      ],
      ['ledger', audiences, springIssuer, captured(spring, /"SCOPE_(.+?)"/)],
    ] as const) {
      t.equal(program, 'http://localhost:3000', name)
      const { CLIENT_ID = '', CLIENT_SECRET = '' } = parseEnv(
        readFileSync(join(folder, `${name}.env`), 'utf8'),
      )
      const response = await fetch(`${issuer}/oauth2/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: CLIENT_ID,
          client_secret: CLIENT_SECRET,
        }),
      })
      const { access_token } = (await response.json()) as { access_token: string }
      const claims = claimsOf(access_token)
      t.match({ aud: claims.aud, sub: claims.sub }, { aud: audience, sub: name })
      t.ok(String(claims.scope).split(' ').includes(scope), `${name}: ${scope}`)
    }
  })

  await t.test('the addresses of Keyturn in the guides exist', async (t) => {
    const metadata = await fetch(`${issuer}/.well-known/openid-configuration`)
    const known = new Set(
      Object.values((await metadata.json()) as Record<string, unknown>).map((value) =>
        String(value).replace(issuer, ''),
      ),
    )
    const paths = guides.flatMap((page) => keyturnPaths(page).map((path) => [page, path] as const))
    t.ok(paths.length >= 8, `${paths.length}`)
    for (const [page, path] of paths) t.ok(known.has(path), `${page}: ${path}`)
  })
})

t.test(
  'a reader who has followed the README, or "Sign users in" too, has what the guides need',
  async (t) => {
    const signIn = commandsOf('docs/sign-in.md').slice(0, 4)
    const [api = '', role, alice] = commandsOf('docs/guides/README.md')
    for (const command of [role ?? '', alice ?? '']) t.ok(signIn.includes(command), command)
    const [addScope = ''] = signIn
    t.match(
      read('docs/guides/README.md'),
      `\`${addScope}\``,
      'the command that completes the API of the README',
    )
    const [readmeApi = ''] = commandsOf('README.md').filter((line) => line.includes('apis create'))
    t.equal(readmeApi + addScope.replace(/^.*--add-(?=scope)/, ' --'), api)
  },
)

t.test('the commands of the page about migrating work', async (t) => {
  const lines = commandsOf('docs/migrating.md')
  t.equal(lines.length, 4)
  await runCommands(t, lines)
})

t.test('the API of the Express guide accepts access tokens with its scope', async (t) => {
  const { server, issuer } = await listen(t)
  await seed(server.store)
  const folder = emptyFolder(t).path
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const port = await freePort()
  const program = fileOf('docs/guides/express.md', 'api.mjs')
    .replace("'@keyturn/verify'", `'${pathToFileURL(join(root, 'packages/verify/index.ts'))}'`)
    .replace('http://localhost:3000', issuer)
    .replace('https://orders.example', ORDERS)
    .replace("4001, 'localhost')", `${port}, 'localhost', () => console.log('listening'))`)
  writeFileSync(join(folder, 'api.mjs'), program)
  const api = spawn(process.execPath, ['api.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => api.kill())
  await once(api.stdout, 'data')
  const call = async (headers: Record<string, string>) => {
    const answer = await fetch(`http://localhost:${port}/orders`, { headers })
    return [answer.status, answer.headers.get('www-authenticate')?.split(' ')[0], await answer.json()]
  }
  t.match(await call({}), [401, 'Bearer'])
  const { access_token, ...rest } = (await clientCredentials(server)).json()
  t.match(rest, { token_type: 'Bearer' })
  t.match(await call({ authorization: `Bearer ${access_token}` }), [200, undefined, [{ item: 'a lamp' }]])
})

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly startupProbe: Probe
  readonly readinessProbe: Probe
  readonly livenessProbe: Probe
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
}

t.test('the manifests of the Kubernetes guide fit the program', async (t) => {
  const page = read('docs/guides/kubernetes.md')
  // Kubernetes reads YAML 1.1, in which 0440 is an octal number.
  const documents = parseAllDocuments(fileOf('docs/guides/kubernetes.md', 'keyturn.yaml'), { version: '1.1' })
  const [deployment, service] = documents.map((one) => one.toJS())
  const pod = deployment.spec.template.spec
  const [container] = pod.containers as Container[]
  if (!container) throw new Error('no container')
  const { startupProbe, readinessProbe, livenessProbe } = container
  t.equal(startupProbe.httpGet.path, '/health/ready')
  t.equal(readinessProbe.httpGet.path, '/health/ready')
  t.equal(livenessProbe.httpGet.path, '/health/live')
  t.equal(pod.volumes[0].secret.defaultMode, 0o440, 'not readable by others')
  t.equal(pod.securityContext.fsGroup, pod.securityContext.runAsUser)

  const secrets = emptyFolder(t).path
  const { mountPath } = container.volumeMounts[0] ?? { mountPath: '' }
  for (const name of ['master-key', 'database-url']) t.match(page, `--from-file=${name}`)
  writeFileSync(join(secrets, 'master-key'), `${Buffer.alloc(32, 1).toString('base64url')}\n`, {
    mode: 0o600,
  })
  writeFileSync(join(secrets, 'database-url'), 'postgres://keyturn:secret@postgres.example/keyturn', {
    mode: 0o600,
  })
  const settings = container.env.map(({ name, value }) => [name, value.replace(mountPath, secrets)])
  // What Kubernetes adds beside a service with this name, unless enableServiceLinks is false.
  const address = 'tcp://10.96.0.1:80'
  t.equal(service.metadata.name, 'keyturn')
  const links = { KEYTURN_SERVICE_HOST: '10.96.0.1', KEYTURN_SERVICE_PORT: '80', KEYTURN_PORT: address }
  const config = loadConfig({ ...Object.fromEntries(settings), ...links }, secrets)
  const port = (name: string) => container.ports.find((one) => one.name === name)?.containerPort
  t.equal(port('http'), config.port)
  t.equal(port('metrics'), config.metricsPort)
  t.equal(service.spec.ports[0].targetPort, 'http')
  t.ok(pod.terminationGracePeriodSeconds > config.shutdownDelay + SHUTDOWN_TIMEOUT_MS / 1000)
})
