/**
 * Writes vectors.json: `node docs/test-vectors/generate.ts`. The private keys beside this file are published, so they must not be
 * used for anything else. RS256 signatures are the same every time; PS256 and ES256 signatures are random.
 */
import {
  constants,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

interface Case {
  readonly name: string
  readonly token: string
  readonly valid: boolean
  /** `must`: an RFC requires this verdict. `should`: an RFC recommends or allows it, and it is prudent. */
  readonly level: 'must' | 'should'
  readonly reason: string
  readonly source: string
}

export interface Vectors {
  readonly description: string
  readonly issuer: string
  readonly audience: string
  /** The time of verification, in seconds since 1970. */
  readonly now: number
  readonly algorithms: readonly string[]
  readonly jwks: { readonly keys: readonly unknown[] }
  readonly cases: readonly Case[]
}

type Json = Record<string, unknown>

const ISSUER = 'https://auth.example'
const AUDIENCE = 'https://orders.example'
const NOW = 1_800_000_000

const stored = JSON.parse(
  readFileSync(new URL('private-keys-for-tests-only.json', import.meta.url), 'utf8'),
) as Record<string, JsonWebKey>

function key(name: string): KeyObject {
  const jwk = stored[name]
  if (!jwk) throw new Error(`no key ${name}`)
  return createPrivateKey({ key: jwk, format: 'jwk' })
}

const publicJwk = (name: string): JsonWebKey => createPublicKey(key(name)).export({ format: 'jwk' })

const jwks = {
  keys: [
    null,
    { kty: 'RSA', kid: 'broken', alg: 'RS256', use: 'sig', n: '!', e: 'AQAB' },
    { ...publicJwk('first'), kid: 'first', alg: 'RS256', use: 'sig' },
    { ...publicJwk('second'), kid: 'second', alg: 'RS256', use: 'sig' },
    { ...publicJwk('plain'), kid: 'plain' },
    { ...publicJwk('encryption'), kid: 'encryption', use: 'enc' },
    { ...publicJwk('wrapping'), kid: 'wrapping', key_ops: ['wrapKey'] },
    { ...publicJwk('small'), kid: 'small', alg: 'RS256', use: 'sig' },
    { ...publicJwk('curve'), kid: 'curve', alg: 'ES256', use: 'sig' },
    { kty: 'unknown', kid: 'unknown' },
  ],
}

const goodHeader = { alg: 'RS256', typ: 'at+jwt', kid: 'first' }
const goodClaims = {
  iss: ISSUER,
  sub: 'user-1',
  aud: AUDIENCE,
  client_id: 'web',
  iat: NOW - 60,
  exp: NOW + 600,
  jti: 'token-1',
  scope: 'orders:read',
}

const encoded = (part: Json | string | Buffer): string =>
  (typeof part === 'string' || Buffer.isBuffer(part)
    ? Buffer.from(part)
    : Buffer.from(JSON.stringify(part))
  ).toString('base64url')

/** Any header and payload with a correct signature, so that a case has only one fault. */
function signed(
  header: Json | string,
  payload: Json | string | Buffer,
  by = 'first',
  hash = 'sha256',
): string {
  const input = `${encoded(header)}.${encoded(payload)}`
  return `${input}.${sign(hash, Buffer.from(input), key(by)).toString('base64url')}`
}

const claims = (changed: Json): string => signed(goodHeader, { ...goodClaims, ...changed })
const header = (changed: Json, by?: string): string => signed({ ...goodHeader, ...changed }, goodClaims, by)

const good = signed(goodHeader, goodClaims)
const [goodHead = '', goodBody = '', goodSignature = ''] = good.split('.')

function unsigned(changed: Json, signature = ''): string {
  return `${encoded({ ...goodHeader, ...changed })}.${goodBody}.${signature}`
}

/** RFC 8725 §2.1: a MAC with the public key as its secret. */
function macced(secret: string | Buffer): string {
  const input = `${encoded({ ...goodHeader, alg: 'HS256' })}.${goodBody}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

function pss(): string {
  const input = `${encoded({ ...goodHeader, alg: 'PS256' })}.${goodBody}`
  const options = { key: key('first'), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  return `${input}.${sign('sha256', Buffer.from(input), options).toString('base64url')}`
}

function ecdsa(): string {
  const input = `${encoded({ ...goodHeader, alg: 'ES256', kid: 'curve' })}.${goodBody}`
  const options = { key: key('curve'), dsaEncoding: 'ieee-p1363' as const }
  return `${input}.${sign('sha256', Buffer.from(input), options).toString('base64url')}`
}

/** The claims as JSON with one more member at the end, so that a member can be repeated. */
const after = (member: string): string => JSON.stringify(goodClaims).replace(/}$/, `,${member}}`)

const spki = createPublicKey(key('first'))
const unpublished = publicJwk('unpublished')
const nextCharacter = (text: string): string =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)

type Row = readonly [name: string, token: string, reason: string, source: string]

const valid: readonly Row[] = [
  ['good', good, 'the token is correct', 'RFC 9068 §4'],
  [
    'typ with application/',
    header({ typ: 'application/at+jwt' }),
    'a media type may have the prefix application/',
    'RFC 9068 §4',
  ],
  ['typ in upper case', header({ typ: 'AT+JWT' }), 'media types are case-insensitive', 'RFC 7515 §4.1.9'],
  [
    'aud in a list',
    claims({ aud: ['https://stock.example', AUDIENCE] }),
    'one of the audiences matches',
    'RFC 7519 §4.1.3',
  ],
  ['second key', header({ kid: 'second' }, 'second'), 'every published key is valid', 'RFC 9068 §4'],
  [
    'key without alg',
    header({ kid: 'plain' }, 'plain'),
    'alg and use of a key are optional',
    'RFC 7517 §4.4',
  ],
  ['no scope', claims({ scope: undefined }), 'scope is absent if none was granted', 'RFC 9068 §2.2.3'],
  [
    'a user',
    claims({ roles: ['clerk'], sid: 's', auth_time: NOW - 90 }),
    'claims about the user',
    'RFC 9068 §2.2',
  ],
  [
    'unknown claims',
    claims({ color: 'blue', deep: { a: [1, null] } }),
    'unknown members must be ignored',
    'RFC 7519 §4',
  ],
  ['unknown header', header({ color: 'blue' }), 'unknown members must be ignored', 'RFC 7515 §4'],
  ['non-ASCII characters', claims({ sub: 'Zoë 日本 🙂' }), 'claims are UTF-8', 'RFC 8725 §3.7'],
  ['nbf has passed', claims({ nbf: NOW - 60 }), 'nbf is in the past', 'RFC 7519 §4.1.5'],
  ['exp with a fraction', claims({ exp: NOW + 600.5 }), 'a time may have a fraction', 'RFC 7519 §2'],
  [
    'a jwk in the header and a good signature',
    header({ jwk: unpublished }),
    'the key in the header is ignored, and the published key is used',
    'RFC 8725 §3.10',
  ],
]

const must: readonly Row[] = [
  ['alg none', unsigned({ alg: 'none' }), 'the token is not signed', 'RFC 9068 §4'],
  ['alg None', unsigned({ alg: 'None' }), 'the token is not signed', 'RFC 8725 §2.1'],
  [
    'alg none with a signature',
    unsigned({ alg: 'none' }, goodSignature),
    'the token is not signed',
    'RFC 9068 §4',
  ],
  ['alg RS256 without a signature', `${goodHead}.${goodBody}.`, 'the token is not signed', 'RFC 9068 §4'],
  ['no alg', header({ alg: undefined }), 'alg is required', 'RFC 7515 §4.1.1'],
  ['alg of the wrong type', header({ alg: 256 }), 'alg is a string', 'RFC 7515 §4.1.1'],
  ['alg in lower case', header({ alg: 'rs256' }), 'alg is case-sensitive', 'RFC 7515 §4.1.1'],
  [
    'HS256 with the PEM',
    macced(spki.export({ type: 'spki', format: 'pem' })),
    'the public key is not a secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the PKCS#1 PEM',
    macced(spki.export({ type: 'pkcs1', format: 'pem' })),
    'the public key is not a secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the DER',
    macced(spki.export({ type: 'spki', format: 'der' })),
    'the public key is not a secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the JWK',
    macced(JSON.stringify(jwks.keys[2])),
    'the public key is not a secret',
    'RFC 8725 §2.1',
  ],
  ['HS256 with an empty secret', macced(''), 'the algorithm is not allowed', 'RFC 8725 §3.1'],
  ['PS256 with an RS256 key', pss(), 'a key is used with one algorithm', 'RFC 8725 §3.1'],
  [
    'RS512 with an RS256 key',
    signed({ ...goodHeader, alg: 'RS512' }, goodClaims, 'first', 'sha512'),
    'a key is used with one algorithm',
    'RFC 8725 §3.1',
  ],
  ['ES256 with a published key', ecdsa(), 'the algorithm is not allowed', 'RFC 8725 §3.1'],
  [
    'alg and signature differ',
    signed(goodHeader, goodClaims, 'first', 'sha512'),
    'the signature uses another algorithm than alg says',
    'RFC 8725 §3.1',
  ],
  ['no typ', header({ typ: undefined }), 'typ must be at+jwt', 'RFC 9068 §4'],
  ['typ JWT', header({ typ: 'JWT' }), 'typ must be at+jwt', 'RFC 9068 §4'],
  [
    'an ID token',
    signed({ ...goodHeader, typ: 'JWT' }, { ...goodClaims, nonce: 'n' }),
    'the token is another kind of JWT',
    'RFC 8725 §3.12',
  ],
  ['a status list', header({ typ: 'statuslist+jwt' }), 'the token is another kind of JWT', 'RFC 8725 §3.12'],
  ['typ with a longer name', header({ typ: 'at+jwt2' }), 'typ must be at+jwt', 'RFC 9068 §4'],
  ['typ of the wrong type', header({ typ: ['at+jwt'] }), 'typ is a string', 'RFC 7515 §4.1.9'],
  [
    'unknown crit',
    header({ crit: ['x'], x: 1 }),
    'a critical extension must be understood',
    'RFC 7515 §4.1.11',
  ],
  ['crit is empty', header({ crit: [] }), 'crit must not be empty', 'RFC 7515 §4.1.11'],
  ['crit names a registered header', header({ crit: ['alg'] }), 'crit is for extensions', 'RFC 7515 §4.1.11'],
  ['unknown kid', header({ kid: 'third' }), 'no published key has this kid', 'RFC 9068 §4'],
  [
    'kid of another key',
    header({ kid: 'second' }),
    'the signature was made with another key',
    'RFC 7515 §5.2',
  ],
  [
    'an unpublished key with a published kid',
    header({}, 'unpublished'),
    'the signature was made with an unpublished key',
    'RFC 9068 §4',
  ],
  [
    'a key in the header',
    header({ kid: undefined, jwk: unpublished }, 'unpublished'),
    'jwk must not be trusted',
    'RFC 8725 §3.10',
  ],
  [
    'a key in the header, with a published kid',
    header({ jwk: unpublished }, 'unpublished'),
    'jwk must not be trusted',
    'RFC 8725 §3.10',
  ],
  [
    'a URL of a key',
    header({ kid: 'x', jku: 'https://evil.example/jwks.json' }, 'unpublished'),
    'jku must not be followed',
    'RFC 8725 §3.10',
  ],
  [
    'a URL of a certificate',
    header({ kid: 'x', x5u: 'https://evil.example/cert' }, 'unpublished'),
    'x5u must not be followed',
    'RFC 8725 §3.10',
  ],
  [
    'a key for encryption',
    header({ kid: 'encryption' }, 'encryption'),
    'use is enc, not sig',
    'RFC 7517 §4.2',
  ],
  [
    'a key for wrapping',
    header({ kid: 'wrapping' }, 'wrapping'),
    'key_ops does not include verify',
    'RFC 7517 §4.3',
  ],
  [
    'a key of 1024 bits',
    header({ kid: 'small' }, 'small'),
    'RSA keys must have at least 2048 bits',
    'RFC 7518 §3.3',
  ],
  [
    'another scope',
    `${goodHead}.${encoded({ ...goodClaims, scope: 'admin' })}.${goodSignature}`,
    'modified after signing',
    'RFC 9068 §4',
  ],
  [
    'another header',
    `${encoded({ ...goodHeader, x: 1 })}.${goodBody}.${goodSignature}`,
    'modified after signing',
    'RFC 9068 §4',
  ],
  ['half a signature', good.slice(0, -172), 'the signature is incomplete', 'RFC 9068 §4'],
  ['another iss', claims({ iss: 'https://evil.example' }), 'the token is from another issuer', 'RFC 9068 §4'],
  [
    'iss with a trailing slash',
    claims({ iss: `${ISSUER}/` }),
    'iss must equal the issuer exactly',
    'RFC 9068 §4',
  ],
  [
    'iss with the issuer as prefix',
    claims({ iss: `${ISSUER}.evil.example` }),
    'iss must equal the issuer exactly',
    'RFC 9068 §4',
  ],
  ['no iss', claims({ iss: undefined }), 'iss is required', 'RFC 9068 §4'],
  ['iss in a list', claims({ iss: [ISSUER] }), 'iss is a string', 'RFC 7519 §4.1.1'],
  [
    'another aud',
    claims({ aud: 'https://stock.example' }),
    'the token is for another service',
    'RFC 9068 §4',
  ],
  [
    'aud with the audience as prefix',
    claims({ aud: `${AUDIENCE}.evil.example` }),
    'the token is for another service',
    'RFC 9068 §4',
  ],
  [
    'aud with the audience and other text',
    claims({ aud: `x ${AUDIENCE}` }),
    'a string is one audience',
    'RFC 7519 §4.1.3',
  ],
  [
    'aud in a list without the audience',
    claims({ aud: ['https://stock.example', 'x'] }),
    'the token is for other services',
    'RFC 9068 §4',
  ],
  ['aud in an empty list', claims({ aud: [] }), 'the token is for no service', 'RFC 9068 §4'],
  ['no aud', claims({ aud: undefined }), 'aud is required', 'RFC 9068 §4'],
  [
    'aud of the wrong type',
    claims({ aud: { [AUDIENCE]: true } }),
    'aud is a string or a list',
    'RFC 7519 §4.1.3',
  ],
  ['exp an hour ago', claims({ exp: NOW - 3600 }), 'the token has expired, beyond any leeway', 'RFC 9068 §4'],
  ['no exp', claims({ exp: undefined }), 'exp is required', 'RFC 9068 §4'],
  ['exp of the wrong type', claims({ exp: `${NOW + 600}` }), 'exp is a number', 'RFC 7519 §4.1.4'],
  ['exp null', claims({ exp: null }), 'exp is a number', 'RFC 7519 §4.1.4'],
  [
    'exp is minus infinity',
    signed(goodHeader, JSON.stringify(goodClaims).replace(`"exp":${NOW + 600}`, '"exp":-1e999')),
    'the token has expired',
    'RFC 9068 §4',
  ],
  [
    'nbf in an hour',
    claims({ nbf: NOW + 3600 }),
    'the token is not valid yet, beyond any leeway',
    'RFC 7519 §4.1.5',
  ],
  [
    'two aud members, the second wrong',
    signed(goodHeader, after('"aud":"https://stock.example"')),
    'a parser must refuse repeated members, or use the last one',
    'RFC 7519 §4',
  ],
  [
    'two exp members, the second expired',
    signed(goodHeader, after(`"exp":${NOW - 3600}`)),
    'a parser must refuse repeated members, or use the last one',
    'RFC 7519 §4',
  ],
  [
    'two alg members, the second none',
    signed(JSON.stringify(goodHeader).replace(/}$/, ',"alg":"none"}'), goodClaims),
    'a parser must refuse repeated members, or use the last one',
    'RFC 7515 §4',
  ],
  ['two parts', `${goodHead}.${goodBody}`, 'a compact JWS has three parts', 'RFC 7515 §7.1'],
  ['four parts', `${good}.x`, 'a compact JWS has three parts', 'RFC 7515 §7.1'],
  [
    'five parts',
    `${encoded({ ...goodHeader, alg: 'RSA-OAEP-256', enc: 'A256GCM' })}.AA.AA.AA.AA`,
    'encryption was not agreed',
    'RFC 9068 §4',
  ],
  ['empty token', '', 'there is no token', 'RFC 7515 §7.1'],
  [
    'JSON serialization',
    JSON.stringify({ protected: goodHead, payload: goodBody, signature: goodSignature }),
    'a JWT uses the compact serialization',
    'RFC 7519 §3',
  ],
  ['header is not JSON', signed('header', goodClaims), 'the header must be a JSON object', 'RFC 7515 §5.2'],
  ['claims are not JSON', signed(goodHeader, 'claims'), 'the claims must be a JSON object', 'RFC 7519 §7.2'],
  [
    'claims in a list',
    signed(goodHeader, JSON.stringify([goodClaims])),
    'the claims must be a JSON object',
    'RFC 7519 §7.2',
  ],
  ['claims null', signed(goodHeader, 'null'), 'the claims must be a JSON object', 'RFC 7519 §7.2'],
  [
    'claims in Latin-1',
    signed(goodHeader, Buffer.from(JSON.stringify({ ...goodClaims, sub: 'Zo\u00eb' }), 'latin1')),
    'the claims are not UTF-8',
    'RFC 8725 §3.7',
  ],
  [
    'claims in UTF-16',
    signed(goodHeader, Buffer.from(JSON.stringify(goodClaims), 'utf16le')),
    'the claims are not UTF-8',
    'RFC 8725 §3.7',
  ],
  ['padding', `${goodHead}.${goodBody}.${goodSignature}==`, 'base64url has no padding', 'RFC 7515 §2'],
  [
    'a line break',
    `${goodHead}.\n${goodBody}.${goodSignature}`,
    'base64url has no line breaks',
    'RFC 7515 §2',
  ],
]

const should: readonly Row[] = [
  ['no sub', claims({ sub: undefined }), 'sub is required', 'RFC 9068 §2.2'],
  ['sub of the wrong type', claims({ sub: 5 }), 'sub is a string', 'RFC 7519 §4.1.2'],
  ['no client_id', claims({ client_id: undefined }), 'client_id is required', 'RFC 9068 §2.2'],
  ['no iat', claims({ iat: undefined }), 'iat is required', 'RFC 9068 §2.2'],
  ['iat of the wrong type', claims({ iat: 'now' }), 'iat is a number', 'RFC 7519 §4.1.6'],
  ['iat in an hour', claims({ iat: NOW + 3600 }), 'iat must not be in the future', 'RFC 7519 §4.1.6'],
  ['no jti', claims({ jti: undefined }), 'jti is required', 'RFC 9068 §2.2'],
  ['jti of the wrong type', claims({ jti: 5 }), 'jti is a string', 'RFC 7519 §4.1.7'],
  ['scope in a list', claims({ scope: ['orders:read'] }), 'scope is a string', 'RFC 8693 §4.2'],
  ['spare bits', nextCharacter(good), 'a signature has one encoding', 'RFC 4648 §3.5'],
  [
    'a byte order mark',
    signed(goodHeader, `\ufeff${JSON.stringify(goodClaims)}`),
    'JSON must not begin with a byte order mark',
    'RFC 8259 §8.1',
  ],
]

const cases = (rows: readonly Row[], isValid: boolean, level: Case['level']): Case[] =>
  rows.map(([name, token, reason, source]) => ({ name, token, valid: isValid, level, reason, source }))

export function vectors(): Vectors {
  return {
    description:
      'Access tokens (RFC 9068) and the verdict of a correct verifier. README.md beside this file explains the members.',
    issuer: ISSUER,
    audience: AUDIENCE,
    now: NOW,
    algorithms: ['RS256'],
    jwks,
    cases: [...cases(valid, true, 'must'), ...cases(must, false, 'must'), ...cases(should, false, 'should')],
  }
}

if (import.meta.main) {
  writeFileSync(new URL('vectors.json', import.meta.url), `${JSON.stringify(vectors(), null, 1)}\n`)
}
