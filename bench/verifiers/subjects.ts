/** The verifiers that are compared: the same tokens, the same checks as far as each has them. */
import { createPublicKey, verify } from 'node:crypto'
import { createVerifier as createFastJwt } from 'fast-jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { createVerifier } from '../../packages/verify/index.ts'
import { AUDIENCE, ISSUER, issuerFetch, type Tokens } from './tokens.ts'

/** Verifies the i-th token. @throws if it is not good */
type Verify = (index: number) => unknown

interface Subject {
  readonly what: string
  prepare(tokens: Tokens): Verify | Promise<Verify>
}

/** Strings that lie ready, as the bytes do for node:crypto. */
const ready =
  ({ tokens }: Tokens) =>
  (index: number) =>
    tokens[index % tokens.length] as string

/**
 * A new string each time, as a request brings one: the engine keeps the hash of a string that it has seen, and would
 * make every cache look better than it is.
 */
const fresh = ({ tokens }: Tokens) => {
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
  const next = cached ? fresh(tokens) : ready(tokens)
  return (index) => verifier.verify(next(index))
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
  const next = cache ? fresh(tokens) : ready(tokens)
  return (index) => check(next(index))
}

export const SUBJECTS = {
  crypto: {
    what: 'node:crypto alone: verify() of bytes that lie ready, nothing parsed or checked',
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
        if (!verify('sha256', data, key, signature)) throw new Error('wrong')
      }
    },
  },
  keyturn: {
    what: '@keyturn/verify, no token remembered',
    prepare: (tokens) => keyturn(tokens, false),
  },
  jose: {
    what: 'jose jwtVerify, keys held locally',
    prepare(tokens) {
      const keys = createLocalJWKSet({ keys: [tokens.jwk] })
      const next = ready(tokens)
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
  'fast-jwt': { what: 'fast-jwt, one key, no cache', prepare: (tokens) => fastJwt(tokens) },
  'keyturn-cached': {
    what: '@keyturn/verify, tokens remembered; end, key and status list looked at each time',
    prepare: (tokens) => keyturn(tokens, true),
  },
  'fast-jwt-cached': {
    what: 'fast-jwt with its cache',
    prepare: (tokens) => fastJwt(tokens, { cache: 10_000 }),
  },
  'fast-jwt-cached-plain': {
    what: 'the same with the whole token as the key of its cache, which it advises against',
    prepare: (tokens) => fastJwt(tokens, { cache: 10_000, cacheKeyBuilder: (token: string) => token }),
  },
} as const satisfies Record<string, Subject>

export type SubjectName = keyof typeof SUBJECTS
