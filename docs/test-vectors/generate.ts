/**
 * Makes vectors.json: `node docs/test-vectors/generate.ts`. The keys beside it are for this and nothing else; their
 * private halves are public. What is signed with RS256 comes out the same every time; PS256 and ES256 do not.
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
  /** `must`: an RFC demands this verdict of every verifier. `should`: it is wise, and some RFC recommends or allows it. */
  readonly level: 'must' | 'should'
  readonly reason: string
  readonly source: string
}

export interface Vectors {
  readonly description: string
  readonly issuer: string
  readonly audience: string
  /** Seconds since 1970 at which the cases are judged. */
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
    { kty: 'unheard-of', kid: 'unheard-of' },
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

/** Whatever parts, under a signature that is right: only what the case is about is wrong. */
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

/** RFC 8725 §2.1: the public key as the secret of a MAC. */
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

/** The claims with a member more at the end, which no object can hold twice. */
const after = (member: string): string => JSON.stringify(goodClaims).replace(/}$/, `,${member}}`)

const spki = createPublicKey(key('first'))
const stranger = publicJwk('stranger')
const nextLetter = (text: string): string =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)

type Row = readonly [name: string, token: string, reason: string, source: string]

const valid: readonly Row[] = [
  ['good', good, 'everything is right', 'RFC 9068 §4'],
  ['typ with application/', header({ typ: 'application/at+jwt' }), 'the same media type', 'RFC 9068 §4'],
  ['typ in capitals', header({ typ: 'AT+JWT' }), 'the case of a media type means nothing', 'RFC 7515 §4.1.9'],
  [
    'aud in a list',
    claims({ aud: ['https://stock.example', AUDIENCE] }),
    'one of several',
    'RFC 7519 §4.1.3',
  ],
  ['second key', header({ kid: 'second' }, 'second'), 'every published key counts', 'RFC 9068 §4'],
  [
    'key without alg',
    header({ kid: 'plain' }, 'plain'),
    'alg and use of a key are optional',
    'RFC 7517 §4.4',
  ],
  ['no scope', claims({ scope: undefined }), 'scope is there only if one was granted', 'RFC 9068 §2.2.3'],
  [
    'a person',
    claims({ roles: ['clerk'], sid: 's', auth_time: NOW - 90 }),
    'claims about people',
    'RFC 9068 §2.2',
  ],
  ['unknown claims', claims({ color: 'blue', deep: { a: [1, null] } }), 'must be ignored', 'RFC 7519 §4'],
  ['unknown header', header({ color: 'blue' }), 'must be ignored', 'RFC 7515 §4'],
  ['letters beyond ASCII', claims({ sub: 'Zoë 日本 🙂' }), 'UTF-8', 'RFC 8725 §3.7'],
  ['nbf has passed', claims({ nbf: NOW - 60 }), 'it is valid by now', 'RFC 7519 §4.1.5'],
  ['exp with a fraction', claims({ exp: NOW + 600.5 }), 'a time may have one', 'RFC 7519 §2'],
  [
    'a jwk beside a good signature',
    header({ jwk: stranger }),
    'the key that the token brings along is ignored, the published one counts',
    'RFC 8725 §3.10',
  ],
]

