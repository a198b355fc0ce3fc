/** Rules that every command must follow. A new command must be added to the table below. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import { createContext } from '../../src/cli/context.ts'
import type { Io } from '../../src/cli/io.ts'
import { sessionFile } from '../../src/cli/remote/session-file.ts'
import { createProgram } from '../../src/cli/run.ts'
import { fields } from '../../src/config/fields.ts'
import type { Store } from '../../src/store/index.ts'
import { version } from '../../src/version.ts'
import { code, sourceFiles } from '../support/docs/source-imports.ts'
import { startedCli, testCli } from '../support/processes/cli.ts'
import { masterKeysOf } from '../support/server/keys.ts'
import { storedSecret } from '../support/server/seed.ts'

interface Sample {
  /** Arguments after the name of the command. A function gets the last JSON output of each earlier command. */
  readonly args?: readonly string[] | ((outputs: ReadonlyMap<string, unknown>) => readonly string[])
  readonly input?: string
  /** Stores what the command needs and no other command creates. */
  readonly before?: (store: Store) => Promise<void>
}

const API = 'https://orders.example'
const PASSWORD = 'correct horse battery staple'
const NEW_PASSWORD = 'another horse, another battery'
const USER_SUPPLIED = 'a user-supplied secret value'

/** All commands, in an order in which each succeeds. */
const samples: Record<string, Sample> = {
  migrate: {},
  'apis create': { args: [API, '--scope', 'orders:read', '--scope', 'orders:write'] },
  'apis list': {},
  'apis show': { args: [API] },
  'apis update': { args: [API, '--access-token-ttl', '5m'] },
  'clients create': {
    args: ['--name', 'Shop', '--id', 'shop', '--grant', 'client_credentials', '--scope', 'orders:read'],
  },
  'clients list': {},
  'clients show': { args: ['shop'] },
  'clients update': { args: ['shop', '--secret-stdin', '--name', 'The shop'], input: USER_SUPPLIED },
  'clients rotate-secret': { args: ['shop'] },
  'clients secrets list': { args: ['shop'] },
  'clients secrets end': {
    args: ['shop', 'cs_second'],
    async before({ clients }) {
      const second = storedSecret('sha256:second', { id: 'cs_second' })
      await clients.update('shop', (shop) => ({ ...shop, secrets: [...shop.secrets, second] }))
    },
  },
  'clients disable': { args: ['shop'] },
  'clients enable': { args: ['shop'] },
  'roles create': { args: ['clerk', '--scope', 'orders:read'] },
  'roles list': {},
  'roles update': { args: ['clerk', '--scope', 'orders:read orders:write'] },
  'users create': { args: ['alice', '--role', 'clerk', '--password-stdin'], input: PASSWORD },
  'users list': {},
  'users show': { args: ['alice'] },
  'users update': { args: ['alice', '--name', 'Alice Miller'] },
  'users set-password': { args: ['alice', '--password-stdin'], input: NEW_PASSWORD },
  'users remove-role': { args: ['alice', 'clerk'] },
  'users add-role': { args: ['alice', 'clerk'] },
  'users disable': { args: ['alice'] },
  'users enable': { args: ['alice'] },
  'users reset-second-factor': { args: ['alice'] },
  'users invite': { args: ['ivy'] },
  'users reset-link': { args: ['alice'] },
  'users rename': { args: ['ivy', 'iva'] },
  'users delete': { args: ['iva'] },
  'sessions list': {},
  'sessions revoke': { args: ['--user', 'alice'] },
  dump: {},
  apply: { args: ['-f', '-'], input: 'users: [{ username: alice, roles: [clerk] }]' },
  serve: {},
  'keys list': {},
  'keys status': {},
  'keys rotate': {},
  'keys timeline': {},
  'keys simulate': {},
  'keys lanes add': { args: ['ES256'] },
  'keys lanes list': {},
  'keys lanes default': { args: ['RS256'] },
  'keys lanes remove': { args: ['ES256'] },
  'keys revoke': { args: (outputs) => [(outputs.get('keys rotate') as { active: string }).active] },
  'master-key status': {},
  'master-key drop-old': {},
  'verifiers expect': { args: ['orders'] },
  'verifiers list': {},
  nodes: {},
  'verifiers forget': {
    args: ['orders'],
    before: ({ verifiers }) =>
      verifiers.record([{ name: 'orders', instance: 'a', ringVersion: 1, seenAt: 4_000_000_000 }]),
  },
  export: { args: [join(t.testdir({}), 'public')] },
  audit: {},
  'audit verify': {},
  'audit accept': {
    args: ['--reason', 'the test took the signature away'],
    before: async ({ db }) => {
      await db.batch([{ sql: 'UPDATE audit_head SET mac = NULL' }])
    },
  },
  backup: { args: [join(t.testdir({}), 'backup.db')] },
  restore: { args: (outputs) => [(outputs.get('backup') as { file?: string })?.file ?? 'x', '--force'] },
  transfer: { args: ['--to', `sqlite:${join(t.testdir({}), 'other.db')}`] },
  doctor: {},
  'roles delete': { args: ['clerk'] },
  'clients delete': { args: ['shop'] },
  'apis delete': { args: [API] },
  demo: {},
  // test/cli/login.test.ts runs them with a server.
  login: { args: ['http://127.0.0.1:9'] },
  logout: { args: ['http://127.0.0.1:9'] },
  // Last, because doctor reports a rotation that is only prepared.
  'master-key rotate': { args: ['--prepare'] },
}

