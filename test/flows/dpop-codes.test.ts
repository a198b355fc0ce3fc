/** Authorization codes that are bound to a key, at the authorization endpoint and by pushed requests (RFC 9449 §10). */
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import {
  authorizeParams,
  authorizeUrl,
  codeClient,
  freshCode,
  type Overrides,
  redeem,
  seedUsers,
  signIn,
} from '../support/browser/sign-in.ts'
import { dpopSender, type Sending } from '../support/dpop/sender.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { clientKey, compact } from '../support/server/jws.ts'
import { claimsOf } from '../support/server/requests.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
const signingKey = clientKey()
await server.store.clients.insert(
  codeClient({ id: 'signing', requireSignedRequests: true, jwks: { keys: [signingKey.jwk] } }),
)
await server.poll()
const owner = dpopSender(server)
const thief = dpopSender(server)
const GRANT = { error: 'invalid_grant' }

const REDIRECT: Readonly<Record<string, string>> = {
  spa: 'https://spa.test/',
  web: 'https://app.test/callback',
  signing: 'https://app.test/callback',
}
const redeemAs = (sender: typeof owner, code: string, as: string, more: Sending = {}) =>
  sender.redeem(code, as, REDIRECT[as] ?? '', more)

/** A pushed request of the client, with a proof of `sender`. */
function push(sender: typeof owner, as: string, overrides: Overrides = {}, more: Sending = {}) {
  const form = Object.fromEntries(
    authorizeParams({ client_id: as, redirect_uri: REDIRECT[as], ...overrides }),
  )
  return sender.send('/oauth2/par', { as, form, ...more })
}

/** The code for a pushed request. */
async function codeFor(answer: LightMyRequestResponse, as: string): Promise<string> {
  const { request_uri } = answer.json()
  const query = new URLSearchParams({ client_id: as, request_uri })
  return (await signIn(openBrowser(server), {}, { url: `/oauth2/authorize?${query}` })).code
}

/** Only the key of `owner` redeems the code. A refusal uses nothing up. */
async function onlyForOwner(t: Test, code: string, as: string, label: string): Promise<void> {
  await writesNothing(t, server, async () => {
    refused(t, await redeemAs(thief, code, as), GRANT, `${label}, another key`)
    refused(
      t,
      await redeem(server, code, { as, form: { redirect_uri: REDIRECT[as] ?? '' } }),
      GRANT,
      `${label}, no proof`,
    )
    refused(
      t,
      await redeemAs(thief, code, as, { form: { grant_type: 'authorization_code', code } }),
      GRANT,
      `${label}, no verifier`,
    )
    t.match(server.logger.audits('token.refused').at(-1), { detail: 'sender_mismatch' })
  })
  const answer = await redeemAs(owner, code, as)
  t.equal(answer.statusCode, 200, `${label}: the owner`)
  t.same(claimsOf(answer.json().access_token).cnf, { jkt: owner.jkt })
}

t.test('a code is bound to the key of dpop_jkt (RFC 9449 §10; docs/security.md L132)', async (t) => {
  for (const as of ['spa', 'web'])
    await onlyForOwner(t, await freshCode(server, { client_id: as, dpop_jkt: owner.jkt }), as, as)
})

t.test('a used code that is bound is a replay only with the key (RFC 6749 §4.1.2)', async (t) => {
  const code = await freshCode(server, { client_id: 'spa', dpop_jkt: owner.jkt })
  const { refresh_token } = (await redeemAs(owner, code, 'spa')).json()
  refused(t, await redeemAs(thief, code, 'spa'), GRANT)
  refused(t, await redeem(server, code, { as: 'spa' }), GRANT)
  const renewed = await owner.refresh(refresh_token, 'spa')
  t.equal(renewed.statusCode, 200, 'a thief cannot end the session')
  refused(t, await redeemAs(owner, code, 'spa'), GRANT)
  refused(t, await owner.refresh(renewed.json().refresh_token, 'spa'), GRANT, 'the replay has ended it')
})