const must: readonly Row[] = [
  ['alg none', unsigned({ alg: 'none' }), 'not signed', 'RFC 9068 §4'],
  ['alg None', unsigned({ alg: 'None' }), 'not signed', 'RFC 8725 §2.1'],
  ['alg none with a signature', unsigned({ alg: 'none' }, goodSignature), 'not signed', 'RFC 9068 §4'],
  ['alg RS256 without a signature', `${goodHead}.${goodBody}.`, 'not signed', 'RFC 9068 §4'],
  ['no alg', header({ alg: undefined }), 'alg is required', 'RFC 7515 §4.1.1'],
  ['alg of the wrong type', header({ alg: 256 }), 'alg is a string', 'RFC 7515 §4.1.1'],
  ['alg in small letters', header({ alg: 'rs256' }), 'the case of alg counts', 'RFC 7515 §4.1.1'],
  [
    'HS256 with the PEM',
    macced(spki.export({ type: 'spki', format: 'pem' })),
    'the public key is no secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the PKCS#1 PEM',
    macced(spki.export({ type: 'pkcs1', format: 'pem' })),
    'the public key is no secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the DER',
    macced(spki.export({ type: 'spki', format: 'der' })),
    'the public key is no secret',
    'RFC 8725 §2.1',
  ],
  [
    'HS256 with the JWK',
    macced(JSON.stringify(jwks.keys[2])),
    'the public key is no secret',
    'RFC 8725 §2.1',
  ],
  ['HS256 with an empty secret', macced(''), 'not on the list of algorithms', 'RFC 8725 §3.1'],
  ['PS256 with an RS256 key', pss(), 'a key is for one algorithm', 'RFC 8725 §3.1'],
  [
    'RS512 with an RS256 key',
    signed({ ...goodHeader, alg: 'RS512' }, goodClaims, 'first', 'sha512'),
    'a key is for one algorithm',
    'RFC 8725 §3.1',
  ],
  ['ES256 with a published key', ecdsa(), 'not on the list of algorithms', 'RFC 8725 §3.1'],
  [
    'alg and signature differ',
    signed(goodHeader, goodClaims, 'first', 'sha512'),
    'the signature is not what alg says',
    'RFC 8725 §3.1',
  ],
  ['no typ', header({ typ: undefined }), 'typ must say at+jwt', 'RFC 9068 §4'],
  ['typ JWT', header({ typ: 'JWT' }), 'typ must say at+jwt', 'RFC 9068 §4'],
  [
    'an ID token',
    signed({ ...goodHeader, typ: 'JWT' }, { ...goodClaims, nonce: 'n' }),
    'another kind of JWT',
    'RFC 8725 §3.12',
  ],
  ['a status list', header({ typ: 'statuslist+jwt' }), 'another kind of JWT', 'RFC 8725 §3.12'],
  ['typ that begins like it', header({ typ: 'at+jwt2' }), 'typ must say at+jwt', 'RFC 9068 §4'],
  ['typ of the wrong type', header({ typ: ['at+jwt'] }), 'typ is a string', 'RFC 7515 §4.1.9'],
  [
    'crit that nobody knows',
    header({ crit: ['x'], x: 1 }),
    'what is critical must be understood',
    'RFC 7515 §4.1.11',
  ],
  ['crit is empty', header({ crit: [] }), 'crit must not be empty', 'RFC 7515 §4.1.11'],
  ['crit names a registered header', header({ crit: ['alg'] }), 'crit is for extensions', 'RFC 7515 §4.1.11'],
  ['unknown kid', header({ kid: 'third' }), 'no such key is published', 'RFC 9068 §4'],
  ['kid of another key', header({ kid: 'second' }), 'the signature is of another key', 'RFC 7515 §5.2'],
  ['a stranger with our kid', header({}, 'stranger'), 'the signature is of a stranger', 'RFC 9068 §4'],
  [
    'a key it brings along',
    header({ kid: undefined, jwk: stranger }, 'stranger'),
    'jwk is not to be trusted',
    'RFC 8725 §3.10',
  ],
  [
    'a key it brings along, with our kid',
    header({ jwk: stranger }, 'stranger'),
    'jwk is not to be trusted',
    'RFC 8725 §3.10',
  ],
  [
    'a key it points to',
    header({ kid: 'x', jku: 'https://evil.example/jwks.json' }, 'stranger'),
    'jku is not to be followed',
    'RFC 8725 §3.10',
  ],
  [
    'a certificate it points to',
    header({ kid: 'x', x5u: 'https://evil.example/cert' }, 'stranger'),
    'x5u is not to be followed',
    'RFC 8725 §3.10',
  ],
  ['a key for encryption', header({ kid: 'encryption' }, 'encryption'), 'use is enc', 'RFC 7517 §4.2'],
  ['a key for wrapping', header({ kid: 'wrapping' }, 'wrapping'), 'key_ops has no verify', 'RFC 7517 §4.3'],
  ['a key of 1024 bits', header({ kid: 'small' }, 'small'), '2048 bits or more', 'RFC 7518 §3.3'],
  [
    'another scope',
    `${goodHead}.${encoded({ ...goodClaims, scope: 'admin' })}.${goodSignature}`,
    'changed after signing',
    'RFC 9068 §4',
  ],
  [
    'another header',
    `${encoded({ ...goodHeader, x: 1 })}.${goodBody}.${goodSignature}`,
    'changed after signing',
    'RFC 9068 §4',
  ],
  ['half a signature', good.slice(0, -172), 'the signature is cut off', 'RFC 9068 §4'],
  ['iss of another', claims({ iss: 'https://evil.example' }), 'another issuer', 'RFC 9068 §4'],
  ['iss with a slash more', claims({ iss: `${ISSUER}/` }), 'the issuer to the letter', 'RFC 9068 §4'],
  [
    'iss that begins like ours',
    claims({ iss: `${ISSUER}.evil.example` }),
    'the issuer to the letter',
    'RFC 9068 §4',
  ],
  ['no iss', claims({ iss: undefined }), 'iss is required', 'RFC 9068 §4'],
  ['iss in a list', claims({ iss: [ISSUER] }), 'iss is a string', 'RFC 7519 §4.1.1'],
  ['aud of another', claims({ aud: 'https://stock.example' }), 'for another service', 'RFC 9068 §4'],
  [
    'aud that begins like ours',
    claims({ aud: `${AUDIENCE}.evil.example` }),
    'for another service',
    'RFC 9068 §4',
  ],
  ['aud with ours in it', claims({ aud: `x ${AUDIENCE}` }), 'one string is one audience', 'RFC 7519 §4.1.3'],
  [
    'aud in a list of others',
    claims({ aud: ['https://stock.example', 'x'] }),
    'for other services',
    'RFC 9068 §4',
  ],
  ['aud in an empty list', claims({ aud: [] }), 'for nobody', 'RFC 9068 §4'],
  ['no aud', claims({ aud: undefined }), 'aud is required', 'RFC 9068 §4'],
  [
    'aud of the wrong type',
    claims({ aud: { [AUDIENCE]: true } }),
    'aud is a string or a list',
    'RFC 7519 §4.1.3',
  ],
  ['exp an hour ago', claims({ exp: NOW - 3600 }), 'expired, beyond any leeway', 'RFC 9068 §4'],
  ['no exp', claims({ exp: undefined }), 'exp is required', 'RFC 9068 §4'],
  ['exp of the wrong type', claims({ exp: `${NOW + 600}` }), 'exp is a number', 'RFC 7519 §4.1.4'],
  ['exp null', claims({ exp: null }), 'exp is a number', 'RFC 7519 §4.1.4'],
  [
    'exp beyond all numbers',
    signed(goodHeader, JSON.stringify(goodClaims).replace(`"exp":${NOW + 600}`, '"exp":-1e999')),
    'long expired',
    'RFC 9068 §4',
  ],
  ['nbf in an hour', claims({ nbf: NOW + 3600 }), 'not valid yet, beyond any leeway', 'RFC 7519 §4.1.5'],
  [
    'two auds, the second of another',
    signed(goodHeader, after('"aud":"https://stock.example"')),
    'refuse members that come twice, or take the last',
    'RFC 7519 §4',
  ],
  [
    'two exps, the second long ago',
    signed(goodHeader, after(`"exp":${NOW - 3600}`)),
    'refuse members that come twice, or take the last',
    'RFC 7519 §4',
  ],
  [
    'two algs, the second none',
    signed(JSON.stringify(goodHeader).replace(/}$/, ',"alg":"none"}'), goodClaims),
    'refuse members that come twice, or take the last',
    'RFC 7515 §4',
  ],
  ['two parts', `${goodHead}.${goodBody}`, 'three parts', 'RFC 7515 §7.1'],
  ['four parts', `${good}.x`, 'three parts', 'RFC 7515 §7.1'],
  [
    'five parts',
    `${encoded({ ...goodHeader, alg: 'RSA-OAEP-256', enc: 'A256GCM' })}.AA.AA.AA.AA`,
    'encrypted, though nothing was agreed',
    'RFC 9068 §4',
  ],
  ['nothing', '', 'no token', 'RFC 7515 §7.1'],
  [
    'JSON serialization',
    JSON.stringify({ protected: goodHead, payload: goodBody, signature: goodSignature }),
    'a JWT is compact',
    'RFC 7519 §3',
  ],
  ['header that is no JSON', signed('header', goodClaims), 'header is a JSON object', 'RFC 7515 §5.2'],
  ['claims that are no JSON', signed(goodHeader, 'claims'), 'claims are a JSON object', 'RFC 7519 §7.2'],
  [
    'claims in a list',
    signed(goodHeader, JSON.stringify([goodClaims])),
    'claims are a JSON object',
    'RFC 7519 §7.2',
  ],
  ['claims null', signed(goodHeader, 'null'), 'claims are a JSON object', 'RFC 7519 §7.2'],
  [
    'claims in Latin-1',
    signed(goodHeader, Buffer.from(JSON.stringify({ ...goodClaims, sub: 'Zo\u00eb' }), 'latin1')),
    'not UTF-8',
    'RFC 8725 §3.7',
  ],
  [
    'claims in UTF-16',
    signed(goodHeader, Buffer.from(JSON.stringify(goodClaims), 'utf16le')),
    'not UTF-8',
    'RFC 8725 §3.7',
  ],
  ['padding', `${goodHead}.${goodBody}.${goodSignature}==`, 'base64url without padding', 'RFC 7515 §2'],
  ['a line break', `${goodHead}.\n${goodBody}.${goodSignature}`, 'no line breaks', 'RFC 7515 §2'],
]