/** Commands that need no store. */
const SELF_CONTAINED = ['demo', 'login', 'logout']

/** Those that do something; a name such as `keys` only groups others, and `audit` does both. */
function commandsBelow(command: Command, path: readonly string[] = []): string[] {
  const below = command.commands.flatMap((child) => commandsBelow(child as Command, [...path, child.name()]))
  return command.options.some(({ long }) => long === '--json') ? [path.join(' '), ...below] : below
}

const noIo = { out() {}, err() {}, columns: 80, operator: 'tester' } as unknown as Io
const all = commandsBelow(await createProgram(createContext(noIo)))
const settings = { PORT: '0' }
const stopSignal = async () => 'SIGTERM'

const argsOf = (path: string, outputs: ReadonlyMap<string, unknown> = new Map()): string[] => {
  const { args = [] } = samples[path] ?? {}
  if (typeof args !== 'function') return [...path.split(' '), ...args]
  return [...path.split(' '), ...(outputs.size > 0 ? args(outputs) : ['some-kid'])]
}

t.test('the table of commands in this file is complete', async (t) => {
  t.same(Object.keys(samples).sort(), [...all].sort())
})

t.test('every command accepts --json, prints one document and never shows a key or a hash', async (t) => {
  const cli = await startedCli(t)
  const outputs = new Map<string, unknown>()
  const hidden: string[] = []
  let printed = ''
  let secrets: string[] = []
  for (const [path, { input = '', before }] of Object.entries(samples)) {
    // These have tests of their own.
    if (SELF_CONTAINED.includes(path)) continue
    if (before) await cli.withStore(before)
    const outcome = await cli.run([...argsOf(path, outputs), '--json'], { input, settings, stopSignal })
    t.equal(outcome.code, 0, `${path}: ${outcome.err}`)
    t.doesNotThrow(() => outputs.set(path, outcome.json()), path)
    printed += outcome.out + outcome.err
    const { client_secret: secret } = (outputs.get(path) ?? {}) as { client_secret?: string }
    if (secret !== undefined) secrets = [...secrets, secret]
    hidden.push(...(await cli.withStore(secretsOf)))
  }
  t.equal(secrets.length, 2, 'one secret at creation, one at rotation')
  for (const secret of secrets) t.equal(printed.split(secret).length, 2, 'each was printed exactly once')

  const masterKey = readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim()
  const { privateKeys } = masterKeysOf(Buffer.from(masterKey, 'base64url'))
  const ring = await cli.withStore((store) => store.ring.read())
  const keys = (ring?.keys ?? []).filter((key) => key.encryptedPrivateKey !== null)
  const pems = keys.map((key) => privateKeys.decrypt(key.kid, key.encryptedPrivateKey ?? ''))
  hidden.push(...pems.map((pem) => pem.replaceAll('\n', '\\n')))
  t.ok(hidden.length > 10 && keys.length === 2, 'there was something to hide')
  const logged = JSON.stringify(cli.logger.lines)
  for (const text of [...hidden, masterKey, PASSWORD, NEW_PASSWORD, USER_SUPPLIED]) {
    t.notOk(printed.includes(text) || logged.includes(text), `${text.slice(0, 12)}… is not printed`)
  }
  for (const secret of secrets) t.notOk(logged.includes(secret), 'a secret is not logged')
})

