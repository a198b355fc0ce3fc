/** docs/guides: what can be checked without the products that the guides are about. Each page says how it was run by hand. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { SHUTDOWN_TIMEOUT_MS } from '../../src/cli/serve.ts'
import { loadConfig } from '../../src/config/load.ts'
import { codeBlocks, read, root } from '../support/docs/documents.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { freePort } from '../support/server/free-port.ts'
import { listen } from '../support/server/listen.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'

const guides = readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`)

/** A file of a guide: the block whose info is its name. */
function fileOf(page: string, name: string): string {
  const found = codeBlocks(read(page)).find(({ info }) => info === name)
  if (!found) throw new Error(`${page} has no block ${name}`)
  return found.text
}

const commandsOf = (page: string) =>
  codeBlocks(read(page))
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line.includes('npx keyturn '))

/** In a new folder with a running server. `../shop` is a folder beside it, which here is one below it. */
async function runCommands(t: Test, lines: readonly string[]): Promise<void> {
  const folder = checkout(t)
  const env = shellEnvironment({ KEYTURN_PORT: String(await freePort()) })
  await terminal(t, folder, env, 'npx keyturn serve')
  const block = lines.join('\n').replace(/\.\.\/([\w-]+)\//g, (_, name: string) => {
    mkdirSync(join(folder, name), { recursive: true })
    return `${name}/`
  })
  await paste(folder, env, block)
}

t.test('the commands of all guides work together', async (t) => {
  const [prepare, ...others] = [
    'docs/guides/README.md',
    ...guides.filter((page) => !page.endsWith('README.md')),
  ].map(commandsOf)
  t.equal(prepare?.length, 3)
  for (const lines of others) t.ok(lines.length > 0)
  // Two guides call their API with the same client.
  await runCommands(t, [...new Set([...(prepare ?? []), ...others.flat()])])
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
