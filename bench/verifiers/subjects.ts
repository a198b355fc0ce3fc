/** The verifiers to compare. All get the same tokens and do the same checks, as far as each supports them. */
import { createPublicKey, verify } from 'node:crypto'
import { createVerifier as createFastJwt } from 'fast-jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { createVerifier } from '../../packages/verify/index.ts'
import { AUDIENCE, ISSUER, issuerFetch, type Tokens } from './tokens.ts'

/** Verifies the i-th token. @throws if it is invalid */
type Verify = (index: number) => unknown

interface Subject {
  readonly description: string
  prepare(tokens: Tokens): Verify | Promise<Verify>
}

/** Returns existing strings, as node:crypto gets existing bytes. */
const reuseStrings =
  ({ tokens }: Tokens) =>
  (index: number) =>
    tokens[index % tokens.length] as string

/**
 * Creates a new string each time, as each request does. V8 stores the hash of a string with the string, so reusing strings would
 * make every cache look faster than it is.
 */
const createStrings = ({ tokens }: Tokens) => {
  const bytes = tokens.map((token) => Buffer.from(token))
  return (index: number) => (bytes[index % bytes.length] as Buffer).toString('latin1')
}

async function keyturn(tokens: Tokens, cached: boolean): Promise<Verify> {
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    fetch: issuerFetch(tokens),
    ...(cached ? { statusList: { onStale: 'reject', uris: [tokens.listUri] } } : { cacheSize: 0 }),
  })
  await verifier.ready()
  const next = cached ? createStrings(tokens) : reuseStrings(tokens)
  return (index) => verifier.verify(next(index))
}

/** The proofs are used again in each lap, so the memory of used proofs is replaced. They must stay recent enough for the whole run. */
async function keyturnDpop(tokens: Tokens): Promise<Verify> {
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    fetch: issuerFetch(tokens),
    leeway: 300,
    dpop: { maxAge: 300, claim: () => true },
  })
  await verifier.ready()
  return (index) => {
    const { token, proof } = tokens.bound[index % tokens.bound.length] as Tokens['bound'][0]
    return verifier.verify(token, { proof, method: 'GET', url: AUDIENCE })
  }
}

function fastJwt(tokens: Tokens, cache?: object): Verify {
  const check = createFastJwt({
    key: createPublicKey({ key: tokens.jwk, format: 'jwk' })
      .export({ type: 'spki', format: 'pem' })
      .toString(),
    algorithms: ['RS256'],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    checkTyp: 'at+jwt',
    requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
    clockTolerance: 30_000,
    ...cache,
  })
  const next = cache ? createStrings(tokens) : reuseStrings(tokens)
  return (index) => check(next(index))
}

export const SUBJECTS = {
  crypto: {
    description: 'node:crypto: verify() of existing bytes, without parsing or claim checks',
    prepare(tokens) {
      const key = createPublicKey({ key: tokens.jwk, format: 'jwk' })
      const parts = tokens.tokens.map((token) => {
        const end = token.lastIndexOf('.')
        return {
          data: Buffer.from(token.slice(0, end)),
          signature: Buffer.from(token.slice(end + 1), 'base64url'),
        }
      })
      return (index) => {
        const { data, signature } = parts[index % parts.length] as (typeof parts)[0]
        if (!verify('sha256', data, key, signature)) throw new Error('invalid signature')
      }
    },
  },
  keyturn: {
    description: '@keyturn/verify without its token cache',
    prepare: (tokens) => keyturn(tokens, false),
  },
  jose: {
    description: 'jose jwtVerify with a local JWKS',
    prepare(tokens) {
      const keys = createLocalJWKSet({ keys: [tokens.jwk] })
      const next = reuseStrings(tokens)
      return (index) =>
        jwtVerify(next(index), keys, {
          issuer: ISSUER,
          audience: AUDIENCE,
          typ: 'at+jwt',
          algorithms: ['RS256'],
          clockTolerance: 30,
          requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
        })
    },
  },
  'fast-jwt': { description: 'fast-jwt with one key, without a cache', prepare: (tokens) => fastJwt(tokens) },
  'keyturn-cached': {
    description: '@keyturn/verify with its token cache; expiry, key and status list are checked each time',
    prepare: (tokens) => keyturn(tokens, true),
  },
  'keyturn-dpop': {
    description: '@keyturn/verify with its token cache and a DPoP proof (ES256) for each request',
    prepare: keyturnDpop,
  },
  'fast-jwt-cached': {
    description: 'fast-jwt with its cache',
    prepare: (tokens) => fastJwt(tokens, { cache: 10_000 }),
  },
  'fast-jwt-cached-plain': {
    description: 'fast-jwt with the whole token as cache key, which its documentation advises against',
    prepare: (tokens) => fastJwt(tokens, { cache: 10_000, cacheKeyBuilder: (token: string) => token }),
  },
} as const satisfies Record<string, Subject>

export type SubjectName = keyof typeof SUBJECTS
