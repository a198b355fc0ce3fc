/**
 * DPoP proofs (RFC 9449 §4.2): right ones, and a table in which each is wrong in one way. The server and the verifier are tested with the
 * same table. Proofs are written by hand, so that they can be what no library would make.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import type { EpochSeconds } from '../../../src/system.ts'
import { base64url, type ClientKey, clientKey, compact } from '../server/jws.ts'

/** What a proof is for. */
export interface ProofRequest {
  readonly key: ClientKey
  readonly method: string
  readonly url: string
  readonly now: EpochSeconds
  /** The token that the request presents. */
  readonly accessToken?: string
  readonly nonce?: string
}

/** A change of a right proof. A member that is undefined is left out. */
export interface ProofChange {
  readonly header?: Record<string, unknown>
  readonly claims?: Record<string, unknown>
  /** The key that signs, if it is not the one in `jwk`. */
  readonly signer?: KeyObject | string
  /** The algorithm of the signature, if it is not the one of the header. */
  readonly signedAs?: string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** The public key as a client sends it, with the members of RFC 7638 §3.2 only. */
export const publicJwk = ({ publicKey }: Pick<ClientKey, 'publicKey'>): Record<string, unknown> => ({
  ...publicKey.export({ format: 'jwk' }),
})

/** RFC 7638 §3: the value of `jkt` and of `dpop_jkt`. */
export const thumbprintOf = (key: Pick<ClientKey, 'publicKey'>): string =>
  sha256(
    JSON.stringify(Object.fromEntries(Object.entries(publicJwk(key)).sort(([a], [b]) => (a < b ? -1 : 1)))),
  )

const headerOf = ({ key }: ProofRequest) => ({ typ: 'dpop+jwt', alg: key.alg, jwk: publicJwk(key) })

const claimsOf = ({ method, url, now, accessToken, nonce }: ProofRequest) => ({
  jti: randomUUID(),
  htm: method,
  htu: url,
  iat: now,
  ...(accessToken === undefined ? {} : { ath: sha256(accessToken) }),
  ...(nonce === undefined ? {} : { nonce }),
})

/** A right proof, unless `change` makes it wrong. */
export function proof(request: ProofRequest, change: ProofChange = {}): string {
  const { header = {}, claims = {}, signer = request.key.privateKey, signedAs = request.key.alg } = change
  return compact({ ...headerOf(request), ...header }, { ...claimsOf(request), ...claims }, signer, signedAs)
}

/** The name by which the server's audit trail knows what is wrong (`failureDetails`), without `dpop_`. */
type Problem =
  | 'repeated'
  | 'malformed'
  | 'wrong_type'
  | 'wrong_algorithm'
  | 'wrong_key'
  | 'wrong_signature'
  | 'missing_claim'
  | 'wrong_method'
  | 'wrong_uri'
  | 'expired'
  | 'not_yet_valid'
  | 'wrong_token'

export interface WrongProof {
  readonly problem: Problem
  /** The values of the `DPoP` header fields of the request. */
  readonly fields: (request: ProofRequest) => readonly string[]
}

const row = (
  problem: Problem,
  change: ProofChange | ((request: ProofRequest) => ProofChange),
): WrongProof => ({
  problem,
  fields: (request) => [proof(request, typeof change === 'function' ? change(request) : change)],
})

const rewritten = (
  problem: Problem,
  rewrite: (text: string, request: ProofRequest) => string,
): WrongProof => ({
  problem,
  fields: (request) => [rewrite(proof(request), request)],
})

const HOUR = 3600

/** A key of the client in which the value of a member is replaced. */
const jwkWith =
  (member: string, value: (jwk: Record<string, unknown>) => unknown) => (request: ProofRequest) => {
    const jwk = publicJwk(request.key)
    return { header: { jwk: { ...jwk, [member]: value(jwk) } } }
  }

const other = clientKey('ES256')
const rsa = clientKey('PS256')
const smallRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const ed448 = generateKeyPairSync('ed448')

/** A proof of a key that the server does not accept, with a right signature. */
function signedBy(
  alg: string,
  hash: string | null,
  { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
) {
  return (request: ProofRequest): readonly string[] => {
    const header = { typ: 'dpop+jwt', alg, jwk: publicKey.export({ format: 'jwk' }) }
    const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claimsOf(request)))}`
    const key =
      hash === null
        ? privateKey
        : {
            key: privateKey,
            dsaEncoding: 'ieee-p1363' as const,
            ...(alg === 'PS256' ? { padding: 6, saltLength: 32 } : {}),
          }
    return [`${input}.${base64url(sign(hash, Buffer.from(input), key))}`]
  }
}

/** Another path on the same server. */
const besides = (url: string): string => `${url}/more`
const otherHost = (url: string): string => url.replace(/^(https?:\/\/)[^/]+/, '$1other.test')

/** One line for each of the checks of RFC 9449 §4.3 and more; the number is that of the check. */
export const wrongProofs: Readonly<Record<string, WrongProof>> = {
  '1: two header fields, both right': {
    problem: 'repeated',
    fields: (request) => [proof(request), proof(request)],
  },
  '1: a header field twice': {
    problem: 'repeated',
    fields: (request) => {
      const one = proof(request)
      return [one, one]
    },
  },
  '2: two proofs in one field': {
    problem: 'malformed',
    fields: (request) => [`${proof(request)}, ${proof(request)}`],
  },
  '2: not a JWT': { problem: 'malformed', fields: () => ['proof'] },
  '2: two parts': rewritten('malformed', (text) => text.slice(0, text.lastIndexOf('.'))),
  '2: five parts, as if encrypted': rewritten('malformed', (text) => `${text}.AA.AA`),
  '2: no signature': rewritten('malformed', (text) => text.slice(0, text.lastIndexOf('.') + 1)),
  '2: a header that is not JSON': rewritten(
    'malformed',
    (text) => `${base64url('{')}${text.slice(text.indexOf('.'))}`,
  ),
  '2: a payload that is not an object': {
    problem: 'malformed',
    fields: (request) => [compact(headerOf(request), [claimsOf(request)], request.key.privateKey)],
  },
  '2: characters that base64url does not have': rewritten('malformed', (text) => `${text.slice(0, -1)}+`),
  '2: too long': row('malformed', { claims: { more: 'x'.repeat(8192) } }),
  '2: a critical header parameter': row('malformed', { header: { crit: ['exp'], exp: 1 } }),
  '2: an unencoded payload': row('malformed', { header: { b64: false } }),
  '3: no jti': row('missing_claim', { claims: { jti: undefined } }),
  '3: an empty jti': row('missing_claim', { claims: { jti: '' } }),
  '3: a jti that is a number': row('missing_claim', { claims: { jti: 1 } }),
  '3: no htm': row('missing_claim', { claims: { htm: undefined } }),
  '3: no htu': row('missing_claim', { claims: { htu: undefined } }),
  '3: no iat': row('missing_claim', { claims: { iat: undefined } }),
  '3: an iat that is text': row('missing_claim', ({ now }) => ({ claims: { iat: String(now) } })),
  '4: no typ': row('wrong_type', { header: { typ: undefined } }),
  '4: the typ of any JWT': row('wrong_type', { header: { typ: 'JWT' } }),
  '4: the typ of an access token': row('wrong_type', { header: { typ: 'at+jwt' } }),
  '5: no alg': row('wrong_algorithm', ({ key }) => ({ header: { alg: undefined }, signedAs: key.alg })),
  '5: alg none': row('wrong_algorithm', { header: { alg: 'none' } }),
  '5: a symmetric alg': row('wrong_algorithm', ({ key }) => ({
    header: { alg: 'HS256' },
    signer: JSON.stringify(publicJwk(key)),
    signedAs: 'HS256',
  })),
  // FAPI 2.0 §5.4.1 forbids it.
  '5: RS256': row('wrong_algorithm', {
    header: { alg: 'RS256', jwk: publicJwk(rsa) },
    signer: rsa.privateKey,
    signedAs: 'RS256',
  }),
  '5: a member of every object as alg': row('wrong_algorithm', { header: { alg: 'constructor' } }),
  '6: no jwk': row('wrong_key', { header: { jwk: undefined } }),
  '6: a jwk that is text': row('wrong_key', ({ key }) => ({
    header: { jwk: JSON.stringify(publicJwk(key)) },
  })),
  '6: a key of another kind than alg': row('wrong_key', { header: { alg: 'PS256', jwk: publicJwk(other) } }),
  '6: a jwk for another alg': row(
    'wrong_key',
    jwkWith('alg', () => 'RS256'),
  ),
  '6: a jwk for encryption': row(
    'wrong_key',
    jwkWith('use', () => 'enc'),
  ),
  '6: an RSA key that is too small': { problem: 'wrong_key', fields: signedBy('PS256', 'sha256', smallRsa) },
  '6: an EC key on another curve': { problem: 'wrong_key', fields: signedBy('ES256', 'sha256', p384) },
  '6: an Edwards key on another curve': { problem: 'wrong_key', fields: signedBy('EdDSA', null, ed448) },
  '6: a point that is not on the curve': row('wrong_key', {
    header: { alg: 'ES256', jwk: { ...publicJwk(other), x: publicJwk(other).y } },
  }),
  '6: a key with padding in its encoding': row('wrong_key', {
    header: { alg: 'ES256', jwk: { ...publicJwk(other), x: `${publicJwk(other).x}=` } },
    signer: other.privateKey,
    signedAs: 'ES256',
  }),
  '6: the signature of another key': row('wrong_signature', {
    header: { alg: 'ES256', jwk: publicJwk(clientKey('ES256')) },
    signer: other.privateKey,
    signedAs: 'ES256',
  }),
  '6: a changed signature': rewritten('wrong_signature', (text) => {
    const at = text.lastIndexOf('.') + 5
    return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
  }),
  '6: a changed payload': rewritten('wrong_signature', (text, request) => {
    const [head, , signature] = text.split('.')
    return `${head}.${base64url(JSON.stringify(claimsOf(request)))}.${signature}`
  }),
  '7: a private key': row('wrong_key', ({ key }) => ({
    header: { jwk: key.privateKey.export({ format: 'jwk' }) },
  })),
  '7: one member of a private key': row(
    'wrong_key',
    jwkWith('d', () => 'AA'),
  ),
  '7: a symmetric key': row('wrong_key', { header: { jwk: { kty: 'oct', k: base64url('x'.repeat(32)) } } }),
  '8: another method': row('wrong_method', ({ method }) => ({
    claims: { htm: method === 'GET' ? 'POST' : 'GET' },
  })),
  '8: the method in lower case': row('wrong_method', ({ method }) => ({
    claims: { htm: method.toLowerCase() },
  })),
  '9: another path': row('wrong_uri', ({ url }) => ({ claims: { htu: besides(url) } })),
  '9: another host': row('wrong_uri', ({ url }) => ({ claims: { htu: otherHost(url) } })),
  '9: another scheme': row('wrong_uri', ({ url }) => ({
    claims: { htu: url.startsWith('https:') ? url.replace(/^https/, 'http') : url.replace(/^http/, 'https') },
  })),
  '9: another port': row('wrong_uri', ({ url }) => ({
    claims: { htu: url.replace(/^(https?:\/\/[^/:]+)(:\d+)?/, '$1:8') },
  })),
  '9: a path alone': row('wrong_uri', ({ url }) => ({ claims: { htu: new URL(url).pathname } })),
  '9: a path in another case': row('wrong_uri', ({ url }) => ({
    claims: { htu: new URL(url).origin + new URL(url).pathname.toUpperCase() },
  })),
  '9: a slash at the end': row('wrong_uri', ({ url }) => ({ claims: { htu: `${url}/` } })),
  '9: user information': row('wrong_uri', ({ url }) => ({ claims: { htu: url.replace('://', '://user@') } })),
  '9: a space before the URL': row('wrong_uri', ({ url }) => ({ claims: { htu: ` ${url}` } })),
  '9: backslashes': row('wrong_uri', ({ url }) => ({ claims: { htu: url.replaceAll('/', '\\') } })),
  '11: made an hour ago': row('expired', ({ now }) => ({ claims: { iat: now - HOUR } })),
  '11: made in an hour': row('not_yet_valid', ({ now }) => ({ claims: { iat: now + HOUR } })),
  '11: in milliseconds': row('not_yet_valid', ({ now }) => ({ claims: { iat: now * 1000 } })),
  '11: expired': row('expired', ({ now }) => ({ claims: { exp: now - HOUR } })),
  '11: not valid before an hour': row('not_yet_valid', ({ now }) => ({ claims: { nbf: now + HOUR } })),
}

/** Wrong only if the request presents an access token. */
export const wrongTokenHashes: Readonly<Record<string, WrongProof>> = {
  '12: no ath': row('wrong_token', { claims: { ath: undefined } }),
  '12: the ath of another token': row('wrong_token', { claims: { ath: sha256('another') } }),
  '12: the token itself': row('wrong_token', ({ accessToken }) => ({ claims: { ath: accessToken } })),
  '12: an ath in another encoding': row('wrong_token', ({ accessToken = '' }) => ({
    claims: { ath: createHash('sha256').update(accessToken).digest('hex') },
  })),
}

/** Unusual, but right. */
export const rightProofs: Readonly<Record<string, (request: ProofRequest) => string>> = {
  'nothing unusual': (request) => proof(request),
  'a query and a fragment in htu (check 9)': (request) =>
    proof(request, { claims: { htu: `${request.url}?a=1#b` } }),
  'scheme and host in upper case (RFC 3986 §6.2.2.1)': (request) =>
    proof(request, {
      claims: { htu: request.url.replace(/^https?:\/\/[^/]+/, (origin) => origin.toUpperCase()) },
    }),
  'the default port (RFC 3986 §6.2.3)': (request) =>
    proof(request, { claims: { htu: request.url.replace(/^(https:\/\/[^/:]+)(?=\/)/, '$1:443') } }),
  'an escape that is not needed (RFC 3986 §6.2.2.2)': (request) =>
    proof(request, {
      claims: {
        htu: request.url.replace(/[a-z](?=[a-z]*$)/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
      },
    }),
  'dot segments (RFC 3986 §6.2.2.3)': (request) =>
    proof(request, { claims: { htu: request.url.replace(/\/(?=[^/]*$)/, '/x/.././') } }),
  'iat ten seconds ago': (request) => proof(request, { claims: { iat: request.now - 10 } }),
  'iat ten seconds ahead': (request) => proof(request, { claims: { iat: request.now + 10 } }),
  'iat with a fraction': (request) => proof(request, { claims: { iat: request.now + 0.5 } }),
  'nbf and exp': (request) => proof(request, { claims: { nbf: request.now, exp: request.now + 300 } }),
  'more members, which mean nothing': (request) =>
    proof(request, {
      header: { kid: 'x', x5u: 'https://other.test/', jku: 'https://other.test/', more: 1 },
      claims: { more: { of: 'them' } },
    }),
  'a jwk with kid, use and alg': (request) =>
    proof(request, {
      header: { jwk: { ...publicJwk(request.key), kid: 'k', use: 'sig', alg: request.key.alg } },
    }),
  'typ as a whole media type (RFC 7515 §4.1.9)': (request) =>
    proof(request, { header: { typ: 'application/DPoP+JWT' } }),
}
