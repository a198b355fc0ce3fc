/** A node that is frozen (SIGSTOP) while the others continue, and resumes with requests waiting (docs/security.md Q18). */
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { CUT_ALL, run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { startCluster } from '../support/processes/cluster.ts'
import { signIn } from '../support/processes/data-folder.ts'
import type { ServerProcess } from '../support/processes/process.ts'
import { claimsOf, clientCredentials, kidOf, post, refresh } from '../support/server/requests.ts'
import { SECRET } from '../support/server/seed.ts'

const postgres = await startPostgres(t)

const statusOf = (token: string) => JSON.stringify(claimsOf(token).status)

const posted = (node: ServerProcess) =>
  post(node, '/oauth2/token', {
    grant_type: 'client_credentials',
    client_id: 'poster',
    client_secret: SECRET,
  })

async function cluster(t: Test) {
  const database = await postgres.emptyDatabase()
  const all = await startCluster(t, {
    database,
    nodes: 2,
    settings: { DATABASE_TIMEOUT: '2s', DATABASE_POOL: '2', REFRESH_GRACE: '60s' },
  })
  return { ...all, database, frozenNode: all.at(0), other: all.at(1) }
}

async function freezeAndResume(t: Test, milliseconds: number): Promise<void> {
  const { frozenNode, other, json, withOpened } = await cluster(t)
  const [token = '', toBeRevoked = ''] = await withOpened((within) => signIn(within, 2))
  const before = [await clientCredentials(frozenNode), await clientCredentials(other)].map(
    (one) => one.json().access_token,
  )
  const [old] = before.map(kidOf)
  t.equal((await posted(frozenNode)).statusCode, 200)

  frozenNode.child.kill('SIGSTOP')
  // In its socket before anything happens, and while it does.
  const waiting = Array.from({ length: 4 }, () => clientCredentials(frozenNode))
  const jwks = frozenNode.inject({ url: '/.well-known/jwks.json' })
  await json(['keys', 'revoke', String(old)])
  await json(['keys', 'rotate', '--force'])
  await json(['clients', 'disable', 'poster'])
  await json([
    'sessions',
    'revoke',
    '--id',
    String(claimsOf((await refresh(other, toBeRevoked)).json().access_token).sid),
  ])
  const late = [posted(frozenNode), refresh(frozenNode, toBeRevoked)]
  const refreshed = refresh(frozenNode, token)
  await sleep(milliseconds)
  frozenNode.child.kill('SIGCONT')

  const published = (await other.inject({ url: '/.well-known/jwks.json' })).json()
  const keys = createLocalJWKSet(published)
  const active = await withOpened(
    async ({ store }) => (await store.ring.read())?.keys.find(({ state }) => state === 'active')?.kid,
  )
  t.not(active, old)
  const answers = [...(await Promise.all(waiting)), await refreshed]
  for (const answer of answers) {
    t.equal(answer.statusCode, 200)
    const { access_token } = answer.json()
    t.equal(kidOf(access_token), active, 'signed with the current key')
    await t.resolves(jwtVerify(access_token, keys))
  }
  t.same((await jwks).json(), published, 'the JWKS is the current one too')
  t.same(
    (await Promise.all(late)).map(({ statusCode }) => statusCode),
    [401, 400],
    'the disabled client and the ended session get no tokens',
  )
  const indices = [...before, ...answers.map((one) => one.json().access_token)].map(statusOf)
  t.equal(new Set(indices.slice(0, -1)).size, indices.length - 1, 'and no two tokens share an index')
  t.equal((await frozenNode.inject({ url: '/health/ready' })).statusCode, 200)
}

t.test(
  'a resumed node answers queued requests according to the current state (docs/security.md Q18)',
  async (t) => {
    // Longer than a poll takes, and much shorter than the lease.
    await freezeAndResume(t as Test, 1600)
  },
)

t.test(
  'a node resumed after its lease ended answers queued requests according to the current state (docs/security.md Q18)',
  async (t) => {
    await freezeAndResume(t as Test, 11_000)
  },
)

t.test(
  'a resumed node that lost its database connection reconnects and continues (docs/security.md Q6, Q18)',
  async (t) => {
    const { frozenNode, other, database, json, withOpened } = await cluster(t as Test)
    const tokens = await withOpened((within) => signIn(within, 6))
    await Promise.all(tokens.map((token) => refresh(frozenNode, token)))
    // Frozen in the middle of their work.
    const interrupted = tokens.map((token) => refresh(frozenNode, token))
    frozenNode.child.kill('SIGSTOP')
    await sleep(4000)
    // The database server has released its locks; the connections are cut too.
    await Promise.all(
      tokens.map(async (token) =>
        t.equal((await refresh(other, token)).statusCode, 200, 'no other client waits for it'),
      ),
    )
    await run(database, CUT_ALL)
    await json(['keys', 'rotate', '--force'])
    await json(['keys', 'rotate', '--force'])
    frozenNode.child.kill('SIGCONT')
    for (const answer of await Promise.all(interrupted)) {
      if (answer.statusCode === 200) continue
      t.equal(answer.statusCode, 503, answer.body)
      t.ok(answer.headers['retry-after'])
    }
    while ((await frozenNode.inject({ url: '/health/ready' })).statusCode !== 200) await sleep(20)
    const active = (await json<{ kid: string; state: string }[]>(['keys', 'list'])).find(
      ({ state }) => state === 'active',
    )
    for (const token of tokens) {
      const answer = await refresh(frozenNode, token)
      t.equal(answer.statusCode, 200, answer.body)
      t.equal(kidOf(answer.json().access_token), active?.kid)
    }
    const nodes = await json<{ behind: boolean; state: string }[]>(['nodes'])
    t.same(
      nodes.map(({ behind, state }) => [behind, state]),
      [
        [false, 'serving'],
        [false, 'serving'],
      ],
    )
  },
)
