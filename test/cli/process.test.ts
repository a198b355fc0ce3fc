/** Behaviour that needs a real process: exit codes, streams and the Node.js version. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { version } from '../../src/version.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { freePort } from '../support/server/free-port.ts'

const ENTRY = fileURLToPath(new URL('../../src/keyturn.js', import.meta.url))

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The environment of a command, without the settings and hooks of the test runner. */
function environment(cli: Cli): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env
  return { PATH, HOME, ...cli.env }
}

function keyturn(
  cli: Cli,
  args: readonly string[],
  input = '',
  node: readonly string[] = [],
): Promise<Outcome> {
  return command(cli, process.execPath, [...node, ENTRY, ...args], input)
}

function command(cli: Cli, file: string, args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: cli.dir, env: environment(cli) })
    let [out, err] = ['', '']
    child.stdout.on('data', (text) => {
      out += text
    })
    child.stderr.on('data', (text) => {
      err += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
    child.stdin.end(input)
  })
}

t.test('exit codes are 0 for success, 1 for refusal and 2 for usage or configuration errors', async (t) => {
  const cli = await startedCli(t)
  const [done, refused, usage, configuration] = await Promise.all([
    keyturn(cli, ['--version']),
    keyturn(cli, ['apis', 'show', 'https://orders.example', '--json']),
    keyturn(cli, ['apis', 'shwo']),
    keyturn({ ...cli, env: { ...cli.env, KEYTURN_PROT: '1' } }, ['apis', 'list']),
  ])
  t.match(done, { code: 0, out: `${version}\n`, err: '' })
  t.match(refused, { code: 1, out: '{"error":"there is no API https://orders.example"}\n' })
  t.equal(refused.err, 'keyturn: there is no API https://orders.example\n')
  t.match(usage, { code: 2, out: '' })
  t.match(usage.err, /Did you mean show\?/)
  t.match(configuration, { code: 2, out: '' })
  t.match(configuration.err, /^keyturn: KEYTURN_PROT is not a setting; did you mean KEYTURN_PORT\?\n$/)
})

t.test(
  'results go to standard output, the audit trail to standard error, and passwords to neither',
  async (t) => {
    const cli = await startedCli(t)
    const password = 'correct horse battery staple'
    const create = ['users', 'create', 'alice', '--password-stdin', '--json']
    const { code, out, err } = await keyturn(cli, create, `${password}\n`)
    t.equal(code, 0, err)
    t.match(JSON.parse(out), { username: 'alice', roles: [] })
    t.equal(out.split('\n').length, 2)
    t.match(JSON.parse(err), {
      audit: 'user.changed',
      action: 'created',
      target: 'alice',
      actor: /^operator:.+/,
    })
    t.notMatch(out + err, password)
    t.match(await keyturn(cli, ['users', 'create', 'bob'], password), {
      code: 2,
      err: /use --password-stdin/,
    })
  },
)

t.test('an unsupported Node.js version is reported in one line with exit code 2', async (t) => {
  const cli = await startedCli(t)
  const line = /^keyturn needs Node\.js 22\.18 or newer, this is [\d.]+: .*\n$/
  for (const old of ['20.11.0', '22.17.1', '18.0.0']) {
    const fake = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${old}' } })`
    const outcome = await keyturn(cli, ['--version'], '', ['--import', `data:text/javascript,${fake}`])
    t.match(outcome, { code: 2, out: '', err: line }, old)
  }
  const system = '/usr/bin/node'
  const { stdout = '' } = existsSync(system) ? spawnSync(system, ['--version'], { encoding: 'utf8' }) : {}
  const isOld = /^v(1[2-9]|2[01])\./.test(stdout)
  await t.test('a real older Node.js', { skip: isOld ? false : 'there is none here' }, async (t) => {
    t.match(await command(cli, system, [ENTRY, '--version']), { code: 2, out: '', err: line })
  })
})

