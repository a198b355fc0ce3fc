/** What every guard of @keyturn/verify must answer if the user has not authenticated well or recently enough (RFC 9470). */
import type { Test } from 'tap'
import { AUDIENCE, fakeIssuer } from '../support/issuers/fake-issuer.ts'
import { type GuardAnswer, type GuardedApp, MFA } from './bearer-guards.ts'

const [LEVEL, STRONGER] = MFA
const PASSWORD = 'urn:keyturn:acr:password'

export async function stepUpGuards(t: Test, app: GuardedApp): Promise<void> {
  const issuer = await fakeIssuer(t)
  const now = issuer.time.now()
  const call = await app(t, issuer.verifier())
  const authorization = async (claims: Record<string, unknown>) => [
    'Authorization',
    `Bearer ${await issuer.token(claims)}`,
  ]
  const refused = (t: Test, answer: GuardAnswer, reason: string, parameters: string) => {
    t.equal(answer.status, 401)
    const error = 'error="insufficient_user_authentication"'
    const expected = `Bearer realm="${AUDIENCE}", ${error}, error_description="${reason}", ${parameters}`
    t.equal(answer.headers['www-authenticate'], expected)
    t.match(answer.body, { error: 'insufficient_user_authentication' })
  }
  const level = 'another level of authentication is required'
  const recent = 'a more recent authentication is required'

  await t.test('the user must have authenticated at one of the accepted levels (RFC 9470 §3)', async (t) => {
    for (const acr of MFA) t.equal((await call('/mfa', await authorization({ acr }))).status, 200, acr)
    for (const acr of [undefined, PASSWORD, '', `${LEVEL} ${STRONGER}`, [LEVEL], STRONGER.toUpperCase()]) {
      const answer = await call('/mfa', await authorization({ acr }))
      refused(t, answer, level, `acr_values="${LEVEL} ${STRONGER}"`)
    }
  })

  await t.test('the user must have authenticated recently enough, by clocks that may differ', async (t) => {
    for (const age of [0, 300, 330, -30])
      t.equal((await call('/recent', await authorization({ auth_time: now - age }))).status, 200, `${age} s`)
    for (const authTime of [undefined, now - 331, 0, String(now), null]) {
      refused(t, await call('/recent', await authorization({ auth_time: authTime })), recent, 'max_age="300"')
    }
  })

  await t.test('a token that lacks both is told both at once', async (t) => {
    const both = `acr_values="${LEVEL} ${STRONGER}", max_age="300"`
    t.equal((await call('/recent-mfa', await authorization({ acr: LEVEL, auth_time: now }))).status, 200)
    refused(t, await call('/recent-mfa', await authorization({ acr: PASSWORD, auth_time: now })), level, both)
  })

  await t.test('a verifier can require a level of every token', async (t) => {
    const strict = await app(t, issuer.verifier({ requireAcr: LEVEL, maxAge: 60 }))
    t.equal((await strict('/any', await authorization({ acr: LEVEL, auth_time: now }))).status, 200)
    const both = `acr_values="${LEVEL}", max_age="60"`
    refused(t, await strict('/any', await authorization({ acr: PASSWORD, auth_time: now })), level, both)
    refused(t, await strict('/any', await authorization({ acr: LEVEL, auth_time: now - 91 })), recent, both)
  })

  await t.test(
    'a token that is refused for another reason is not told what the user would need',
    async (t) => {
      const { headers } = await call('/mfa', await authorization({ exp: now - 60 }))
      t.notMatch(headers['www-authenticate'], /acr_values/)
    },
  )
}