const should: readonly Row[] = [
  ['no sub', claims({ sub: undefined }), 'sub is required', 'RFC 9068 §2.2'],
  ['sub of the wrong type', claims({ sub: 5 }), 'sub is a string', 'RFC 7519 §4.1.2'],
  ['no client_id', claims({ client_id: undefined }), 'client_id is required', 'RFC 9068 §2.2'],
  ['no iat', claims({ iat: undefined }), 'iat is required', 'RFC 9068 §2.2'],
  ['iat of the wrong type', claims({ iat: 'now' }), 'iat is a number', 'RFC 7519 §4.1.6'],
  ['iat in an hour', claims({ iat: NOW + 3600 }), 'no issuer signs tomorrow', 'RFC 7519 §4.1.6'],
  ['no jti', claims({ jti: undefined }), 'jti is required', 'RFC 9068 §2.2'],
  ['jti of the wrong type', claims({ jti: 5 }), 'jti is a string', 'RFC 7519 §4.1.7'],
  ['scope in a list', claims({ scope: ['orders:read'] }), 'scope is one string', 'RFC 8693 §4.2'],
  ['spare bits', nextLetter(good), 'one signature, one spelling', 'RFC 4648 §3.5'],
  [
    'a byte order mark',
    signed(goodHeader, `\ufeff${JSON.stringify(goodClaims)}`),
    'JSON has none',
    'RFC 8259 §8.1',
  ],
]

const cases = (rows: readonly Row[], isValid: boolean, level: Case['level']): Case[] =>
  rows.map(([name, token, reason, source]) => ({ name, token, valid: isValid, level, reason, source }))

export function vectors(): Vectors {
  return {
    description:
      'Access tokens (RFC 9068) and the verdict of a right verifier. See README.md beside this file.',
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
