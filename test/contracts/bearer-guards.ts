/** The responses that every guard of @keyturn/verify must give, for every framework (RFC 6750 §3). */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { Verifier } from '../../packages/verify/index.ts'
import { AUDIENCE, fakeIssuer, JWKS, signingKey } from '../support/issuers/fake-issuer.ts'

/** The levels that `/mfa` and `/recent-mfa` accept. */
export const MFA = ['urn:keyturn:acr:mfa', 'phr'] as const

export interface GuardAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}

/** Names and values in turn, so that a name can be repeated. */
export type Call = (path: string, headers: readonly string[]) => Promise<GuardAnswer>

/**
 * An app with `/open` (no guard), `/any` (a token), `/read` (the scope orders:read), `/both` (orders:read and orders:admin),
 * `/manager` (the role manager), `/manager-writes` (that role and orders:write), `/mfa` (one of two levels of authentication), `/recent`
 * (authenticated in the last 300 seconds) and `/recent-mfa` (both), each answering `{ sub }`, which is null on a route without a guard.
 */
export type GuardedApp = (t: Test, verifier: Verifier) => Promise<Call>

const REALM = `realm="${AUDIENCE}"`

export async function bearerGuards(t: Test, app: GuardedApp): Promise<void> {
  const issuer = await fakeIssuer(t)
  const call = await app(t, issuer.verifier())
  const bearer = (token: string) => ['Authorization', `Bearer ${token}`]
  const good = await issuer.token()

  const refused = (
    t: Test,
    answer: GuardAnswer,
    status: number,
    challenge: string | undefined,
    error: string,
  ) => {
    t.equal(answer.status, status)
    t.equal(answer.headers['www-authenticate'], challenge)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.match(answer.headers['content-type'], /^application\/json\b/)
    t.match(answer.body, { error, error_description: /^[\x20-\x7e]+$/ })
    t.same(Object.keys(answer.body as object).sort(), ['error', 'error_description'])
  }
  const invalid = (reason: string) => `Bearer ${REALM}, error="invalid_token", error_description="${reason}"`

  await t.test(
    'a valid token passes on the routes whose requirements it meets, and the handler sees its claims',
    async (t) => {
      for (const path of ['/any', '/read']) {
        const { status, body } = await call(path, bearer(good))
        t.same([status, body], [200, { sub: 'user-1' }], path)
      }
      const manager = await issuer.token({ roles: ['clerk', 'manager'], scope: undefined })
      t.equal((await call('/manager', bearer(manager))).status, 200)
      t.equal((await call('/manager-writes', bearer(manager))).status, 403, 'the role without the scope')
      const writes = await issuer.token({ roles: ['manager'], scope: 'orders:write' })
      t.equal((await call('/manager-writes', bearer(writes))).status, 200)
      const clerk = await issuer.token({ roles: ['clerk'], scope: 'orders:write' })
      t.equal((await call('/manager-writes', bearer(clerk))).status, 403, 'the scope without the role')
      const both = await issuer.token({ scope: 'orders:admin x orders:read' })
      t.equal((await call('/both', bearer(both))).status, 200)
      t.same((await call('/open', [])).body, { sub: null })
    },
  )

  await t.test(
    'the scheme may be in upper or lower case, with one space or more (RFC 9110 §11.1)',
    async (t) => {
      for (const scheme of ['bearer', 'BEARER', 'bEaReR', 'Bearer  ', 'Bearer   ']) {
        t.equal((await call('/any', ['authorization', `${scheme} ${good}`])).status, 200, scheme)
      }
    },
  )

  await t.test(
    'a request without credentials gets a challenge without an error code (RFC 6750 §3.1)',
    async (t) => {
      const none = [[], ['Authorization', 'Basic dXNlcjpwYXNz'], ['Authorization', '']]
      for (const headers of [...none, ['Authorization', `Bearers ${good}`], ['Authorization', good]]) {
        refused(t, await call('/any', headers), 401, `Bearer ${REALM}`, 'unauthorized')
        refused(t, await call('/read', headers), 401, `Bearer ${REALM}`, 'unauthorized')
      }
    },
  )

  await t.test(
    'a token in the query is not accepted, because URLs end up in logs (RFC 9700 §4.3.2)',
    async (t) => {
      refused(t, await call(`/any?access_token=${good}`, []), 401, `Bearer ${REALM}`, 'unauthorized')
    },
  )

  await t.test(
    'Bearer without a token and two Authorization headers get invalid_request (RFC 6750 §2, §3.1)',
    async (t) => {
      const request = (reason: string) =>
        `Bearer ${REALM}, error="invalid_request", error_description="${reason}"`
      const empty = request('the Authorization header has no token')
      for (const value of ['Bearer', 'bearer ']) {
        refused(t, await call('/any', ['Authorization', value]), 400, empty, 'invalid_request')
      }
      const repeated = request('the Authorization header is repeated')
      for (const second of [good, 'x', await issuer.token({ sub: 'root' })]) {
        const headers = [...bearer(good), 'x-between', '1', 'AUTHORIZATION', `Bearer ${second}`]
        refused(t, await call('/any', headers), 400, repeated, 'invalid_request')
      }
    },
  )

  await t.test('every bad token gets invalid_token (RFC 6750 §3.1, RFC 9068 §4)', async (t) => {
    const now = issuer.time.now()
    const other = await signingKey('other')
    const cases: [token: string | Promise<string>, reason: string][] = [
      ['garbage', 'the token does not have three parts'],
      ['a b', 'the token has characters that are not allowed in a token'],
      ['"', 'the token has characters that are not allowed in a token'],
      ['=', 'the token has characters that are not allowed in a token'],
      [`${good.slice(0, -8)}AAAAAAAA`, 'the signature is invalid'],
      [issuer.token({ exp: now - 60 }), 'the token has expired'],
      [issuer.token({ nbf: now + 60 }), 'the token is not valid yet'],
      [issuer.token({ aud: 'x' }), 'the token is for another audience'],
      [issuer.token({ iss: 'x' }), 'the token was issued by another issuer'],
      [issuer.token({ sub: 5 }), 'the claim sub is missing or has the wrong type'],
      [issuer.token({}, { typ: 'JWT' }), 'the token has another type'],
      [issuer.token({}, {}, other), 'the issuer has no key with this kid'],
    ]
    for (const [token, reason] of cases) {
      issuer.time.tick(1)
      refused(t, await call('/read', bearer(await token)), 401, invalid(reason), 'invalid_token')
    }
  })

  await t.test(
    'a valid token that lacks a scope or role gets insufficient_scope with all required scopes (RFC 6750 §3.1)',
    async (t) => {
      const challenge = (reason: string, scope: string) =>
        `Bearer ${REALM}, error="insufficient_scope", error_description="${reason}"${scope}`
      const needs = challenge('the scope orders:admin is required', ', scope="orders:read orders:admin"')
      refused(t, await call('/both', bearer(good)), 403, needs, 'insufficient_scope')
      for (const scope of [undefined, '', 'orders:reader', 'orders', 'ORDERS:READ', 'orders:read,x']) {
        const answer = await call('/read', bearer(await issuer.token({ scope })))
        const needsRead = challenge('the scope orders:read is required', ', scope="orders:read"')
        refused(t, answer, 403, needsRead, 'insufficient_scope')
      }
      for (const roles of [undefined, [], ['clerk'], ['Manager'], ['managers']]) {
        const answer = await call('/manager', bearer(await issuer.token({ roles })))
        refused(t, answer, 403, challenge('the role manager is required', ''), 'insufficient_scope')
      }
    },
  )

  await t.test(
    'unavailable keys and status lists get 503, and the response does not blame the token',
    async (t) => {
      const away = await fakeIssuer(t)
      away.routes.set(JWKS, (_, response) => response.writeHead(500).end())
      const cold = await app(t, away.verifier())
      const answer = await cold('/read', bearer(await away.token()))
      refused(t, answer, 503, undefined, 'temporarily_unavailable')
      t.equal(answer.headers['retry-after'], '1')

      const strict = await app(t, issuer.verifier({ statusList: { onStale: 'reject' } }))
      const status = { status_list: { idx: 1, uri: `${issuer.origin}/status-lists/0` } }
      const unknown = await strict('/read', bearer(await issuer.token({ status })))
      refused(t, unknown, 503, undefined, 'temporarily_unavailable')
    },
  )

  await t.test('a realm with quotes does not break the challenge', async (t) => {
    const named = await app(t, issuer.verifier({ realm: 'the "orders" \\ \r\nx' }))
    const { headers } = await named('/any', [])
    t.equal(headers['www-authenticate'], 'Bearer realm="the ?orders? ? ??x"')
  })

  await t.test('an error that is not a VerifyError gets 500 without a challenge', async (t) => {
    const broken = { ...issuer.verifier(), verify: () => Promise.reject(new TypeError('a mistake')) }
    const { status, headers } = await (await app(t, broken))('/any', bearer(good))
    t.equal(status, 500)
    t.equal(headers['www-authenticate'], undefined)
  })
}

/** Calls a server on a port of this machine, with exactly these headers. */
export function callTo(port: number): Call {
  return async (path, headers) => {
    const request = httpRequest({
      port,
      path,
      headers: ['Host', 'localhost', ...headers],
      agent: false,
    }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const body = await json(response).catch(() => undefined)
    return { status: response.statusCode ?? 0, headers: response.headers as GuardAnswer['headers'], body }
  }
}