async function secretsOf(store: Parameters<Parameters<ReturnType<typeof testCli>['withStore']>[0]>[0]) {
  const clients = (await store.clients.page(null, 1000).catch(() => [])).flatMap(({ secrets }) =>
    secrets.map(({ hash }) => hash),
  )
  const users = (await store.users.page(null, 1000).catch(() => [])).map((user) => user.passwordHash)
  const keys = ((await store.ring.read().catch(() => null))?.keys ?? []).map((key) => key.encryptedPrivateKey)
  return [...clients, ...users, ...keys].filter((text) => text !== null)
}

t.test('a refusal exits 1 with a one-line reason, and with one document under --json', async (t) => {
  const cli = testCli(t)
  mkdirSync(dirname(cli.database))
  writeFileSync(cli.database, '')
  for (const path of all.filter((path) => !SELF_CONTAINED.includes(path))) {
    const input = samples[path]?.input ?? ''
    const outcome = await cli.run([...argsOf(path), '--json'], { input, settings, stopSignal })
    t.equal(outcome.code, 1, `${path}: ${outcome.err}`)
    const output = outcome.json<{ error?: string }>()
    if (path === 'doctor') continue
    // The error of restore itself does not suggest to restore a backup.
    if (path !== 'restore') t.match(output.error, /restore a backup/, path)
    t.match(outcome.err, /^keyturn: [^\n]+\n$/, path)
  }
})

t.test('without a database every command except serve and demo refuses and creates nothing', async (t) => {
  const cli = testCli(t)
  // Restoring a backup is the other way to say that a database is meant to be created; here, there is no backup.
  for (const path of all.filter((path) => !['serve', 'restore', ...SELF_CONTAINED].includes(path))) {
    const input = samples[path]?.input ?? ''
    const { code, err, out } = await cli.run(argsOf(path), { input, settings, stopSignal })
    t.equal(code, 1, path)
    const said = path === 'doctor' ? out : err
    t.match(said, `no database at ${cli.database}: npx keyturn serve creates one`, path)
    t.same(readdirSync(cli.dir), [], `${path} creates nothing`)
  }
})

t.test('a usage error exits 2, and prints one document under --json', async (t) => {
  const cli = testCli(t)
  for (const path of all) {
    const outcome = await cli.run([...argsOf(path), '--no-such-option', '--json'], { settings, stopSignal })
    t.equal(outcome.code, 2, path)
    t.match(outcome.err, /^keyturn: unknown option '--no-such-option'/, path)
    t.match(outcome.json(), { error: /unknown option/ }, path)
  }
  for (const args of [
    ['nope'],
    ['clients', 'nope'],
    ['clients', 'show'],
    ['clients', 'list', 'too', 'much'],
    ['keys'],
  ]) {
    t.equal((await cli.run(args)).code, 2, args.join(' '))
  }
  t.match((await cli.run(['clients', 'creat'])).err, /Did you mean create\?/)
  t.throws(() => readFileSync(cli.database), { code: 'ENOENT' }, 'nothing was created')
})

t.test('every command either works remotely and says so in its help, or refuses --server', async (t) => {
  const cli = testCli(t)
  const server = 'https://auth.example'
  const env = { XDG_CONFIG_HOME: cli.dir }
  const session = { issuer: server, client_id: 'x', access_token: 'x', expires_at: 2 ** 40 }
  await sessionFile(env, server).write(session)
  const fetch = () => Promise.reject(new TypeError('fetch failed'))
  for (const path of all.filter((path) => !SELF_CONTAINED.includes(path))) {
    const help = (await cli.run([...path.split(' '), '--help'])).out
    const options = { env, fetch, input: samples[path]?.input ?? '' }
    const { code, err } = await cli.run([...argsOf(path), '--server', server], options)
    if (help.includes('--server <url>')) t.match({ code, err }, { code: 1, err: /does not answer\n$/ }, path)
    else t.match({ code, err }, { code: 2, err: /without --server\n$/ }, path)
  }
  t.same(readdirSync(cli.dir), ['keyturn'], 'no database, key or setting is needed')
})