t.test('a dpop_jkt that is no thumbprint is refused at once (RFC 9449 §10)', async (t) => {
  for (const dpop_jkt of ['x', `${owner.jkt}=`, owner.jkt.slice(1), `${owner.jkt.slice(1)}+`]) {
    const { headers } = await server.inject({ url: authorizeUrl({ client_id: 'spa', dpop_jkt }) })
    t.match(headers.location, /error=invalid_request/, dpop_jkt)
    const answer = await push(owner, 'web', { dpop_jkt }, { fields: [] })
    refused(t, answer, { error: 'invalid_request' }, `pushed: ${dpop_jkt}`)
  }
})

t.test(
  'a pushed request binds the code by dpop_jkt, by a proof, or by both (RFC 9449 §10.1; docs/security.md L132)',
  async (t) => {
    for (const as of ['spa', 'web']) {
      for (const [label, answer] of Object.entries({
        dpop_jkt: await push(owner, as, { dpop_jkt: owner.jkt }, { fields: [] }),
        'a proof': await push(owner, as),
        both: await push(owner, as, { dpop_jkt: owner.jkt }),
        'a proof and an empty dpop_jkt': await push(owner, as, { dpop_jkt: '' }),
      })) {
        t.equal(answer.statusCode, 201, `${as}: ${label}`)
        await onlyForOwner(t, await codeFor(answer, as), as, `${as}: ${label}`)
      }
    }
  },
)

t.test(
  'a pushed request whose dpop_jkt is not the key of its proof is refused (RFC 9449 §10.1; docs/security.md L132)',
  async (t) => {
    for (const as of ['spa', 'web']) {
      const change = { claims: { jti: `kept for ${as}` } }
      refused(t, await push(owner, as, { dpop_jkt: thief.jkt }, { change }), { error: 'invalid_request' }, as)
      t.match(server.logger.audits('par.refused').at(-1), { detail: 'sender_mismatch' })
      t.equal((await push(owner, as, {}, { change })).statusCode, 201, 'the proof was not used up')
      refused(t, await push(owner, as, {}, { change }), { error: 'invalid_dpop_proof' }, 'now it is')
    }
  },
)

t.test('a signed request binds the code in the same ways (RFC 9101 §6.3, RFC 9449 §10.1)', async (t) => {
  const now = server.clock.now()
  const object = (more: Record<string, unknown> = {}) =>
    compact(
      { alg: signingKey.alg, kid: signingKey.kid, typ: 'oauth-authz-req+jwt' },
      {
        iss: 'signing',
        aud: ISSUER,
        exp: now + 60,
        ...Object.fromEntries(authorizeParams({ client_id: 'signing', redirect_uri: REDIRECT.signing })),
        ...more,
      },
      signingKey.privateKey,
    )
  const pushSigned = (request: string, more: Sending = {}) =>
    owner.send('/oauth2/par', { as: 'signing', form: { request }, ...more })
  const signed = await pushSigned(object({ dpop_jkt: owner.jkt }), { fields: [] })
  await onlyForOwner(t, await codeFor(signed, 'signing'), 'signing', 'in the object')
  await onlyForOwner(t, await codeFor(await pushSigned(object()), 'signing'), 'signing', 'by the proof')
  refused(t, await pushSigned(object({ dpop_jkt: thief.jkt })), { error: 'invalid_request' })
})

t.test(
  'the same key may send one jti to the pushed request and to the token endpoint (RFC 9449 §11.1)',
  async (t) => {
    const change = { claims: { jti: 'for both' } }
    const code = await codeFor(await push(owner, 'web', {}, { change }), 'web')
    t.equal((await redeemAs(owner, code, 'web', { change })).statusCode, 200)
  },
)

t.test(
  'a stranger can store few proofs by pushed requests of a public client (docs/security.md Q22)',
  async (t) => {
    const rows = async () => (await server.store.db.query('SELECT id FROM single_use')).length
    const before = await rows()
    let last: LightMyRequestResponse | undefined
    for (let i = 0; i < 80; i += 1) last = await push(thief, 'spa')
    t.equal(last?.statusCode, 429)
    t.ok((await rows()) - before <= 60)
  },
)
