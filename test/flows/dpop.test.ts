/** Tokens that are bound to a key by DPoP (RFC 9449 §5 to §7). */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { rotateRing } from '../../src/keys/rotate.ts'
import { freshCode, seedUsers } from '../support/browser/sign-in.ts'
import { proof } from '../support/dpop/proofs.ts'
import { type dpopSender as DpopSender, dpopSender } from '../support/dpop/sender.ts'
import { testClock } from '../support/server/clock.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { clientKey } from '../support/server/jws.ts'
import { basic, claimsOf, login, post, refresh } from '../support/server/requests.ts'
import { client } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { introspect } from '../support/server/tokens.ts'

type Sender = ReturnType<typeof DpopSender>

const SPA = 'https://spa.test/'

async function seeded(options: Parameters<typeof testServer>[0] = {}, fresh = true) {
  const server = await testServer(options)
  if (fresh) {
    await seedUsers(server.store)
    for (const one of [
      client({ id: 'robot', scopes: ['admin:read'] }),
      client({
        id: 'strict',
        requireDpop: true,
        grants: ['client_credentials', 'password', 'refresh_token'],
      }),
      client({ id: 'portal', grants: ['password', 'refresh_token'], scopes: ['openid', 'orders:read'] }),
    ])
      await server.store.clients.insert(one)
    await server.poll()
  }
  return server
}

const server = await seeded()
t.teardown(() => server.close())
const owner = dpopSender(server)
const thief = dpopSender(server)

interface Tokens {
  readonly access_token: string
  readonly token_type: string
  readonly refresh_token: string
}

function tokensOf(answer: LightMyRequestResponse): Tokens {
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json()
}

const challengeOf = ({ headers }: LightMyRequestResponse) => String(headers['www-authenticate'])

t.test(
  'every grant binds its access token to the key of the proof (RFC 9449 §5, §6.1; docs/security.md L130)',
  async (t) => {
    const code = await freshCode(server, { client_id: 'spa' })
    const { refresh_token } = tokensOf(await owner.login())
    for (const [grant, answer] of Object.entries({
      client_credentials: await owner.machine(),
      password: await owner.login(),
      authorization_code: await owner.redeem(code, 'spa', SPA),
      refresh_token: await owner.refresh(refresh_token),
    })) {
      const { token_type, access_token } = tokensOf(answer)
      t.equal(token_type, 'DPoP', grant)
      t.same(claimsOf(access_token).cnf, { jkt: owner.jkt }, grant)
    }
    const plain = tokensOf(await login(server))
    t.equal(plain.token_type, 'Bearer', 'without a proof')
    t.notOk('cnf' in claimsOf(plain.access_token))
  },
)

t.test('keys of each kind can be bound (RFC 9449 §4.2)', async (t) => {
  for (const alg of ['ES256', 'PS256', 'EdDSA'] as const) {
    const sender = dpopSender(server, clientKey(alg))
    const { access_token } = tokensOf(await sender.login('portal', {}, { scope: 'openid' }))
    t.same(claimsOf(access_token).cnf, { jkt: sender.jkt })
    t.equal((await sender.userinfo(access_token)).statusCode, 200, alg)
  }
})

t.test('introspection tells the key and the type (RFC 9449 §6.2; docs/security.md I107)', async (t) => {
  const { access_token } = tokensOf(await owner.login())
  t.match((await introspect(server, access_token)).json(), {
    active: true,
    token_type: 'DPoP',
    cnf: { jkt: owner.jkt },
  })
})

