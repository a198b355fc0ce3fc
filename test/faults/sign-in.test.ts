import { setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { cookieNames } from '../../src/http/cookies.ts'
import { type Browser, openBrowser, type Page, type Served } from '../support/browser/browser.ts'
import {
  authorizeParams,
  authorizeUrl,
  codeClient,
  completePages,
  redeem,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import {
  type Folder,
  integrity,
  readStore,
  seededFolder,
  withOpened,
} from '../support/processes/data-folder.ts'
import { type ServerProcess, startServer } from '../support/processes/process.ts'
import { freePort } from '../support/server/free-port.ts'
import { overHttp } from '../support/server/http-inject.ts'
import { basic, claimsOf, post, refresh } from '../support/server/requests.ts'
import { PASSWORD } from '../support/server/seed.ts'

const ALICE = { form: '/login', fill: { username: 'alice', password: PASSWORD } }
const ALLOW = { form: '/consent', press: 'allow', check: ['remember'] }

interface World {
  readonly folder: Folder
  readonly at: Browser
  readonly server: Served
  /** Kills the server (SIGKILL) and starts it again. */
  restart(): Promise<void>
  kill(): Promise<unknown>
  start(): Promise<void>
}

async function world(t: Test): Promise<World> {
  const port = await freePort()
  const folder = await seededFolder(t, { PORT: String(port) })
  await withOpened(folder, ({ store }) => store.clients.insert(codeClient({ id: 'web' })))
  const server = overHttp(`http://localhost:${port}`)
  let running: ServerProcess = await startServer(t, folder)
  const self: World = {
    folder,
    at: openBrowser(server),
    server,
    kill: () => running.kill(),
    async start() {
      running = await startServer(t, folder)
    },
    async restart() {
      await self.kill()
      await self.start()
    },
  }
  return self
}

const codeOf = ({ away, status, body }: Page): string => {
  const code = away?.params.get('code')
  if (!code) throw new Error(`no code but ${status} ${away?.url ?? body}`)
  return code
}

const userinfo = async ({ server }: World, token: string): Promise<number> => {
  const headers = { authorization: `Bearer ${token}` }
  return (await server.inject({ url: '/oauth2/userinfo', headers })).statusCode
}

t.test(
  'after a kill at each step of a sign-in, the user continues where they were (docs/security.md Q1)',
  async (t) => {
    const w = await world(t)
    const { at, server, restart } = w

    const login = await at.open(authorizeUrl())
    t.equal(login.path, '/login')
    await restart()
    const accepted = await at.send(login, ALICE)
    t.same(
      [accepted.status, new URL(accepted.location ?? '', login.url).pathname],
      [303, '/oauth2/authorize'],
    )
    const secret = at.cookies().get(cookieNames(at.server.config.issuer).session)
    t.ok(secret, 'the login was acknowledged')
    await restart()

    const consent = await at.open(new URL(accepted.location ?? '', login.url).href)
    t.equal(consent.path, '/consent', 'the login is not requested again')
    await restart()
    t.equal((await at.open(consent.url)).path, '/consent', 'reloading the page works too')
    const answer = await at.submit(consent, ALLOW)
    const code = codeOf(answer)
    await restart()

    const first = tokensOf(await redeem(server, code))
    await restart()
    t.equal(await userinfo(w, first.access_token), 200)
    const second = (await refresh(server, first.refresh_token, {}, 'web')).json()
    t.equal(claimsOf(second.access_token).sid, claimsOf(first.access_token).sid)

    const silent = await at.open(authorizeUrl({ prompt: 'none' }))
    t.ok(silent.away?.params.get('code'), 'the session and the consent are stored')
    t.equal(at.cookies().get(cookieNames(at.server.config.issuer).session), secret)

    await restart()
    const replay = await redeem(server, code)
    t.same([replay.statusCode, replay.json().error], [400, 'invalid_grant'], 'a redeemed code stays consumed')
    await restart()
    t.equal(await userinfo(w, second.access_token), 401, 'and its tokens stay revoked')
    t.equal((await refresh(server, second.refresh_token, {}, 'web')).json().error, 'invalid_grant')
    await w.kill()
    t.equal(integrity(w.folder), 'ok')
  },
)

t.test(
  'a pushed request survives the server and can be used once (RFC 9126 §2.2, §4; docs/security.md Q1, K121)',
  async (t) => {
    const { at, server, restart } = await world(t)
    const form = Object.fromEntries(authorizeParams())
    const pushed = await post(server, '/oauth2/par', form, { authorization: basic('web') })
    const { request_uri } = pushed.json()
    await restart()
    const url = `/oauth2/authorize?${new URLSearchParams({ client_id: 'web', request_uri })}`
    const code = codeOf(await at.submit(await at.submit(await at.open(url), ALICE), ALLOW))
    await restart()
    t.equal((await at.open(url)).away?.params.get('code') ?? null, null, 'the request was answered')
    t.equal((await redeem(server, code)).statusCode, 200)
  },
)

/** A request that is in progress when the server dies gets no response; repeating it must succeed. */
async function interrupted(w: World, work: () => Promise<unknown>, ms: number): Promise<boolean> {
  const response = work().then(
    () => true,
    () => false,
  )
  await wait(ms)
  await w.kill()
  const acknowledged = await response
  await w.start()
  return acknowledged
}

t.test(
  'after a kill in the middle of a step, resending the form or request continues the sign-in (RFC 6749 §4.1.2; docs/security.md Q1, E59)',
  async (t) => {
    const w = await world(t)
    const { server } = w
    // Hashing takes some 25 ms, and the rest of a request about one.
    for (const ms of [3, 25]) {
      const at = openBrowser(server)
      const login = await at.open(authorizeUrl({ prompt: 'consent' }))
      await interrupted(w, () => at.send(login, ALICE), ms)
      const consent = await completePages(at, await at.open(login.url), { consent: 'deny' })
      t.equal(consent.away?.params.get('error'), 'access_denied', `killed ${ms} ms into the login`)
    }
    for (const ms of [1, 4]) {
      const at = openBrowser(server)
      const login = await at.open(authorizeUrl({ prompt: 'consent' }))
      const consent = await at.submit(login, ALICE)
      await interrupted(w, () => at.send(consent, ALLOW), ms)
      const code = codeOf(await at.submit(consent, ALLOW))
      t.equal((await redeem(server, code)).statusCode, 200, `killed ${ms} ms into the consent`)
    }
  },
)

t.test(
  'a killed code redemption happened completely or not at all (RFC 6749 §4.1.2; docs/security.md Q1, E59, E60)',
  async (t) => {
    const w = await world(t)
    const { server, folder } = w
    const known = new Set<string>()
    for (const ms of [1, 3, 6]) {
      const { code } = await signIn(openBrowser(server))
      const newSessions = async () =>
        (await readStore(folder, (store) => store.clientSessions.list({ clientId: 'web' }, 100))).filter(
          ({ id }) => !known.has(id),
        )
      let tokens: ReturnType<typeof tokensOf> | undefined
      const acknowledged = await interrupted(
        w,
        async () => {
          tokens = tokensOf(await redeem(server, code))
        },
        ms,
      )
      const redeemed = (await newSessions()).length === 1
      if (tokens) {
        t.ok(acknowledged && redeemed, `${ms} ms: everything acknowledged is stored`)
        t.equal(await userinfo(w, tokens.access_token), 200)
      }
      const again = await redeem(server, code)
      t.equal(
        again.statusCode,
        redeemed ? 400 : 200,
        `${ms} ms: the code is consumed if and only if tokens were issued`,
      )
      const [session, ...more] = await newSessions()
      t.same(more, [], 'one code never begins two sessions')
      t.equal(session?.revokedAt === null, !redeemed)
      if (session) known.add(session.id)
    }
  },
)
