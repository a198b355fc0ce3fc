/**
 * Verifiers of other projects, each configured as its README begins. `iss` and `aud` are added where the README leaves
 * them to a later section, because RFC 9068 §4 requires both checks.
 */
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import express from 'express'
import { auth } from 'express-oauth2-jwt-bearer'
import { createVerifier } from 'fast-jwt'
import buildGetJwks from 'get-jwks'
import { Hono } from 'hono'
import { jwk } from 'hono/jwk'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'
import jwksClient from 'jwks-rsa'
import type { Test } from 'tap'
import { listenAt } from './application.ts'
import { applicationOrigin } from './keyturn.ts'

/** Resolves if the library accepts the token, and rejects if it refuses it. */
type Verify = (token: string) => Promise<unknown>

interface Issuer {
  readonly issuer: string
  readonly audience: string
  readonly jwksUri: string
}

/** docs/jwks/remote/functions/createRemoteJWKSet.md, linked from the README, "JSON Web Tokens (JWT)". */
function jose({ issuer, audience, jwksUri }: Issuer): Verify {
  const JWKS = createRemoteJWKSet(new URL(jwksUri))
  return (token) => jwtVerify(token, JWKS, { issuer, audience })
}

/** jsonwebtoken: README, "jwt.verify", the example with jwks-rsa. */
function jsonwebtoken({ issuer, audience, jwksUri }: Issuer): Verify {
  const client = jwksClient({ jwksUri })
  const getKey: jwt.GetPublicKeyOrSecret = (header, callback) => {
    client.getSigningKey(header.kid, (error, key) => callback(error, key?.getPublicKey()))
  }
  return (token) =>
    new Promise((resolve, reject) => {
      jwt.verify(token, getKey, { issuer, audience, algorithms: ['RS256'] }, (error, decoded) =>
        error ? reject(error) : resolve(decoded),
      )
    })
}

/** README, "Library Initialization". */
async function expressOauth2JwtBearer({ issuer, audience }: Issuer, t: Test): Promise<Verify> {
  const api = await applicationOrigin()
  const app = express()
  app.use(auth({ issuerBaseURL: issuer, audience }))
  app.get('/', (request, response) => void response.json(request.auth?.payload))
  // Without it Express prints every refusal.
  app.set('env', 'test')
  await listenAt(t, api, app)
  return async (token) => {
    const answer = await fetch(api, { headers: { authorization: `Bearer ${token}` } })
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.headers.get('www-authenticate')}`)
  }
}

/** README, "Verifying JWTs from any OIDC-compatible IDP". Its own fetcher knows only https. */
function awsJwtVerify({ issuer, audience, jwksUri }: Issuer): Verify {
  const fetcher = { fetch: async (uri: string) => (await fetch(uri)).arrayBuffer() }
  const verifier = JwtVerifier.create(
    { issuer, audience, jwksUri },
    { jwksCache: new SimpleJwksCache({ fetcher }) },
  )
  return (token) => verifier.verify(token)
}

/** get-jwks: README, "Integration Examples", "fast-jwt"; the checks of `aud` and `iss` are those of fast-jwt’s README. */
function fastJwt({ issuer, audience }: Issuer): Verify {
  const getJwks = buildGetJwks({ issuersWhitelist: [issuer] })
  return createVerifier({
    allowedIss: issuer,
    allowedAud: audience,
    key: ({ header }: { header: Record<string, string> }) =>
      getJwks.getPublicKey({ kid: String(header.kid), alg: String(header.alg), domain: issuer }),
  })
}

/** hono.dev/docs/middleware/builtin/jwk, "Usage" and "Using verification options"; `typ` is that of access tokens. */
function hono({ issuer, audience, jwksUri }: Issuer): Verify {
  const app = new Hono()
  app.use(
    '/auth/*',
    jwk({ jwks_uri: jwksUri, alg: ['RS256'], verification: { iss: issuer, aud: audience, typ: 'at+jwt' } }),
  )
  app.get('/auth/page', (context) => context.text('You are authorized'))
  return async (token) => {
    const answer = await app.request('/auth/page', { headers: { authorization: `Bearer ${token}` } })
    if (answer.status !== 200) throw new Error(`${answer.status}`)
  }
}

interface Library {
  readonly create: (issuer: Issuer, t: Test) => Verify | Promise<Verify>
  /** Seconds until it accepts a new key that was not in the JWKS it holds, as after a forced rotation. */
  readonly forced: number
}

/** By the names of the packages, which docs/interop.md uses too. */
export const VERIFIERS: Readonly<Record<string, Library>> = {
  // One fetch in 30 s.
  jose: { create: jose, forced: 30 },
  'jsonwebtoken + jwks-rsa': { create: jsonwebtoken, forced: 0 },
  // Uses jose.
  'express-oauth2-jwt-bearer': { create: expressOauth2JwtBearer, forced: 30 },
  'aws-jwt-verify': { create: awsJwtVerify, forced: 0 },
  'fast-jwt + get-jwks': { create: fastJwt, forced: 0 },
  // Fetches the JWKS for every request.
  hono: { create: hono, forced: 0 },
}
