/** `--server` and `KEYTURN_SERVER`: which server a command administers. */
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { sessionFile } from '../../src/cli/remote/session-file.ts'
import { type Cli, testCli } from '../support/processes/cli.ts'

const SERVER = 'https://auth.example'
const LIST = ['roles', 'list']

/** A server that answers with an empty list, and the URLs that were requested. */
function emptyServer() {
  const urls: string[] = []
  const answer: typeof fetch = async (url) => {
    urls.push(String(url))
    return Response.json({ items: [], next_cursor: null })
  }
  return { urls, fetch: answer }
}

async function signedIn(cli: Cli) {
  const env = { XDG_CONFIG_HOME: cli.dir }
  const session = sessionFile(env, SERVER)
  await session.write({ issuer: SERVER, client_id: 'x', access_token: 'token', expires_at: 2 ** 40 })
  return { env, session }
}

t.test('--server may stand anywhere on the command line', async (t) => {
  const cli = testCli(t)
  const { env } = await signedIn(cli)
  for (const option of [['--server', SERVER], [`--server=${SERVER}`], ['--server', `${SERVER}/`]]) {
    for (let at = 0; at <= LIST.length; at += 1) {
      const { urls, fetch } = emptyServer()
      const args = [...LIST.slice(0, at), ...option, ...LIST.slice(at)]
      t.match(await cli.run(args, { env, fetch }), { code: 0, out: 'none\n', err: '' }, args.join(' '))
      t.same(urls, [`${SERVER}/admin/v1/roles?limit=1000`])
    }
  }
  const { urls, fetch } = emptyServer()
  const help = await cli.run(['roles', '--server', SERVER, 'list', '--help'], { env, fetch })
  t.match(help, { code: 0, out: /^Usage: keyturn roles list/ })
  const named = ['roles', 'delete', '--yes', '--server', SERVER, '--', '--server']
  t.equal((await cli.run(named, { env, fetch })).code, 0)
  t.match(urls, [/roles\/--server$/, /roles\/--server$/], 'after -- it is a name')
})

t.test('KEYTURN_SERVER is for commands that have no --server', async (t) => {
  const cli = testCli(t)
  const { env } = await signedIn(cli)
  const { urls, fetch } = emptyServer()
  t.match(await cli.run(LIST, { env: { ...env, KEYTURN_SERVER: SERVER }, fetch }), { code: 0 })
  const other = { ...env, KEYTURN_SERVER: 'https://other.example' }
  t.match(await cli.run([...LIST, '--server', SERVER], { env: other, fetch }), { code: 0 })
  t.same(urls.length, 2)
  t.match(await cli.run(LIST, { env: other, fetch }), {
    code: 1,
    err: 'keyturn: you are not signed in at https://other.example: run npx keyturn login https://other.example\n',
  })
  t.match(
    await cli.run(LIST, { settings: { SERVER: '' } }),
    { code: 1, err: /no database/ },
    'empty: not set',
  )
})

t.test(
  'KEYTURN_SERVER in a .env file is refused: a folder must not decide whose server is changed (docs/security.md R7)',
  async (t) => {
    const cli = testCli(t)
    writeFileSync(join(cli.dir, '.env'), `KEYTURN_SERVER=${SERVER}\n`)
    const { code, err } = await cli.run(LIST)
    t.equal(code, 2)
    t.match(err, 'KEYTURN_SERVER must be in the environment')
  },
)

t.test('an access token is sent only over https, or on this machine (docs/security.md R7)', async (t) => {
  const cli = testCli(t)
  for (const [args, message] of [
    [['--server', 'http://auth.example'], '--server must be https'],
    [['--server', 'auth.example'], '--server must be a URL'],
    [['--server', `${SERVER}/?x=1`], '--server must have no query'],
    [['--server'], '--server needs the URL'],
    [['--server='], '--server must be a URL'],
    [['--server', SERVER, `--server=${SERVER}`], '--server is given twice'],
  ] as const) {
    const outcome = await cli.run([...LIST, ...args])
    t.equal(outcome.code, 2, args.join(' '))
    t.match(outcome.err, message)
  }
  t.match(await cli.run(LIST, { settings: { SERVER: 'http://auth.example' } }), {
    code: 2,
    err: /KEYTURN_SERVER must be https/,
  })
  t.match((await cli.run(['--json', '--server'])).json(), { error: /needs the URL/ })
  for (const local of ['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000'])
    t.match(await cli.run([...LIST, '--server', local]), { code: 1, err: /not signed in/ }, local)
})

t.test('commands on the host refuse --server, and say that KEYTURN_SERVER does not apply', async (t) => {
  const cli = testCli(t)
  for (const args of [
    ['serve'],
    ['demo'],
    ['master-key', 'status'],
    ['export', 'public'],
    ['backup', 'x.db'],
    ['restore', 'x.db'],
    ['transfer', '--to', 'sqlite:y.db'],
    ['migrate'],
    ['audit', 'accept', '--reason', 'x'],
  ]) {
    const outcome = await cli.run([...args, '--server', SERVER, '--json'])
    t.equal(outcome.code, 2, args.join(' '))
    t.match(outcome.err, /host of (a|the) server.*without --server\n$/)
    t.match(outcome.json(), { error: /without --server/ })
  }
  t.same(readdirSync(cli.dir), [], 'nothing was created')
  const noted = /^note: KEYTURN_SERVER does not apply: this command works on this machine\n/
  for (const args of [['backup', 'x.db'], ['migrate', '--status'], ['doctor']]) {
    const { err } = await cli.run(args, { settings: { SERVER } })
    t.match(err, noted, args.join(' '))
    t.equal(err.split('does not apply').length, 2, 'and says it once')
  }
  t.notMatch((await cli.run(['doctor', '--help'], { settings: { SERVER } })).err, noted)
})