t.test(
  'a stolen access token is useless without the key, at userinfo and at the administration (RFC 9449 §7; docs/security.md L133)',
  async (t) => {
    const { access_token: user } = tokensOf(await owner.login('portal', {}, { scope: 'openid' }))
    const { access_token: admin } = tokensOf(await owner.token({ grant_type: 'client_credentials' }, 'robot'))
    for (const [name, path, token] of [
      ['userinfo', '/oauth2/userinfo', user],
      ['administration', '/admin/v1/roles', admin],
    ] as const) {
      const ask = (sender: Sender, more = {}) =>
        sender.send(path, { method: 'GET', accessToken: token, ...more })
      for (const scheme of ['DPoP', 'dpop', 'DPOP', 'DPoP  '])
        t.equal(
          (await ask(owner, { scheme })).statusCode,
          200,
          `${name}: the scheme ${scheme} (RFC 9110 §11.1)`,
        )
      await writesNothing(t, server, async () => {
        for (const [how, answer, error] of [
          ['as a bearer token', await ask(thief, { scheme: 'Bearer', fields: [] }), 'invalid_token'],
          ['as a bearer token with a proof', await ask(owner, { scheme: 'Bearer' }), 'invalid_token'],
          ['with another key', await ask(thief), 'invalid_token'],
          ['without a proof', await ask(thief, { fields: [] }), 'invalid_dpop_proof'],
        ] as const) {
          t.equal(answer.statusCode, 401, `${name}: ${how}`)
          t.match(challengeOf(answer), `error="${error}"`, how)
          t.match(challengeOf(answer), 'DPoP ')
          t.match(challengeOf(answer), 'algs="ES256 PS256 EdDSA Ed25519"')
        }
      })
    }
    const inForm = await post(server, '/oauth2/userinfo', { access_token: user })
    t.equal(inForm.statusCode, 401, 'in the form')
  },
)

t.test('the error is in the challenge of the scheme that was used (RFC 9449 §7.2)', async (t) => {
  const { access_token } = tokensOf(await owner.login('portal', {}, { scope: 'openid' }))
  const get = (headers = {}) => server.inject({ url: '/oauth2/userinfo', headers })
  t.equal(challengeOf(await get()), 'Bearer realm="keyturn", DPoP algs="ES256 PS256 EdDSA Ed25519"')
  t.match(
    challengeOf(await get({ authorization: `Bearer ${access_token}` })),
    /^Bearer realm="keyturn", error="invalid_token", .*, DPoP algs="[^"]+"$/,
  )
  t.match(
    challengeOf(await get({ authorization: `DPoP ${access_token}` })),
    /^DPoP error="invalid_dpop_proof", error_description="[^"]+", algs="[^"]+"$/,
  )
  t.equal((await get({ authorization: `DPoP ${access_token} x` })).statusCode, 400)
  t.equal((await get({ authorization: 'DPoP' })).statusCode, 400)
})

t.test('a token that is not bound is not accepted with the scheme DPoP (RFC 9449 §7.1)', async (t) => {
  const { access_token } = tokensOf(await login(server, { scope: 'openid' }, 'portal'))
  const answer = await owner.userinfo(access_token)
  t.equal(answer.statusCode, 401)
  t.match(challengeOf(answer), /^DPoP error="invalid_token"/)
  const bearer = await owner.userinfo(access_token, { scheme: 'Bearer' })
  t.equal(bearer.statusCode, 200, 'a proof beside a bearer token is ignored')
})

t.test(
  'a refresh token of a public client is bound to the key (RFC 9449 §5; docs/security.md L130)',
  async (t) => {
    const first = tokensOf(await owner.login('phone'))
    await writesNothing(t, server, async () => {
      for (const [how, answer] of Object.entries({
        'another key': await thief.refresh(first.refresh_token, 'phone'),
        'no proof': await refresh(server, first.refresh_token, {}, 'phone'),
      }))
        refused(t, answer, { error: 'invalid_grant' }, how)
    })
    const second = tokensOf(await owner.refresh(first.refresh_token, 'phone'))
    t.equal(second.token_type, 'DPoP')
    refused(
      t,
      await thief.refresh(second.refresh_token, 'phone'),
      { error: 'invalid_grant' },
      'the next one, too',
    )
  },
)