t.test('the demo exits 0 and prints only its steps', async (t) => {
  const cli = await startedCli(t)
  const { code, out, err } = await keyturn(cli, ['demo'])
  t.equal(code, 0, out)
  t.equal(err, '')
  t.equal(out.match(/^✓ /gm)?.length, 10)
  t.match(out, 'All steps succeeded.')
})

/** Starts a server and waits until it is ready. It is killed at the end of the test. */
async function serving(t: Test, cli: Cli) {
  const child = spawn(process.execPath, [ENTRY, 'serve'], { cwd: cli.dir, env: environment(cli) })
  t.teardown(() => child.kill('SIGKILL'))
  const outcome = new Promise<number | null>((resolve) => child.once('close', resolve))
  const output = await new Promise<string>((resolve, reject) => {
    let out = ''
    child.stdout.on('data', (text) => {
      out += text
      if (out.endsWith('\n')) resolve(out)
    })
    child.once('close', () => reject(new Error(`the server ended: ${out}`)))
  })
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return outcome
  }
  return { output, stop }
}

/** Runs a command whose standard output fails: a file descriptor, or a pipe whose reader has gone. */
function withoutOutput(cli: Cli, args: readonly string[], stdout: number | 'closed') {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    cwd: cli.dir,
    env: environment(cli),
    stdio: ['ignore', stdout === 'closed' ? 'pipe' : stdout, 'pipe'],
  })
  child.stdout?.destroy()
  let err = ''
  child.stderr?.on('data', (text) => {
    err += text
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, err }))
  return { child, ended }
}

t.test('a command whose reader has gone does its work and ends quietly', async (t) => {
  const cli = await startedCli(t)
  t.same(await withoutOutput(cli, ['apis', 'list'], 'closed').ended, { code: 0, signal: null, err: '' })
  const create = ['apis', 'create', 'https://orders.example', '--scope', 'read', '--json']
  t.match(await withoutOutput(cli, create, 'closed').ended, { code: 0 })
  t.equal((await cli.json<unknown[]>(['apis', 'list'])).length, 1)
})

t.test('a command whose output does not fit on the disk says so in one line', async (t) => {
  const cli = await startedCli(t)
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  t.same(await withoutOutput(cli, ['keys', 'list'], full).ended, {
    code: 1,
    signal: null,
    err: 'keyturn: the command is done, but its output could not be written (ENOSPC)\n',
  })
})

t.test('a command keeps its exit code if its messages cannot be written either', async (t) => {
  const cli = await startedCli(t)
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  for (const stderr of [full, 'pipe'] as const) {
    const args = [ENTRY, 'apis', 'show', 'https://orders.example']
    const child = spawn(process.execPath, args, {
      cwd: cli.dir,
      env: environment(cli),
      stdio: ['ignore', 'ignore', stderr],
    })
    child.stderr?.destroy()
    t.same(await once(child, 'close'), [1, null])
    const usage = spawn(process.execPath, [ENTRY, 'apis', 'shwo'], { stdio: ['ignore', 'ignore', stderr] })
    usage.stderr?.destroy()
    t.same(await once(usage, 'close'), [2, null])
  }
})

t.test('a server serves and stops without standard output', async (t) => {
  const cli = await startedCli(t)
  const port = String(await freePort())
  const onPort = { ...cli, env: { ...cli.env, KEYTURN_PORT: port } }
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  for (const stdout of [full, 'closed'] as const) {
    const { child, ended } = withoutOutput(onPort, ['serve'], stdout)
    t.teardown(() => child.kill('SIGKILL'))
    while (!(await isReady(port))) if (child.exitCode !== null) throw new Error((await ended).err)
    child.kill('SIGTERM')
    t.match(await ended, { code: 0, signal: null })
  }
})

