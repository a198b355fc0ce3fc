import { request } from 'node:http'
import t, { type Test } from 'tap'
import type { RingKey } from '../../src/store/contracts/ring.ts'
import { type Folder, readStore, seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { basic, claimsOf, clientCredentials, kidOf, login, refresh } from '../support/server/requests.ts'
import {
  clientSessionIdOf,
  introspect,
  isActive,
  pairOf,
  refreshed,
  revoke,
  signedIn,
} from '../support/server/tokens.ts'

/** What only a real server process can show: sockets, two processes on one file, a command beside a server. */
const settings = { LOG_LEVEL: 'warn', ISSUER: 'http://localhost:3000' }

const sessionOf = (folder: Folder, token: string) =>
  readStore(folder, (store) => store.clientSessions.find(clientSessionIdOf(token)))

t.test(
  'fifty concurrent refreshes over sockets on two processes get one successor (RFC 9700 §4.14.2; docs/security.md F69, P1)',
  async (t) => {
    const folder = await seededFolder(t, settings)
    const [token = ''] = await withOpened(folder, (opened) => signIn(opened))
    const servers = await Promise.all([startServer(t, folder), startServer(t, folder)])
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => refresh(servers[n % 2] as ServerProcess, token)),
    )
    t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
    t.equal(new Set(answers.map((answer) => answer.json().refresh_token)).size, 1)
    t.equal((await sessionOf(folder, token))?.generation, 2)

    const [one, two] = servers
    const next = await refreshed(two, answers[0]?.json().refresh_token)
    t.equal((await refresh(one, token)).statusCode, 400, 'an older one is a replay on the other node too')
    t.equal((await refresh(two, next.refresh_token)).statusCode, 400)
    t.notOk(await isActive(two, next.access_token))
  },
)

t.test(
  'a revocation on one process takes effect at once on the other (RFC 7009 §2.1; docs/security.md I101)',
  async (t) => {
    const folder = await seededFolder(t, settings)
    const [one, two] = await Promise.all([startServer(t, folder), startServer(t, folder)])
    const pair = await signedIn(one)
    t.ok(await isActive(two, pair.access_token))
    await revoke(two, pair.refresh_token)
    t.notOk(await isActive(one, pair.access_token))
    t.equal((await introspect(one, pair.refresh_token)).body, '{"active":false}')
  },
)

t.test(
  'of 64 concurrent sign-ins the surplus gets 503, and a machine client still gets its token (docs/security.md Q14)',
  async (t) => {
    const folder = await seededFolder(t, settings)
    const server = await startServer(t, folder)
    await clientCredentials(server)
    const order: string[] = []
    const logins = Array.from({ length: 64 }, () =>
      login(server).then((answer) => {
        order.push(answer.statusCode === 200 ? 'signed in' : 'refused')
        return answer
      }),
    )
    const machine = clientCredentials(server).then((answer) => {
      order.push('machine')
      return answer
    })
    t.equal((await machine).statusCode, 200)
    const answers = await Promise.all(logins)
    const surplus = answers.filter((answer) => answer.statusCode !== 200)
    t.ok(surplus.length > 0, `${surplus.length} were refused`)
    for (const answer of surplus) {
      t.equal(answer.statusCode, 503)
      t.equal(answer.json().error, 'temporarily_unavailable')
      t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    }
    t.ok(64 - surplus.length >= 16, 'the admitted logins succeeded')
    t.ok(
      order.indexOf('machine') < order.lastIndexOf('signed in'),
      'the machine client did not wait for them',
    )
    t.equal((await login(server)).statusCode, 200, 'and afterwards logins work')
  },
)

