/** The steps of the demo. Each does what an administrator, a client or a verifier would do. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { commandLine } from '../command-line.ts'
import { systemClock } from '../system.ts'

const API = 'https://orders.example'
const SCOPE = 'orders:read'
const TIMEOUT_MS = 30_000

/** A running server, its commands, and where each step is reported. */
export interface DemoServer {
  readonly issuer: string
  /** Runs a command and returns its JSON output. */
  command(...args: string[]): Promise<Record<string, string>>
  /** `work` resolves with lines to print, or throws if what `title` says is not true. */
  step(title: string, work: () => Promise<readonly string[]>): Promise<void>
}

export async function demoSteps({ issuer, command, step }: DemoServer): Promise<void> {
  let client: Credentials = { id: '', secret: '' }
  let shortLivedClient = client
  let jwksBefore: JSONWebKeySet = { keys: [] }
  let [oldToken, newToken, shortLivedToken] = ['', '', '']
  const token = (credentials: Credentials) => requestToken(issuer, credentials)
  const jwks = () => get<JSONWebKeySet>(`${issuer}/.well-known/jwks.json`)
  const verify = (jwt: string, keys: JSONWebKeySet, audience = API) =>
    jwtVerify(jwt, createLocalJWKSet(keys), { issuer, audience, typ: 'at+jwt' })

  await step('an administrator registers an API and a client', async () => {
    await command('apis', 'create', API, '--scope', SCOPE)
    const create = ['create', '--grant', 'client_credentials', '--scope', SCOPE, '--name']
    client = credentialsOf(await command('clients', ...create, 'robot'))
    shortLivedClient = credentialsOf(
      await command('clients', ...create, 'short-lived', '--access-token-ttl', '2s'),
    )
    return [
      `$ ${commandLine(`apis create ${API} --scope ${SCOPE}`)}`,
      `$ ${commandLine(`clients create --name robot --grant client_credentials --scope ${SCOPE}`)}`,
    ]
  })

  await step('the client gets a token', async () => {
    oldToken = await token(client)
    return [
      `$ curl -u $ID:$SECRET -d grant_type=client_credentials ${issuer}/oauth2/token`,
      describeToken(oldToken),
    ]
  })

  await step('a service verifies it offline, with the JWKS alone', async () => {
    jwksBefore = await jwks()
    const { payload } = await verify(oldToken, jwksBefore)
    shortLivedToken = await token(shortLivedClient)
    await verify(shortLivedToken, jwksBefore)
    return [`issuer, audience, signature and expiry are valid; scope ${payload.scope}`]
  })

  await step('a tampered token and one for another API are refused', async () => [
    `tampered: ${await expectRefusal(verify(tamperWith(oldToken), jwksBefore), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')}`,
    `another API: ${await expectRefusal(verify(oldToken, jwksBefore, 'https://stock.example'), 'ERR_JWT_CLAIM_VALIDATION_FAILED')}`,
  ])

  await step('the signing key is rotated while the server runs', async () => {
    const { active } = await command('keys', 'rotate')
    newToken = await eventually(async () => {
      const jwt = await token(client)
      return decodeProtectedHeader(jwt).kid === active ? jwt : null
    })
    return [`$ ${commandLine('keys rotate')}`, describeToken(newToken)]
  })

  await step(
    'the old and the new token both verify, even with the JWKS from before the rotation',
    async () => {
      const jwksAfter = await jwks()
      for (const keys of [jwksBefore, jwksAfter])
        for (const jwt of [oldToken, newToken]) await verify(jwt, keys)
      return ['the new key was published before it signed: no verifier had to fetch anything']
    },
  )

  await step('the client revokes a token (RFC 7009)', async () => {
    const extraToken = await token(client)
    const active = async () => (await post(issuer, 'introspect', client, { token: extraToken })).active
    assert((await active()) === true, 'introspection says inactive before the revocation')
    await post(issuer, 'revoke', client, { token: extraToken })
    assert((await active()) === false, 'introspection still says active')
    return ['introspection said active before and says inactive now (RFC 7662)']
  })

  await step('the old key is revoked as compromised: its tokens are refused, new tokens verify', async () => {
    const kid = decodeProtectedHeader(oldToken).kid ?? ''
    await command('keys', 'revoke', '--', kid)
    const jwksAfter = await eventually(async () => {
      const keys = await jwks()
      return keys.keys.some((key) => key.kid === kid) ? null : keys
    })
    const reason = await expectRefusal(verify(oldToken, jwksAfter), 'ERR_JWKS_NO_MATCHING_KEY')
    await verify(newToken, jwksAfter)
    await verify(await token(client), jwksBefore)
    return [`$ ${commandLine(`keys revoke ${kid}`)}`, `the old token: ${reason}`]
  })

  await step('an expired token is refused', async () => {
    const secondsLeft = (decodeJwt(shortLivedToken).exp ?? 0) - systemClock.now()
    await sleep(Math.max(0, secondsLeft * 1000))
    return [await expectRefusal(verify(shortLivedToken, jwksBefore), 'ERR_JWT_EXPIRED')]
  })
}

interface Credentials {
  readonly id: string
  readonly secret: string
}

function credentialsOf({
  client_id: id = '',
  client_secret: secret = '',
}: Record<string, string>): Credentials {
  return { id, secret }
}

async function requestToken(issuer: string, credentials: Credentials): Promise<string> {
  return String((await post(issuer, 'token', credentials, { grant_type: 'client_credentials' })).access_token)
}

async function post(
  issuer: string,
  endpoint: string,
  { id, secret }: Credentials,
  form: Record<string, string>,
) {
  const response = await fetch(`${issuer}/oauth2/${endpoint}`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams(form),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const text = await response.text()
  assert(response.status === 200, `the ${endpoint} endpoint answered ${response.status} ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>
}

async function get<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  assert(response.status === 200, `${url} answered ${response.status}`)
  return (await response.json()) as T
}

/** Repeats `read` until it returns a value: a running server applies changes within about a second. */
async function eventually<T>(read: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const result = await read()
    if (result !== null) return result
    assert(performance.now() < deadline, 'the running server did not apply the change')
    await sleep(50)
  }
}

/** Returns the reason of the refusal. @throws {Error} if the token is accepted, or refused for another reason */
async function expectRefusal(verification: Promise<unknown>, code: string): Promise<string> {
  const error = await verification.then(
    () => null,
    (error: Error & { code?: string }) => error,
  )
  assert(error !== null, 'it was accepted')
  assert(error.code === code, `it was refused for another reason: ${error.message}`)
  return `refused, ${error.message}`
}

/** Changes the scope and keeps the signature. */
function tamperWith(jwt: string): string {
  const [header, , signature] = jwt.split('.')
  const payload = Buffer.from(JSON.stringify({ ...decodeJwt(jwt), scope: 'orders:write' }))
  return [header, payload.toString('base64url'), signature].join('.')
}

function describeToken(jwt: string): string {
  const { kid } = decodeProtectedHeader(jwt)
  const { aud, exp = 0, iat = 0 } = decodeJwt(jwt)
  return `signed with key ${kid?.slice(0, 8)}…, for ${aud}, valid for ${exp - iat} s`
}

function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}
