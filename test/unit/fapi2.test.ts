/** The profile fapi2: what it sets at registration, and each rule that a registration can contradict. */
import { generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import {
  checkFapi2,
  mayOmitRedirectUri,
  permittedAlgorithms,
  rotatesRefreshTokens,
  withProfile,
} from '../../src/oauth/client-registration/fapi2.ts'
import { checkRegistration } from '../../src/oauth/client-registration/registration.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { client } from '../support/server/seed.ts'

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })

const LANES = ['RS256', 'ES256', 'PS256']
const NOTHING: ReadonlySet<keyof Client> = new Set()

const draft = (overrides: Partial<Client> = {}): Client =>
  client({
    authMethod: 'private_key_jwt',
    grants: ['authorization_code', 'refresh_token', 'client_credentials'],
    redirectUris: ['https://bank.example/callback'],
    jwks: { keys: [key] },
    profile: 'fapi2',
    ...overrides,
  })

/** Registered with these members, all of them chosen. */
const registered = (overrides: Partial<Client> = {}, lanes: readonly string[] = LANES): Client =>
  withProfile(draft(overrides), new Set(Object.keys(overrides) as (keyof Client)[]), lanes)

const refuses = (t: Test, overrides: Partial<Client>, section: string, why: RegExp) => {
  const label = JSON.stringify(overrides)
  try {
    checkRegistration(registered(overrides))
    t.fail(`${label} was accepted`)
  } catch (error) {
    const { message } = error as Error
    t.match(message, why, label)
    t.ok(message.endsWith(`(FAPI 2.0 Security Profile §${section})`), `${label}: ${message}`)
  }
}

t.test(
  'the profile sets what a registration leaves open (FAPI 2.0 §5.3.2; docs/security.md O156)',
  async (t) => {
    const client = registered()
    t.match(client, {
      requirePushedRequests: true,
      pkce: 'required',
      requireDpop: true,
      requireMtlsBound: false,
      idTokenSigningAlg: 'ES256',
      authorizationSignedResponseAlg: 'ES256',
      introspectionSignedResponseAlg: 'ES256',
    })
    t.doesNotThrow(() => checkRegistration(client))
    t.match(registered({}, ['PS256', 'RS256']), { idTokenSigningAlg: 'PS256' }, 'the first permitted lane')
    t.match(registered({ idTokenSigningAlg: 'PS256' }), { idTokenSigningAlg: 'PS256' }, 'as chosen')
    const plain = draft({ profile: null })
    t.equal(withProfile(plain, NOTHING, LANES), plain, 'a client without the profile stays as it is')
  },
)

t.test('tokens are bound to a DPoP key or, with a certificate, to that (FAPI 2.0 §5.3.2.1-5)', async (t) => {
  const bound = (overrides: Partial<Client>) => {
    const { requireDpop, requireMtlsBound } = registered(overrides)
    return [requireDpop, requireMtlsBound]
  }
  t.same(bound({}), [true, false])
  t.same(bound({ requireDpop: true }), [true, false])
  t.same(bound({ requireMtlsBound: true }), [false, true])
  t.same(bound({ requireDpop: true, requireMtlsBound: true }), [true, true])
  for (const authMethod of ['tls_client_auth', 'self_signed_tls_client_auth']) {
    t.same(bound({ authMethod }), [false, true], authMethod)
    t.same(bound({ authMethod, requireDpop: true }), [true, false], authMethod)
  }
  const earlier = { ...draft(), requireMtlsBound: true }
  t.match(
    withProfile(earlier, NOTHING, LANES),
    { requireDpop: false, requireMtlsBound: true },
    'a client that gets the profile later keeps what it has',
  )
})