t.test('invalid configuration exits 2 and reports all problems at once', async (t) => {
  const cli = testCli(t)
  const invalid = { PROT: '1', JWKS_MAX_AGE: 'soon', ISSUER: 'http://issuer.example' }
  for (const path of all.filter((path) => !SELF_CONTAINED.includes(path) && path !== 'doctor')) {
    const input = samples[path]?.input ?? ''
    const outcome = await cli.run([...argsOf(path), '--json'], { input, settings: invalid, stopSignal })
    t.equal(outcome.code, 2, path)
    t.equal(outcome.json<{ problems: string[] }>().problems.length, 3, path)
    t.match(outcome.err, /KEYTURN_PROT is not a setting; did you mean KEYTURN_PORT\?/, path)
  }
  t.throws(() => readFileSync(cli.database), { code: 'ENOENT' }, 'nothing was created')
})

t.test(
  'every argument and option that names a file is refused if programs could read the name in two ways',
  async (t) => {
    const cli = testCli(t)
    const refused = ['x\r', ' x', 'x\u00a0', 'x\ny', '~/x']
    let tried = 0
    for (const path of all) {
      const command = path
        .split(' ')
        .reduce<Command | undefined>(
          (parent, name) => parent?.commands.find((child) => child.name() === name) as Command | undefined,
          await createProgram(createContext(noIo)),
        )
      const isFile = (what: string) => /^(file|folder)$|<(file|folder)>/.test(what)
      const given = [
        ...(command?.registeredArguments ?? [])
          .filter((one) => isFile(one.name()))
          .map(() => (name: string) => [name]),
        ...(command?.options ?? [])
          .filter(({ flags }) => isFile(flags))
          .map(({ long }) => (name: string) => [`${long}=${name}`]),
      ]
      for (const name of refused)
        for (const args of given) {
          tried += 1
          const outcome = await cli.run([...path.split(' '), ...args(name)])
          t.equal(outcome.code, 2, `${path} ${JSON.stringify(name)}`)
          t.match(outcome.err, / It must (not|be text) /, path)
        }
    }
    t.equal(
      tried,
      8 * refused.length,
      'backup, restore, export, apply, --jwks-file twice, --env, --client-secret-file',
    )
    t.same(readdirSync(cli.dir), [], 'nothing was created')
  },
)

t.test('every command has help with an example', async (t) => {
  const cli = testCli(t)
  for (const path of all) {
    const { code, out, err } = await cli.run([...path.split(' '), '--help'])
    t.equal(code, 0, path)
    t.equal(err, '', path)
    t.match(out, new RegExp(`Usage: keyturn ${path}`))
    t.match(out, new RegExp(`\\nExamples:\\n  \\$ npx keyturn ${path}`), path)
    t.match(out, '--json', path)
  }
})

t.test('help takes the whole name of a command', async (t) => {
  const cli = testCli(t)
  for (const path of all) {
    const words = path.split(' ')
    t.same(await cli.run(['help', ...words]), await cli.run([...words, '--help']), path)
  }
  t.match(await cli.run(['help']), { code: 0, out: /^Usage: keyturn / })
  t.match(await cli.run(['help', 'clients']), { code: 0, out: /^Usage: keyturn clients / })
  t.match(await cli.run(['help', 'clients', 'craete']), { code: 2, err: /Did you mean create\?/ })
  t.match(await cli.run(['help', 'nothing']), { code: 2, err: /unknown command/ })
})