t.test('a thief without the key cannot end the session of a bound refresh token (RFC 9449 §5)', async (t) => {
  const first = tokensOf(await owner.login('phone'))
  const second = tokensOf(await owner.refresh(first.refresh_token, 'phone'))
  const third = tokensOf(await owner.refresh(second.refresh_token, 'phone'))
  refused(t, await refresh(server, first.refresh_token, {}, 'phone'), { error: 'invalid_grant' })
  refused(t, await thief.refresh(first.refresh_token, 'phone'), { error: 'invalid_grant' })
  t.equal((await owner.refresh(third.refresh_token, 'phone')).statusCode, 200, 'the owner goes on')
  refused(t, await owner.refresh(first.refresh_token, 'phone'), { error: 'invalid_grant' })
  t.equal(server.logger.audits('token.reuse_detected').length, 1, 'with the key it is a replay')
})

t.test(
  'a refresh token of a confidential client stays with its client, whatever its key is (RFC 9449 §5)',
  async (t) => {
    const first = tokensOf(await owner.login('app'))
    const renewed = tokensOf(await thief.refresh(first.refresh_token, 'app'))
    t.same(
      claimsOf(renewed.access_token).cnf,
      { jkt: thief.jkt },
      'the new access token is bound to the new key',
    )
    const plain = tokensOf(await refresh(server, renewed.refresh_token))
    t.equal(plain.token_type, 'Bearer')
  },
)

t.test('the first proof of a public client binds its refresh token from then on (RFC 9449 §5)', async (t) => {
  const unbound = tokensOf(await login(server, {}, 'phone'))
  const bound = tokensOf(await owner.refresh(unbound.refresh_token, 'phone'))
  t.equal(bound.token_type, 'DPoP')
  refused(
    t,
    await refresh(server, bound.refresh_token, {}, 'phone'),
    { error: 'invalid_grant' },
    'without a proof',
  )
  refused(
    t,
    await thief.refresh(bound.refresh_token, 'phone'),
    { error: 'invalid_grant' },
    'with another key',
  )
  refused(
    t,
    await refresh(server, unbound.refresh_token, {}, 'phone'),
    { error: 'invalid_grant' },
    'a retry without it',
  )
  const retried = tokensOf(await owner.refresh(unbound.refresh_token, 'phone'))
  t.equal(retried.refresh_token, bound.refresh_token, 'a retry with the key gets the same successor')
  t.equal((await owner.refresh(bound.refresh_token, 'phone')).statusCode, 200)
})

t.test(
  'a thief who binds a stolen refresh token to a key of theirs is still found out (RFC 9700 §4.14.2)',
  async (t) => {
    const stolen = tokensOf(await login(server, {}, 'phone'))
    const theirs = tokensOf(await thief.refresh(stolen.refresh_token, 'phone'))
    server.clock.tick(11)
    refused(
      t,
      await refresh(server, stolen.refresh_token, {}, 'phone'),
      { error: 'invalid_grant' },
      'the owner',
    )
    refused(
      t,
      await thief.refresh(theirs.refresh_token, 'phone'),
      { error: 'invalid_grant' },
      'then the thief',
    )
    t.match(server.logger.audits('token.refused').at(-1), { detail: 'refresh_revoked' })
  },
)

t.test(
  'a retry of a refresh with a new proof gets the same successor; the old proof gets nothing',
  async (t) => {
    const { refresh_token } = tokensOf(await owner.login('phone'))
    const change = { claims: { jti: 'once' } }
    const first = tokensOf(await owner.refresh(refresh_token, 'phone', { change }))
    refused(t, await owner.refresh(refresh_token, 'phone', { change }), { error: 'invalid_dpop_proof' })
    const retried = tokensOf(await owner.refresh(refresh_token, 'phone'))
    t.equal(retried.refresh_token, first.refresh_token)
    t.equal((await owner.refresh(retried.refresh_token, 'phone')).statusCode, 200)
  },
)