t.test(
  'a registration that contradicts the profile is refused, with the section (docs/security.md O152, O154)',
  async (t) => {
    refuses(t, { grants: ['password'] }, '5.3.2.1-2', /password/)
    refuses(t, { authMethod: 'none', grants: ['authorization_code'] }, '5.3.2.1-3', /public client/)
    for (const authMethod of ['client_secret_basic', 'client_secret_post']) {
      refuses(t, { authMethod }, '5.3.2.1-6', /private_key_jwt, tls_client_auth/)
    }
    refuses(t, { requireDpop: false }, '5.3.2.1-4', /bound to a key/)
    refuses(t, { acceptEndpointAudience: true }, '5.3.2.1-8', /only be the issuer/)
    refuses(t, { requirePushedRequests: false }, '5.3.2.2-3', /must be pushed/)
    refuses(t, { pkce: 'optional' }, '5.3.2.2-5', /PKCE/)
    for (const uri of [
      'http://localhost/callback',
      'http://127.0.0.1/callback',
      'com.example.app:/callback',
    ]) {
      refuses(t, { redirectUris: ['https://bank.example/callback', uri] }, '5.3.2.2-8', /https/)
    }
  },
)

t.test('only PS256, ES256 and EdDSA sign (FAPI 2.0 §5.4.1-1; docs/security.md O155)', async (t) => {
  const members = [
    'idTokenSigningAlg',
    'authorizationSignedResponseAlg',
    'introspectionSignedResponseAlg',
  ] as const
  for (const member of members) {
    refuses(t, { [member]: 'RS256' }, '5.4.1-1', /must be one of PS256, ES256, EdDSA/)
    for (const alg of ['PS256', 'ES256', 'EdDSA']) {
      t.doesNotThrow(() => checkRegistration(registered({ [member]: alg })), `${member} ${alg}`)
    }
  }
  t.throws(() => checkRegistration(registered({}, ['RS256'])), /keyturn keys lanes add ES256/, 'no lane')
  refuses(t, { jwks: { keys: [{ ...rsa, alg: 'RS256' }] } }, '5.4.1-1', /needs a key for PS256, ES256/)
  t.doesNotThrow(() => checkRegistration(registered({ jwks: { keys: [rsa] } })), 'a key without alg')
  const labelled = { authMethod: 'self_signed_tls_client_auth', jwks: { keys: [{ ...rsa, alg: 'RS256' }] } }
  const signing = { ...labelled, requireSignedRequests: true }
  t.doesNotThrow(() => checkFapi2(registered(labelled)), 'a key that signs no JWT')
  t.throws(() => checkFapi2(registered(signing)), /needs a key for PS256, ES256/)
  const both = [
    { ...rsa, alg: 'RS256', kid: 'old' },
    { ...key, alg: 'ES256', kid: 'new' },
  ]
  t.doesNotThrow(() => checkRegistration(registered({ jwks: { keys: both } })))
  const all = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
  t.same(permittedAlgorithms(draft(), all), ['PS256', 'ES256', 'EdDSA', 'Ed25519'])
  t.same(permittedAlgorithms(draft({ profile: null }), all), all)
})

t.test('the rules hold for a client that has the profile, whatever changes later', async (t) => {
  const before = registered()
  const change = (chosen: Partial<Client>) => () =>
    checkRegistration(
      withProfile({ ...before, ...chosen }, new Set(Object.keys(chosen) as (keyof Client)[]), LANES),
    )
  t.throws(change({ requirePushedRequests: false }), /must be pushed/)
  t.throws(change({ requireDpop: false }), /bound to a key/)
  t.throws(change({ idTokenSigningAlg: 'RS256' }), /must be one of/)
  t.doesNotThrow(change({ name: 'another name' }))
  t.doesNotThrow(change({ profile: null, requireDpop: false }), 'unless the profile goes in the same change')
})

t.test('without the profile, refresh tokens rotate and one redirect URI may be left out', async (t) => {
  t.same(
    [true, false],
    [null, 'fapi2' as const].map((profile) => rotatesRefreshTokens({ profile })),
  )
  t.same(
    [true, false],
    [null, 'fapi2' as const].map((profile) => mayOmitRedirectUri({ profile })),
  )
})