const isReady = (port: string) =>
  fetch(`http://127.0.0.1:${port}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  t.test(`${signal} stops a server in an orderly way, also while the program is still loading`, async (t) => {
    const cli = await startedCli(t)
    const running = await serving(t, { ...cli, env: { ...cli.env, KEYTURN_PORT: '0' } })
    t.equal(await running.stop(signal as NodeJS.Signals), 0)
    // `import` resolves when src/keyturn.js has run, which is long before the rest of the program is loaded.
    const early = `await import(${JSON.stringify(pathToFileURL(ENTRY))}); process.emit('${signal}', '${signal}')`
    const args = ['--input-type=module', '-e', early, '--', ENTRY, 'serve']
    const port0 = { ...cli, env: { ...cli.env, KEYTURN_PORT: '0' } }
    t.match(await command(port0, process.execPath, args), {
      code: 0,
      err: new RegExp(`"signal":"${signal}"`),
    })
  })
}

t.test('a signal ends any other command as it ends a program without a signal handler', async (t) => {
  const cli = await startedCli(t)
  // Emitted, because the command may be done before Node.js looks for signals again.
  const early = `await import(${JSON.stringify(pathToFileURL(ENTRY))}); process.emit('SIGTERM', 'SIGTERM')`
  const run = async (code: string) => {
    const args = ['--input-type=module', '-e', code, '--', ENTRY, 'keys', 'list']
    const child = spawn(process.execPath, args, { cwd: cli.dir, env: environment(cli), stdio: 'ignore' })
    return (await once(child, 'exit')) as [number | null, string | null]
  }
  t.same(await run(early), [null, 'SIGTERM'])
  // As if it was process 1 of a container, which the kernel does not end.
  t.same(await run(`process.kill = () => true; ${early}`), [143, null])
})

t.test('a second server on the same port says that Keyturn is already running there', async (t) => {
  const cli = await startedCli(t)
  const [port, metrics] = [String(await freePort()), String(await freePort())]
  const first = { ...cli, env: { ...cli.env, KEYTURN_PORT: port } }
  const { stop } = await serving(t, first)
  const running = new RegExp(`^keyturn: Keyturn is already running as http://localhost:${port} on .*$`, 'm')
  t.match(await keyturn(first, ['serve']), { code: 1, out: '', err: running })
  const withMetrics = { ...first, env: { ...first.env, KEYTURN_METRICS_PORT: metrics } }
  const other = createServer().listen(Number(metrics), '127.0.0.1')
  t.teardown(() => other.close())
  t.match(await keyturn(withMetrics, ['serve']), { code: 1, err: running })
  t.equal(await stop(), 0)
  t.match(await keyturn(withMetrics, ['serve']), {
    code: 1,
    err: new RegExp(`:${metrics} is in use by another program: choose another KEYTURN_METRICS_PORT\n$`),
  })
})

t.test('the commands printed at first start return a token when pasted', async (t) => {
  const cli = await startedCli(t)
  const port = String(await freePort())
  const onPort = { ...cli, env: { ...cli.env, KEYTURN_PORT: port } }
  const { output, stop } = await serving(t, onPort)
  const [api, client, token] = [...output.matchAll(/^ {2}(\S.*)$/gm)].map(([, line]) => line ?? '')
  t.match(api, /^npx keyturn apis create /)
  t.match(client, /^npx keyturn clients create .* --env hello\.env$/)

  // Runs what `npx keyturn` runs in a checkout, because npx itself takes a second per call.
  const npx = (line = '') => line.replace('npx keyturn', `'${process.execPath}' '${ENTRY}'`)
  for (const line of [api, client]) t.match(await command(onPort, 'sh', ['-c', npx(line)]), { code: 0 })
  const hasCurl = spawnSync('curl', ['--version']).status === 0
  await t.test('curl', { skip: hasCurl ? false : 'there is no curl here' }, async (t) => {
    const { code, out } = await command(onPort, 'sh', ['-c', token ?? ''])
    t.equal(code, 0)
    t.match(JSON.parse(out), {
      token_type: 'Bearer',
      scope: 'orders:read',
      access_token: /^[\w-]+\.[\w-]+\.[\w-]+$/,
    })
  })
  t.equal(await stop(), 0, 'the server stops on SIGTERM')
})