t.test(
  'a proof is accepted once, at the token endpoint and at userinfo (RFC 9449 §11.1; docs/security.md L134)',
  async (t) => {
    const change = { claims: { jti: 'the same' } }
    t.equal((await owner.machine({ change })).statusCode, 200)
    refused(t, await owner.machine({ change }), { error: 'invalid_dpop_proof' })
    refused(t, await owner.login('app', { change }), { error: 'invalid_dpop_proof' }, 'by another client')
    t.equal(
      (await thief.machine({ change })).statusCode,
      200,
      'another key can make a proof with the same jti',
    )
    const { access_token } = tokensOf(await owner.login('portal', {}, { scope: 'openid' }))
    t.equal(
      (await owner.userinfo(access_token, { change })).statusCode,
      200,
      'so can the key, for another URL',
    )
    const again = await owner.userinfo(access_token, { change })
    t.equal(again.statusCode, 401)
    t.match(challengeOf(again), /^DPoP error="invalid_dpop_proof"/)
  },
)

t.test(
  'another query, or another spelling of the path, does not make a used proof good again (RFC 9449 §11.1; docs/security.md L134)',
  async (t) => {
    const { access_token } = tokensOf(await owner.token({ grant_type: 'client_credentials' }, 'robot'))
    const path = '/admin/v1/roles'
    let made: readonly string[] = []
    const first = await owner.send(path, {
      method: 'GET',
      accessToken: access_token,
      make: (request) => {
        made = [proof(request)]
        return made
      },
    })
    t.equal(first.statusCode, 200)
    for (const url of [
      path,
      `${path}?limit=1`,
      `${path}?`,
      '/admin/v1/%72oles',
      '/admin/v1/rol%65s?limit=2',
    ]) {
      const headers = { authorization: `DPoP ${access_token}`, dpop: made[0] }
      const again = await server.inject({ url, headers })
      t.not(again.statusCode, 200, url)
    }
  },
)

t.test('a request that is refused for another reason does not use its proof up', async (t) => {
  const change = { claims: { jti: 'kept' } }
  for (const [why, answer, error] of [
    [
      'client',
      await owner.send('/oauth2/token', {
        form: { grant_type: 'client_credentials' },
        change,
        headers: { authorization: basic('machine', 'wrong') },
      }),
      'invalid_client',
    ],
    ['grant', await owner.login('machine', { change }), 'unauthorized_client'],
    ['scope', await owner.machine({ change }, { scope: 'nothing' }), 'invalid_scope'],
    ['password', await owner.login('app', { change }, { password: 'wrong' }), 'invalid_grant'],
  ] as const)
    t.same(answer.json().error, error, why)
  t.equal((await owner.machine({ change })).statusCode, 200)
})

t.test('a resource that refuses the token does not use its proof up (docs/security.md L128)', async (t) => {
  const orders = tokensOf(await owner.login('portal', {}, { scope: 'orders:read' })).access_token
  const robot = tokensOf(await owner.token({ grant_type: 'client_credentials' }, 'robot')).access_token
  const refusals = {
    'userinfo, without openid': () => owner.userinfo(orders),
    'the administration, with the token of another API': () =>
      owner.send('/admin/v1/roles', { method: 'GET', accessToken: orders }),
    'the administration, without the scope': () =>
      owner.send('/admin/v1/roles/clerk', { method: 'DELETE', accessToken: robot }),
  }
  for (const [why, send] of Object.entries(refusals))
    await writesNothing(t, server, async () => t.match((await send()).statusCode, /401|403/, why))
})

t.test('if signing fails, the proof is not used up, as nothing else is (docs/security.md Q8)', async (t) => {
  const broken = await seeded()
  t.teardown(() => broken.close())
  const { db } = broken.store
  await db.batch([
    { sql: "UPDATE ring_keys SET encrypted_private_key = 'damaged' WHERE state = 'next'" },
    // The server reads the ring again, and finds another key active.
    { sql: "UPDATE ring_keys SET state = 'retired', encrypted_private_key = NULL WHERE state = 'active'" },
    { sql: "UPDATE ring_keys SET state = 'active' WHERE state = 'next'" },
    { sql: 'UPDATE ring SET version = version + 1' },
  ])
  broken.clock.tick(15)
  const proofs = async () => (await db.query('SELECT id FROM single_use')).length
  const answer = await dpopSender(broken).machine()
  t.same([answer.statusCode, answer.json().error], [503, 'temporarily_unavailable'])
  t.equal(await proofs(), 0)
})

