/**
 * Writes sender-constrained.json: `node docs/test-vectors/generate-sender-constrained.ts`. The private keys beside this file are published, so
 * they must not be used for anything else. ES256 signatures are random; all others are the same every time.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

type Json = Record<string, unknown>

/** A request to the service, and how a correct verifier answers it. */
export interface BoundCase {
  readonly name: string
  readonly method: string
  readonly url: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** The values of the `DPoP` header fields. */
  readonly dpop: readonly string[]
  /** The name of the certificate that the client has used on the TLS connection; null for none. */
  readonly certificate: 'client' | 'thief' | null
  /** What the verifier is configured to require, besides a valid token. */
  readonly requires: {
    readonly bound?: true
    readonly acr?: readonly string[]
    readonly max_age?: number
  }
  /** The case that was sent before, to the same verifier; null if its memory of proofs is empty. */
  readonly after: string | null
  readonly valid: boolean
  /** The status and the error code in `WWW-Authenticate`; null if the request is accepted. */
  readonly response: {
    readonly status: number
    readonly scheme: 'Bearer' | 'DPoP'
    readonly error: string
    /** Further parameters of the challenge. */
    readonly parameters?: Readonly<Record<string, string>>
  } | null
  readonly level: 'must' | 'should'
  readonly reason: string
  readonly source: string
}

export interface BoundVectors {
  readonly description: string
  readonly issuer: string
  readonly audience: string
  /** The time of verification, in seconds since 1970. */
  readonly now: number
  readonly algorithms: readonly string[]
  /** Accepted algorithms of proofs. */
  readonly proof_algorithms: readonly string[]
  readonly jwks: { readonly keys: readonly unknown[] }
  /** Client certificates: DER in base64. */
  readonly certificates: Readonly<Record<'client' | 'thief', string>>
  readonly cases: readonly BoundCase[]
}

const ISSUER = 'https://auth.example'
const AUDIENCE = 'https://orders.example'
const URL_ = `${AUDIENCE}/orders`
const NOW = 1_800_000_000
const HOUR = 3600

const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as T
const stored = read<Record<string, JsonWebKey>>('private-keys-for-tests-only.json')
const certificates = read<BoundVectors['certificates']>('client-certificates.json')

function key(name: string): KeyObject {
  const jwk = stored[name]
  if (!jwk) throw new Error(`no key ${name}`)
  return createPrivateKey({ key: jwk, format: 'jwk' })
}

const publicJwk = (name: string): JsonWebKey => createPublicKey(key(name)).export({ format: 'jwk' })
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('base64url')
const encoded = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

