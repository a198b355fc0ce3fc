import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { forbidWriting, lockStore } from '../support/server/engine.ts'
import { refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { introspect, isActive, type Pair, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

/**
 * A revocation that could not be stored gets 503, never 200: the client must know that the token is still valid (RFC
 * 7009 §2.2.1, CVE-2020-15223; docs/security.md I102, P7).
 */
async function onDisk(t: Test) {
  const file = join(t.testdir(), 'keyturn.db')
  const masterKey = randomBytes(32).toString('base64url')
  const server = await testServer({ database: file, masterKey, settings: { DATABASE_TIMEOUT: '1s' } })
  t.teardown(() => server.close())
  await seed(server.store)
  return { server, file, masterKey, pair: await signedIn(server) }
}

async function failsToRevoke(t: Test, server: TestServer, pair: Pair) {
  const answers = await Promise.all([
    revoke(server, pair.refresh_token),
    revoke(server, pair.access_token),
    revoke(server, pair.refresh_token, 'app', { token_type_hint: 'access_token' }),
  ])
  for (const answer of answers) {
    t.equal(answer.statusCode, 503)
    t.equal(answer.json().error, 'temporarily_unavailable')
    t.match(answer.headers['retry-after'], /^\d+$/)
    t.notMatch(
      answer.body,
      /sqlite|postgres|sql|database|read-?only|locked|keyturn\.db/i,
      'and reveals nothing about the store',
    )
  }
  t.same(server.logger.audits('token.revoked'), [], 'nor is it audited as revoked')
}

async function staysValid(t: Test, server: TestServer, pair: Pair) {
  t.ok(await isActive(server, pair.access_token), 'the access token is still valid')
  t.ok(await isActive(server, pair.refresh_token), 'and so is the session')
}

async function succeeds(t: Test, server: TestServer, pair: Pair) {
  const next = await refreshed(server, pair.refresh_token)
  t.equal((await revoke(server, next.refresh_token)).statusCode, 200, 'later it works')
  t.equal((await refresh(server, next.refresh_token)).statusCode, 400)
}

t.test(
  'revocation while the database is locked gets 503, and the token stays valid (RFC 7009 §2.2.1; docs/security.md I102, P7, Q5)',
  async (t) => {
    const { server, pair } = await onDisk(t)
    const unlock = await lockStore(t, { url: server.config.databaseUrl })
    await failsToRevoke(t, server, pair)
    await staysValid(t, server, pair)
    await unlock()
    await staysValid(t, server, pair)
    await succeeds(t, server, pair)
  },
)

t.test(
  'revocation on a read-only database gets 503, and the token stays valid (RFC 7009 §2.2.1; docs/security.md I102, P7, Q4)',
  async (t) => {
    const { server, file, masterKey, pair } = await onDisk(t)
    const allowWriting = await forbidWriting(server.store, { url: server.config.databaseUrl })
    await failsToRevoke(t, server, pair)
    await staysValid(t, server, pair)
    await server.store.db.close()
    await allowWriting()
    const again = await testServer({ database: file, masterKey })
    t.teardown(() => again.close())
    await staysValid(t, again, pair)
    await succeeds(t, again, pair)
  },
)

t.test(
  'revocation and introspection without a database get 503, and the token is valid after a restart (RFC 7009 §2.2.1; docs/security.md I102, P7)',
  async (t) => {
    const { server, file, masterKey, pair } = await onDisk(t)
    await server.store.db.close()
    await failsToRevoke(t, server, pair)
    for (const token of [pair.access_token, pair.refresh_token]) {
      const answer = await introspect(server, token)
      t.equal(answer.statusCode, 503, 'reporting it as inactive would be wrong')
      t.notMatch(answer.body, /active/)
    }
    const again = await testServer({ database: file, masterKey })
    t.teardown(() => again.close())
    await staysValid(t, again, pair)
    await succeeds(t, again, pair)
  },
)