t.test(
  'a jti is remembered until its proof is too old, and then deleted (RFC 9449 §11.1; docs/security.md L134)',
  async (t) => {
    const ids = async () => (await server.store.db.query('SELECT id FROM single_use')).length
    const ahead = { claims: { jti: 'ahead', iat: server.clock.now() + 30 } }
    t.equal((await owner.machine({ change: ahead })).statusCode, 200)
    for (const seconds of [30, 30, 29, 1]) {
      server.clock.tick(seconds)
      await server.deps.jobs.prune()
      const answer = await owner.machine({ change: ahead })
      refused(t, answer, { error: 'invalid_dpop_proof' })
      t.match(server.logger.audits('token.refused').at(-1), { detail: 'dpop_replayed' })
    }
    server.clock.tick(1)
    refused(t, await owner.machine({ change: ahead }), { error: 'invalid_dpop_proof' })
    t.match(server.logger.audits('token.refused').at(-1), { detail: 'dpop_expired' })
    server.clock.tick(2 * 3600)
    await server.deps.jobs.prune()
    t.equal(await ids(), 0)
  },
)

t.test(
  'of fifty requests with one proof exactly one succeeds, whatever the grant (docs/security.md L134)',
  async (t) => {
    const code = await freshCode(server, { client_id: 'spa' })
    const { refresh_token } = tokensOf(await owner.login('phone'))
    const { access_token } = tokensOf(await owner.login('portal', {}, { scope: 'openid' }))
    for (const [name, send] of Object.entries({
      client_credentials: (change: object) => owner.machine({ change }),
      authorization_code: (change: object) => owner.redeem(code, 'spa', SPA, { change }),
      refresh_token: (change: object) => owner.refresh(refresh_token, 'phone', { change }),
      userinfo: (change: object) => owner.userinfo(access_token, { change }),
    })) {
      const change = { claims: { jti: `raced ${name}` } }
      const answers = await Promise.all(Array.from({ length: 50 }, () => send(change)))
      const good = answers.filter(({ statusCode }) => statusCode === 200)
      t.equal(good.length, 1, name)
      t.ok(
        answers.every(
          (answer) => good.includes(answer) || /invalid_dpop_proof|invalid_grant/.test(answer.body),
        ),
        `${name}: the others are refused`,
      )
    }
  },
)

t.test(
  'a client that is registered with --require-dpop is refused without a proof (RFC 9449 §5.2; docs/security.md L131)',
  async (t) => {
    const { refresh_token } = tokensOf(await owner.login('strict'))
    const basicStrict = { authorization: basic('strict') }
    const requests = [
      { grant_type: 'client_credentials' },
      { grant_type: 'password', username: 'alice', password: 'correct horse battery staple' },
      { grant_type: 'refresh_token', refresh_token },
    ]
    await writesNothing(t, server, async () => {
      for (const form of requests) {
        refused(
          t,
          await post(server, '/oauth2/token', form, basicStrict),
          { error: 'invalid_request' },
          form.grant_type,
        )
        t.match(server.logger.audits('token.refused').at(-1), { detail: 'dpop_required' })
      }
    })
    t.equal((await owner.refresh(refresh_token, 'strict')).statusCode, 200)
    t.equal((await owner.token({ grant_type: 'client_credentials' }, 'strict')).statusCode, 200)
  },
)

t.test('DPoP brings no way to get a token through the browser (docs/security.md L135)', async (t) => {
  for (const response_type of ['token', 'id_token', 'code token', 'code id_token']) {
    const query = new URLSearchParams({
      client_id: 'spa',
      redirect_uri: SPA,
      response_type,
      dpop_jkt: owner.jkt,
    })
    const { headers } = await server.inject({ url: `/oauth2/authorize?${query}` })
    t.match(headers.location, /error=unsupported_response_type/)
    t.notMatch(headers.location, /token=/)
  }
})