function compact(header: Json, payload: unknown, by: string): string {
  const input = `${encoded(header)}.${encoded(payload)}`
  const signer = key(by)
  const signature =
    signer.asymmetricKeyType === 'ed25519'
      ? sign(null, Buffer.from(input), signer)
      : sign('sha256', Buffer.from(input), { key: signer, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** RFC 7638 §3. */
function thumbprint(name: string): string {
  const { crv, kty, x, y } = publicJwk(name)
  return sha256(JSON.stringify({ crv, kty, x, y }))
}

const token = (changed: Json): string =>
  compact(
    { alg: 'RS256', typ: 'at+jwt', kid: 'first' },
    {
      iss: ISSUER,
      sub: 'user-1',
      aud: AUDIENCE,
      client_id: 'web',
      iat: NOW - 60,
      exp: NOW + 600,
      jti: 'token-1',
      scope: 'orders:read',
      ...changed,
    },
    'first',
  )

const x5t = (name: 'client' | 'thief') => sha256(Buffer.from(certificates[name], 'base64'))
const byKey = token({ cnf: { jkt: thumbprint('client') } })
const byEdwards = token({ cnf: { jkt: thumbprint('edwards') } })
const byCertificate = token({ cnf: { 'x5t#S256': x5t('client') } })
const byBoth = token({ cnf: { jkt: thumbprint('client'), 'x5t#S256': x5t('client') } })
const bare = token({})

interface ProofChange {
  readonly claims?: Json
  readonly header?: Json
  readonly by?: string
  readonly for?: string
}

let proofs = 0
/** A right proof, unless something is changed; each has a `jti` of its own. */
function proof({
  claims = {},
  header = {},
  by = 'client',
  for: accessToken = byKey,
}: ProofChange = {}): string {
  proofs += 1
  const alg = by === 'edwards' ? 'EdDSA' : 'ES256'
  const good = { jti: `proof-${proofs}`, htm: 'GET', htu: URL_, iat: NOW, ath: sha256(accessToken) }
  return compact({ typ: 'dpop+jwt', alg, jwk: publicJwk(by), ...header }, { ...good, ...claims }, by)
}

type Sent = Pick<BoundCase, 'authorization'> & Partial<BoundCase>
const dpop = (text: string | readonly string[], accessToken = byKey): Sent => ({
  authorization: `DPoP ${accessToken}`,
  dpop: [text].flat(),
})
const bearer = (accessToken: string, more: Partial<BoundCase> = {}): Sent => ({
  authorization: `Bearer ${accessToken}`,
  ...more,
})

type Row = readonly [name: string, sent: Sent, reason: string, source: string]

const once = proof()
const right: readonly Row[] = [
  ['bound to a key', dpop(once), 'token and proof are correct', 'RFC 9449 §7.1'],
  [
    'scheme in lower case',
    { ...dpop(proof()), authorization: `dpop ${byKey}` },
    'schemes are case-insensitive',
    'RFC 9110 §11.1',
  ],
  [
    'EdDSA',
    dpop(proof({ by: 'edwards', for: byEdwards }), byEdwards),
    'a registered asymmetric algorithm',
    'RFC 9449 §4.3',
  ],
  [
    'htu with a query and a fragment',
    dpop(proof({ claims: { htu: `${URL_}?page=2#x` } })),
    'query and fragment are ignored',
    'RFC 9449 §4.3',
  ],
  [
    'a request with a query',
    { ...dpop(proof()), url: `${URL_}?page=2` },
    'htu has no query',
    'RFC 9449 §4.2',
  ],
  [
    'htu with the default port',
    dpop(proof({ claims: { htu: 'https://orders.example:443/orders' } })),
    'normalised by scheme',
    'RFC 3986 §6.2.3',
  ],
  [
    'htu with a host in upper case',
    dpop(proof({ claims: { htu: 'HTTPS://ORDERS.example/orders' } })),
    'normalised by case',
    'RFC 3986 §6.2.2.1',
  ],
  [
    'htu with an encoded letter',
    dpop(proof({ claims: { htu: 'https://orders.example/%6Frders' } })),
    'normalised by encoding',
    'RFC 3986 §6.2.2.2',
  ],
  [
    'htu with dot segments',
    dpop(proof({ claims: { htu: 'https://orders.example/x/../orders' } })),
    'normalised by path segments',
    'RFC 3986 §6.2.2.3',
  ],
  [
    'iat a few seconds ago',
    dpop(proof({ claims: { iat: NOW - 10 } })),
    'the proof is recent',
    'RFC 9449 §11.1',
  ],
  [
    'iat a few seconds ahead',
    dpop(proof({ claims: { iat: NOW + 10 } })),
    'clocks may differ',
    'RFC 9449 §11.1',
  ],
  [
    'unknown members of a proof',
    dpop(proof({ claims: { color: 'blue' }, header: { kid: 'x' } })),
    'unknown members must be ignored',
    'RFC 7519 §4',
  ],
  [
    'typ of a proof with application/',
    dpop(proof({ header: { typ: 'application/dpop+jwt' } })),
    'a media type may have the prefix application/',
    'RFC 7515 §4.1.9',
  ],
  [
    'bound to a certificate',
    bearer(byCertificate, { certificate: 'client' }),
    'the connection has the certificate',
    'RFC 8705 §3',
  ],
  [
    'bound to a key and a certificate',
    { ...dpop(proof({ for: byBoth }), byBoth), certificate: 'client' },
    'both are proven',
    'RFC 7800 §3.1',
  ],
  ['not bound', bearer(bare), 'a bearer token needs no proof', 'RFC 6750 §2.1'],
  [
    'not bound, with a certificate',
    bearer(bare, { certificate: 'client' }),
    'a bearer token needs no proof',
    'RFC 6750 §2.1',
  ],
  [
    'bound tokens only',
    { ...dpop(proof()), requires: { bound: true } },
    'the token is bound',
    'RFC 9449 §7.1',
  ],
  [
    'a level that is reached',
    bearer(token({ acr: 'mfa' }), { requires: { acr: ['phr', 'mfa'] } }),
    'acr is one of the values',
    'RFC 9470 §3',
  ],
  [
    'an age that is not exceeded',
    bearer(token({ auth_time: NOW - 60 }), { requires: { max_age: HOUR } }),
    'auth_time is recent',
    'RFC 9470 §3',
  ],
]

/** 401 and invalid_token: the token cannot be used. */
const badToken: readonly Row[] = [
  ['bound to a key, as a bearer token', bearer(byKey), 'a stolen token', 'RFC 9449 §7.2'],
  [
    'bound to a key, as a bearer token with a proof',
    bearer(byKey, { dpop: [proof()] }),
    'the scheme is not DPoP',
    'RFC 9449 §7.2',
  ],
  [
    'a proof of another key',
    dpop(proof({ by: 'thief' })),
    'the token is bound to another key',
    'RFC 9449 §4.3',
  ],
  [
    'bound to a certificate, without one',
    bearer(byCertificate),
    'the connection has no certificate',
    'RFC 8705 §3',
  ],
  [
    'bound to a certificate, with another',
    bearer(byCertificate, { certificate: 'thief' }),
    'the connection has another certificate',
    'RFC 8705 §3',
  ],
  [
    'bound to both, without the certificate',
    dpop(proof({ for: byBoth }), byBoth),
    'the certificate is not proven',
    'RFC 8705 §3',
  ],
  [
    'bound to both, with another certificate',
    { ...dpop(proof({ for: byBoth }), byBoth), certificate: 'thief' },
    'the certificate is not proven',
    'RFC 8705 §3',
  ],
  [
    'bound to both, without the proof',
    bearer(byBoth, { certificate: 'client' }),
    'the key is not proven',
    'RFC 9449 §7.2',
  ],
  [
    'not bound, with the scheme DPoP',
    dpop(proof({ for: bare }), bare),
    'the key of the proof is not confirmed',
    'RFC 9449 §7.1',
  ],
  [
    'bound to a certificate, with the scheme DPoP',
    { ...dpop(proof({ for: byCertificate }), byCertificate), certificate: 'client' },
    'the key of the proof is not confirmed',
    'RFC 9449 §7.1',
  ],
]

/** Bad tokens for reasons that no RFC requires. */
const badBinding: readonly Row[] = [
  ['cnf with a kid', bearer(token({ cnf: { kid: 'x' } })), 'the binding cannot be checked', 'RFC 9449 §6'],
  [
    'cnf with a jwk',
    dpop(proof(), token({ cnf: { jwk: publicJwk('client') } })),
    'the binding cannot be checked',
    'RFC 9449 §6',
  ],
  [
    'cnf with jkt and an unknown member',
    dpop(proof(), token({ cnf: { jkt: thumbprint('client'), x: 1 } })),
    'the binding cannot be checked',
    'RFC 9449 §6',
  ],
  ['cnf is empty', bearer(token({ cnf: {} })), 'the binding cannot be checked', 'RFC 9449 §6'],
  ['cnf null', bearer(token({ cnf: null })), 'the binding cannot be checked', 'RFC 9449 §6'],
  [
    'jkt of the wrong type',
    dpop(proof(), token({ cnf: { jkt: [thumbprint('client')] } })),
    'the binding cannot be checked',
    'RFC 9449 §6',
  ],
  [
    'bound tokens only, and one that is not',
    bearer(bare, { requires: { bound: true } }),
    'the token is not bound',
    'RFC 9449 §7.1',
  ],
]

const [head = '', body = '', signature = ''] = proof().split('.')
const { d, ...publicMembers } = stored.client ?? {}
/** 401 and invalid_dpop_proof. */
const badProof: readonly Row[] = [
  ['no proof', { authorization: `DPoP ${byKey}` }, 'a proof is required', 'RFC 9449 §7.1'],
  ['two proofs', dpop([proof(), proof()]), 'more than one DPoP header field', 'RFC 9449 §4.3'],
  ['one proof twice', dpop(Array(2).fill(proof())), 'more than one DPoP header field', 'RFC 9449 §4.3'],
  ['a proof that is no JWT', dpop('proof'), 'the proof is not a JWT', 'RFC 9449 §4.3'],
  ['a proof without a signature', dpop(`${head}.${body}.`), 'the proof is not signed', 'RFC 9449 §4.3'],
  [
    'a proof with another signature',
    dpop(`${head}.${body}.${signature.replace(/^..../, 'AAAA')}`),
    'the signature is invalid',
    'RFC 9449 §4.3',
  ],
  [
    'alg none in a proof',
    dpop(`${encoded({ typ: 'dpop+jwt', alg: 'none', jwk: publicMembers })}.${body}.`),
    'the proof is not signed',
    'RFC 9449 §11.6',
  ],
  [
    'HS256 in a proof',
    dpop(`${encoded({ typ: 'dpop+jwt', alg: 'HS256', jwk: publicMembers })}.${body}.${signature}`),
    'the algorithm is symmetric',
    'RFC 9449 §4.2',
  ],
  ['no typ in a proof', dpop(proof({ header: { typ: undefined } })), 'the JWT is no proof', 'RFC 9449 §4.3'],
  [
    'typ of an access token in a proof',
    dpop(proof({ header: { typ: 'at+jwt' } })),
    'the JWT is no proof',
    'RFC 9449 §11.5',
  ],
  ['no key in a proof', dpop(proof({ header: { jwk: undefined } })), 'jwk is required', 'RFC 9449 §4.2'],
  [
    'a private key in a proof',
    dpop(proof({ header: { jwk: { ...publicMembers, d } } })),
    'the key must be public',
    'RFC 9449 §4.3',
  ],
  [
    'unknown crit in a proof',
    dpop(proof({ header: { crit: ['x'], x: 1 } })),
    'a critical extension must be understood',
    'RFC 7515 §4.1.11',
  ],
  ['no jti in a proof', dpop(proof({ claims: { jti: undefined } })), 'jti is required', 'RFC 9449 §4.2'],
  ['no htm in a proof', dpop(proof({ claims: { htm: undefined } })), 'htm is required', 'RFC 9449 §4.2'],
  [
    'another method in a proof',
    dpop(proof({ claims: { htm: 'POST' } })),
    'the proof is for another request',
    'RFC 9449 §4.3',
  ],
  [
    'the method in lower case in a proof',
    dpop(proof({ claims: { htm: 'get' } })),
    'methods are case-sensitive',
    'RFC 9110 §9.1',
  ],
  ['no htu in a proof', dpop(proof({ claims: { htu: undefined } })), 'htu is required', 'RFC 9449 §4.2'],
  [
    'another path in a proof',
    dpop(proof({ claims: { htu: `${URL_}/1` } })),
    'the proof is for another request',
    'RFC 9449 §4.3',
  ],
  [
    'another host in a proof',
    dpop(proof({ claims: { htu: 'https://stock.example/orders' } })),
    'the proof is for another request',
    'RFC 9449 §4.3',
  ],
  [
    'another scheme in a proof',
    dpop(proof({ claims: { htu: 'http://orders.example/orders' } })),
    'the proof is for another request',
    'RFC 9449 §4.3',
  ],
  [
    'another port in a proof',
    dpop(proof({ claims: { htu: 'https://orders.example:8443/orders' } })),
    'the proof is for another request',
    'RFC 9449 §4.3',
  ],
  [
    'a path in another case in a proof',
    dpop(proof({ claims: { htu: 'https://orders.example/Orders' } })),
    'paths are case-sensitive',
    'RFC 3986 §6.2.2.1',
  ],
  ['no iat in a proof', dpop(proof({ claims: { iat: undefined } })), 'iat is required', 'RFC 9449 §4.2'],
  [
    'iat an hour ago in a proof',
    dpop(proof({ claims: { iat: NOW - HOUR } })),
    'the proof is too old',
    'RFC 9449 §11.1',
  ],
  [
    'iat in an hour in a proof',
    dpop(proof({ claims: { iat: NOW + HOUR } })),
    'the proof was made in advance',
    'RFC 9449 §11.1',
  ],
  [
    'no ath in a proof',
    dpop(proof({ claims: { ath: undefined } })),
    'ath is required with an access token',
    'RFC 9449 §4.2',
  ],
  [
    'ath of another token in a proof',
    dpop(proof({ for: bare })),
    'the proof is for another access token',
    'RFC 9449 §4.3',
  ],
]

const replayed: readonly Row[] = [
  [
    'a proof that was used before',
    { ...dpop(once), after: 'bound to a key' },
    'jti is single-use',
    'RFC 9449 §11.1',
  ],
]

const levels: readonly (readonly [...Row, parameters: Record<string, string>])[] = [
  [
    'a level that is not reached',
    bearer(token({ acr: 'pwd' }), { requires: { acr: ['phr', 'mfa'] } }),
    'acr is another value',
    'RFC 9470 §3',
    { acr_values: 'phr mfa' },
  ],
  [
    'no acr',
    bearer(bare, { requires: { acr: ['mfa'] } }),
    'the level is not known',
    'RFC 9470 §3',
    { acr_values: 'mfa' },
  ],
  [
    'an age that is exceeded',
    bearer(token({ auth_time: NOW - 2 * HOUR }), { requires: { max_age: HOUR } }),
    'auth_time is too long ago',
    'RFC 9470 §3',
    { max_age: '3600' },
  ],
  [
    'no auth_time',
    bearer(bare, { requires: { max_age: HOUR } }),
    'the time is not known',
    'RFC 9470 §3',
    { max_age: '3600' },
  ],
]

type Verdict = Pick<BoundCase, 'valid' | 'level' | 'response'>

function cases(rows: readonly Row[], verdict: (sent: Sent) => Verdict): BoundCase[] {
  return rows.map(([name, sent, reason, source]) => ({
    name,
    method: 'GET',
    url: URL_,
    dpop: [],
    certificate: null,
    requires: {},
    after: null,
    ...sent,
    ...verdict(sent),
    reason,
    source,
  }))
}

const refused =
  (error: string, level: 'must' | 'should', parameters?: Record<string, string>) =>
  ({ authorization }: Sent): Verdict => {
    const scheme = authorization.startsWith('DPoP') ? 'DPoP' : 'Bearer'
    return {
      valid: false,
      level,
      response: { status: 401, scheme, error, ...(parameters ? { parameters } : {}) },
    }
  }

export function boundVectors(): BoundVectors {
  return {
    description:
      'Requests with access tokens that are bound to a key (RFC 9449) or a certificate (RFC 8705), or that must meet a level of authentication (RFC 9470), and how a correct verifier answers. README.md beside this file explains the members.',
    issuer: ISSUER,
    audience: AUDIENCE,
    now: NOW,
    algorithms: ['RS256'],
    proof_algorithms: ['ES256', 'EdDSA'],
    jwks: { keys: [{ ...publicJwk('first'), kid: 'first', alg: 'RS256', use: 'sig' }] },
    certificates,
    cases: [
      ...cases(right, () => ({ valid: true, level: 'must', response: null })),
      ...cases(badToken, refused('invalid_token', 'must')),
      ...cases(badBinding, refused('invalid_token', 'should')),
      ...cases(badProof, refused('invalid_dpop_proof', 'must')),
      ...cases(replayed, refused('invalid_dpop_proof', 'should')),
      ...levels.flatMap(([name, sent, reason, source, parameters]) =>
        cases(
          [[name, sent, reason, source]],
          refused('insufficient_user_authentication', 'must', parameters),
        ),
      ),
    ],
  }
}

if (import.meta.main) {
  const file = new URL('sender-constrained.json', import.meta.url)
  writeFileSync(file, `${JSON.stringify(boundVectors(), null, 1)}\n`)
}