t.test(
  'a refresh whose response is lost in transit can be retried with the same result (docs/security.md Q16)',
  async (t) => {
    const folder = await seededFolder(t, settings)
    const server = await startServer(t, folder)
    const { refresh_token: token } = await signedIn(server)
    await sendAndDisconnect(server, token)
    await until(t, 'the server did its part', async () => (await sessionOf(folder, token))?.generation === 2)
    const again = await Promise.all([refreshed(server, token), refreshed(server, token)])
    t.equal(again[0]?.refresh_token, again[1]?.refresh_token)
    t.equal((await sessionOf(folder, token))?.generation, 2)
    await refreshed(server, again[0]?.refresh_token ?? '')
  },
)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Sends the request and disconnects before a response can arrive. */
async function sendAndDisconnect({ url }: ServerProcess, token: string): Promise<void> {
  const sent = request(`${url}/oauth2/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic('app') },
  })
  sent.on('error', () => {})
  await new Promise<void>((resolve) => {
    sent.end(`grant_type=refresh_token&refresh_token=${token}`, () => resolve())
  })
  // Not a reset, which could overtake the request itself.
  sent.socket?.destroy()
}

interface Watched {
  /** Every issued token, with the kids that were published just before it was requested. */
  readonly tokens: { token: string; publishedBefore: readonly string[] }[]
  stop(): Promise<void>
}

async function publishedAt(server: ServerProcess): Promise<string[]> {
  const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  return keys.map(({ kid }: { kid: string }) => kid)
}

/** Requests tokens one after the other until told to stop. */
function watch(server: ServerProcess): Watched {
  const tokens: Watched['tokens'] = []
  let stopped = false
  const work = (async () => {
    while (!stopped) {
      const publishedBefore = await publishedAt(server)
      const answer = await clientCredentials(server)
      tokens.push({ token: pairOf(answer).access_token, publishedBefore })
    }
  })()
  return {
    tokens,
    async stop() {
      stopped = true
      await work
    },
  }
}

const ring = async (folder: Folder): Promise<readonly RingKey[]> =>
  (await readStore(folder, (store) => store.ring.read()))?.keys ?? []
const kidIn = (keys: readonly RingKey[], state: RingKey['state']) =>
  keys.find((key) => key.state === state)?.kid ?? ''

/** Waits without a limit of its own: the runner ends a test that hangs. */
async function until(t: Test, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(20)
  t.pass(what)
}

t.test(
  'a running server follows keys rotate and keys revoke and never signs with an unpublished key (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const folder = await seededFolder(t, { ...settings, VERIFIER_CACHE: '1h' })
    const server = await startServer(t, folder)
    const before = await ring(folder)
    const watched = watch(server)
    const lastKid = () => kidOf(watched.tokens.at(-1)?.token ?? '')
    await until(t, 'it signs with the active key', () => watched.tokens.length > 0)
    t.equal(lastKid(), kidIn(before, 'active'))

    const rotated = await keyturn(folder, ['keys', 'rotate', '--json'])
    t.equal(rotated.code, 0, rotated.stderr)
    const { active: second, next: third } = JSON.parse(rotated.stdout)
    t.equal(second, kidIn(before, 'next'))
    await until(t, 'it signs with the next key', () => lastKid() === second)
    t.same(new Set(await publishedAt(server)), new Set([kidIn(before, 'active'), second, third]))

    const early = await keyturn(folder, ['keys', 'rotate', '--json'])
    t.equal(early.code, 1, 'a second rotation would be unsafe')
    const published = (await ring(folder)).find((key) => key.kid === third)?.publishedAt ?? 0
    t.equal(JSON.parse(early.stdout).safe_from, published + 3600)

    const revoked = await keyturn(folder, ['keys', 'revoke', second, '--json'])
    t.equal(revoked.code, 0, revoked.stderr)
    await until(t, 'the revoked key has left', async () => !(await publishedAt(server)).includes(second))
    await until(t, 'the server signs with the key after it', () => lastKid() === third)
    const since = watched.tokens.length
    await until(t, 'tokens are still issued', () => watched.tokens.length > since + 5)
    await watched.stop()

    for (const { token, publishedBefore } of watched.tokens) {
      if (!publishedBefore.includes(kidOf(token))) t.fail('a key signed that was not published before')
    }
    t.same(
      [...new Set(watched.tokens.map(({ token }) => kidOf(token)))],
      [kidIn(before, 'active'), second, third],
      'in order, and never backwards',
    )
    for (const { token } of watched.tokens.slice(-5)) t.equal(claimsOf(token).client_id, 'machine')
  },
)