t.test(
  'stolen tokens are useless at every node and after a rotation of keys (docs/security.md L130, L133, L134)',
  async (t) => {
    const options = {
      database: `${t.testdir()}/keyturn.db`,
      masterKey: Buffer.alloc(32, 5).toString('base64url'),
      clock: testClock(),
    }
    const first = await seeded(options)
    t.teardown(() => first.close())
    const second = await seeded(options, false)
    t.teardown(() => second.close())
    const key = clientKey()
    const [ownerHere, ownerThere] = [dpopSender(first, key), dpopSender(second, key)]
    const other = clientKey()
    const thieves: Sender[] = [dpopSender(first, other), dpopSender(second, other)]
    const nodes: TestServer[] = [first, second]

    const { access_token } = tokensOf(await ownerHere.login('portal', {}, { scope: 'openid' }))
    const { refresh_token } = tokensOf(await ownerHere.login('phone'))
    const code = await freshCode(first, { client_id: 'spa', dpop_jkt: ownerHere.jkt })

    async function stolenIsUseless(when: string) {
      for (const one of thieves) {
        t.equal((await one.userinfo(access_token)).statusCode, 401, when)
        t.equal((await one.userinfo(access_token, { scheme: 'Bearer', fields: [] })).statusCode, 401, when)
        refused(t, await one.refresh(refresh_token, 'phone'), { error: 'invalid_grant' }, when)
        refused(t, await one.redeem(code, 'spa', SPA), { error: 'invalid_grant' }, when)
      }
      for (const node of nodes)
        refused(t, await refresh(node, refresh_token, {}, 'phone'), { error: 'invalid_grant' }, when)
    }

    await stolenIsUseless('at once')
    await rotateRing(first.deps.keys, { force: true, actor: 'test' })
    for (const node of nodes) await node.poll()
    await stolenIsUseless('after a rotation')

    const change = { claims: { jti: 'at both' } }
    t.equal((await ownerHere.userinfo(access_token, { change })).statusCode, 200)
    t.equal(
      (await ownerThere.userinfo(access_token, { change })).statusCode,
      401,
      'the proof was used at the other node',
    )
    const raced = { claims: { jti: 'raced at both' } }
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? ownerHere : ownerThere).machine({ change: raced })),
    )
    t.equal(answers.filter(({ statusCode }) => statusCode === 200).length, 1)
    t.equal((await ownerThere.redeem(code, 'spa', SPA)).statusCode, 200, 'the owner’s code is still good')
    t.equal((await ownerThere.refresh(refresh_token, 'phone')).statusCode, 200, 'and the refresh token')
  },
)

t.test('a browser may send proofs, and read nonces and challenges (RFC 9449 §8, §7.1)', async (t) => {
  for (const url of ['/oauth2/token', '/oauth2/par', '/oauth2/userinfo']) {
    const headers = {
      origin: 'https://spa.test',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,dpop',
    }
    const preflight = await server.inject({ method: 'OPTIONS', url, headers })
    t.match(preflight.headers['access-control-allow-headers'], /\bDPoP\b/)
    const { headers: sent } = await post(server, url, {}, { origin: 'https://spa.test' })
    t.match(sent['access-control-expose-headers'], /\bDPoP-Nonce\b/)
    t.match(sent['access-control-expose-headers'], /\bWWW-Authenticate\b/)
  }
})

t.test('the metadata lists the algorithms of proofs (RFC 9449 §5.1)', async (t) => {
  for (const name of ['oauth-authorization-server', 'openid-configuration']) {
    const metadata = (await server.inject({ url: `/.well-known/${name}` })).json()
    t.same(metadata.dpop_signing_alg_values_supported, ['ES256', 'PS256', 'EdDSA', 'Ed25519'])
  }
})