t.test('doctor --server shows what that server finds when it checks itself', async (t) => {
  const cli = testCli(t)
  const { env } = await signedIn(cli)
  const ok = { check: 'clock', ok: true, message: 'it is noon' }
  const problem = { check: 'free space', ok: false, message: 'the disk is full' }
  const answering = (items: object[]) => async () => Response.json({ items, next_cursor: null })
  const args = ['doctor', '--server', SERVER]
  t.match(await cli.run(args, { env, fetch: answering([ok]) }), { code: 0, out: 'ok  clock  it is noon\n' })
  const bad = await cli.run(args, { env, fetch: answering([ok, problem]) })
  t.match(bad, { code: 1, out: 'ok  clock       it is noon\n✗   free space  the disk is full\n' })
  const json = await cli.run([...args, '--json'], { env, fetch: answering([ok, problem]) })
  t.same(json.json(), [ok, problem])
})

t.test('login and logout without an issuer say how to name the server', async (t) => {
  const cli = testCli(t)
  for (const name of ['login', 'logout'])
    t.match(await cli.run([name]), { code: 2, err: /by its issuer URL.*, or set KEYTURN_SERVER\n$/ })
})

t.test('without a session, nothing is asked for', async (t) => {
  const cli = testCli(t)
  const askSecret = async () => {
    t.fail('it asks for a password')
    return 'x'
  }
  const create = ['users', 'create', 'bob', '--server', SERVER]
  const outcome = await cli.run(create, { env: { HOME: cli.dir }, interactive: true, askSecret })
  t.match(outcome, { code: 1, err: /not signed in/ })
})

t.test(
  'a file with a session is refused if others can read it, or if it is damaged (docs/security.md R7)',
  async (t) => {
    const cli = testCli(t)
    const { env, session } = await signedIn(cli)
    const list = () => cli.run([...LIST, '--server', SERVER], { env, ...emptyServer() })
    chmodSync(session.path, 0o644)
    t.match(await list(), {
      code: 1,
      err: `keyturn: ${session.path} can be read by others: chmod 600 ${session.path}\n`,
    })
    chmodSync(session.path, 0o600)
    t.equal((await list()).code, 0)
    for (const text of ['', '{', '{}', '[]', 'null']) {
      writeFileSync(session.path, text)
      t.match(await list(), { code: 1, err: /is damaged: run npx keyturn login/ }, JSON.stringify(text))
    }
  },
)

/** A body without an end. */
const endless = () => {
  const chunk = new Uint8Array(1024 * 1024).fill(0x20)
  return new ReadableStream({ pull: (controller) => controller.enqueue(chunk) })
}

/** A list of which each part has an item and leads to another part. */
function everOtherCursors(): typeof fetch {
  let count = 0
  return async () => {
    count += 1
    return Response.json({ items: [{ name: `role ${count}`, scopes: [] }], next_cursor: `c${count}` })
  }
}

t.test(
  'docs/security.md R10: a server that answers in another way than its administration fails with one line',
  async (t) => {
    const cli = testCli(t)
    const { env } = await signedIn(cli)
    const answers: [typeof fetch, RegExp][] = [
      [() => Promise.reject(new TypeError('fetch failed')), /does not answer/],
      [async () => new Response('<html>', { status: 404 }), /has no administration API \(status 404\)/],
      [async () => Response.json({ type: 'about:blank', detail: 'x' }, { status: 502 }), /refused: x/],
      [async () => Response.json(null, { status: 502 }), /status 502/],
      [async () => Response.json({ detail: {}, errors: 'x' }, { status: 502 }), /refused: status 502/],
      [async () => Response.json(null), /has no administration API \(status 200\)/],
      [async () => Response.json({}), /has no administration API \(status 200\)/],
      [async () => Response.json({ items: 'x', next_cursor: null }), /has no administration API/],
      [async () => Response.json({ items: [null], next_cursor: null }), /has no administration API/],
      [
        async () => Response.json({ items: [], next_cursor: null }, { headers: { 'keyturn-notes': '%zz' } }),
        /has no administration API/,
      ],
      [async () => new Response(endless()), /answers with more than 64 MB/],
      [async () => Response.json({ items: [], next_cursor: 'x' }), /with a list that does not end/],
      [async () => Response.json({ items: [{}], next_cursor: 'x' }), /with a list that does not end/],
      [async () => Response.json({ items: Array(1001).fill({}), next_cursor: null }), /that does not end/],
      [everOtherCursors(), /with a list that does not end/],
    ]
    for (const [answer, message] of answers) {
      const { code, err } = await cli.run([...LIST, '--server', SERVER], { env, fetch: answer })
      t.equal(code, 1)
      t.match(err, /^keyturn: [^\n]+\n$/)
      t.match(err, message)
    }
  },
)

t.test(
  'a name that URLs cannot have is not sent, because the request would be for something else',
  async (t) => {
    const cli = testCli(t)
    const { env } = await signedIn(cli)
    const fetch = () => t.fail('a request was sent')
    for (const name of ['.', '..']) {
      const { code, err } = await cli.run(['users', 'show', name, '--server', SERVER], {
        env,
        fetch: fetch as never,
      })
      t.equal(code, 1)
      t.equal(err, `keyturn: nothing can have the name ${name}\n`)
    }
  },
)