t.test('a delete asks on a terminal, unless --yes is given, and nowhere else', async (t) => {
  const cli = await startedCli(t)
  const questions: string[] = []
  const terminal = (answer: boolean) => ({
    interactive: true,
    confirm: async (question: string) => {
      questions.push(question)
      return answer
    },
  })
  const kinds = Object.entries({ roles: 'clerk', clients: 'shop', apis: API })
  const create = async () => {
    for (const path of ['apis create', 'clients create', 'roles create']) await cli.json(argsOf(path))
  }
  await create()
  for (const [kind, name] of kinds) {
    const count = async () => (await cli.json<unknown[]>([kind, 'list'])).length
    const refused = await cli.run([kind, 'delete', name], terminal(false))
    t.match(refused, { code: 1, err: 'keyturn: nothing was deleted\n' })
    t.equal(await count(), 1)
    t.equal((await cli.run([kind, 'delete', name], terminal(true))).code, 0)
    t.match(questions.splice(0), [new RegExp(`^Delete the .*${name}.*\\?`), /^Delete/])
    t.equal(await count(), 0)
    t.equal((await cli.run([kind, 'delete', name], terminal(true))).code, 1, 'it does not exist')
    t.same(questions, [])
  }
  await create()
  for (const [kind, name] of kinds) {
    t.equal((await cli.run([kind, 'delete', name, '--yes'], terminal(false))).code, 0)
  }
  await create()
  for (const [kind, name] of kinds) t.equal((await cli.run([kind, 'delete', name])).code, 0)
  t.same(questions, [])
})

t.test('lines of the audit trail follow the output of a command, and do not interrupt it', async (t) => {
  const cli = await startedCli(t)
  await cli.json(argsOf('apis create'))
  const written: string[] = []
  const writes = (name: string) => () => written.push(name)
  const logger = { ...cli.logger, info: writes('audit event') }
  const streams = { out: writes('output'), err: writes('note') }
  t.equal((await cli.run(argsOf('clients create'), { ...streams, logger })).code, 0)
  t.same(written, ['note', 'output', 'audit event'])
})

t.test('a server announces itself once: as text to people, and as JSON with a line in the log', async (t) => {
  const cli = await startedCli(t)
  const serve = async (...args: string[]) => {
    cli.logger.lines.length = 0
    const { out } = await cli.run(['serve', ...args], { settings, stopSignal })
    return { out, logged: cli.logger.lines.filter(({ message }) => message === 'serving').length }
  }
  t.match(await serve(), { out: /^Keyturn \S+ serves http/, logged: 0 })
  t.match(await serve('--json'), { out: /^{"issuer"/, logged: 1 })
})

t.test(
  'messages name a command as it is typed in a checkout, and only command-line.ts says how',
  async (t) => {
    const names = new Set(all.map((path) => path.split(' ')[0]))
    const spelled = new RegExp(`\\bkeyturn (${[...names].join('|')})\\b`)
    const sources = sourceFiles.filter((path) => path.startsWith('src/') && path !== 'src/command-line.ts')
    t.ok(sources.length > 300)
    t.same(
      sources.filter((path) => spelled.test(code(path))),
      [],
    )
    const cli = testCli(t)
    t.match(await cli.run(['apis', 'list']), { err: /: npx keyturn serve creates one\n$/ })
    t.match(await cli.run(['roles', 'update', 'x']), { err: /: see npx keyturn roles update --help\n$/ })
  },
)

t.test('the top-level help lists every command and every setting', async (t) => {
  const cli = testCli(t)
  const { code, out } = await cli.run(['--help'])
  t.equal(code, 0)
  for (const name of new Set(all.map((path) => path.split(' ')[0] ?? ''))) {
    t.match(out, new RegExp(`^  ${name}\\b.*  \\w.*$`, 'm'), name)
  }
  for (const { name } of Object.values(fields)) t.match(out, `KEYTURN_${name} `, name)
  t.match(out, 'docs/settings.md')
  t.equal((await cli.run([])).code, 2, 'a missing command is a usage error')
  t.same(await cli.run(['--version']).then(({ code, out }) => [code, out]), [0, `${version}\n`])
})

t.test('no password or secret is accepted as an argument', async (t) => {
  const cli = testCli(t)
  const create = ['clients', 'create', '--name', 'x', '--grant', 'client_credentials']
  for (const args of [
    ['users', 'create', 'alice', '--password', PASSWORD],
    ['users', 'create', 'alice', PASSWORD],
    ['users', 'set-password', 'alice', '--password', PASSWORD],
    ['users', 'set-password', 'alice', PASSWORD],
    [...create, '--secret', USER_SUPPLIED],
    [...create, '--client-secret', USER_SUPPLIED],
  ]) {
    t.equal((await cli.run(args)).code, 2, args.slice(0, 4).join(' '))
  }
})
