/** What the demo shows, in order. Everything is done as an administrator, a client or a verifier would do it. */
import { setTimeout as pause } from 'node:timers/promises'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { systemClock } from '../system.ts'

const API = 'https://orders.example'
const SCOPE = 'orders:read'
const TIMEOUT_MS = 5000

/** Where the story plays: a running server, commands, and a listener. */
export interface Stage {
  readonly issuer: string
  /** Runs a command as if it was typed, and returns its JSON output. */
  command(...args: string[]): Promise<Record<string, string>>
  /** `work` resolves with details to show, or throws if what `title` claims is not true. */
  step(title: string, work: () => Promise<readonly string[]>): Promise<void>
}

export async function story({ issuer, command, step }: Stage): Promise<void> {
  let client: Login = { id: '', secret: '' }
  let hasty = client
  let before: JSONWebKeySet = { keys: [] }
  let [old, fresh, brief] = ['', '', '']
  const token = (login: Login) => askForToken(issuer, login)
  const jwks = () => get<JSONWebKeySet>(`${issuer}/.well-known/jwks.json`)
  const verify = (jwt: string, keys: JSONWebKeySet, audience = API) =>
    jwtVerify(jwt, createLocalJWKSet(keys), { issuer, audience, typ: 'at+jwt' })

  await step('an administrator registers an API and a client', async () => {
    await command('apis', 'create', API, '--scope', SCOPE)
    const create = ['create', '--grant', 'client_credentials', '--scope', SCOPE, '--name']
    client = loginOf(await command('clients', ...create, 'robot'))
    hasty = loginOf(await command('clients', ...create, 'hasty', '--access-token-ttl', '2s'))
    return [
      `$ keyturn apis create ${API} --scope ${SCOPE}`,
      `$ keyturn clients create --name robot --grant client_credentials --scope ${SCOPE}`,
    ]
  })

  await step('the client gets a token', async () => {
    old = await token(client)
    return [`$ curl -u $ID:$SECRET -d grant_type=client_credentials ${issuer}/oauth2/token`, about(old)]
  })

  await step('a service verifies it offline, with the JWKS alone', async () => {
    before = await jwks()
    const { payload } = await verify(old, before)
    brief = await token(hasty)
    await verify(brief, before)
    return [`issuer, audience, signature and time are right; scope ${payload.scope}`]
  })

  await step('a tampered token and one for another API are refused', async () => [
    `tampered: ${await refusal(verify(tampered(old), before), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')}`,
    `another API: ${await refusal(verify(old, before, 'https://stock.example'), 'ERR_JWT_CLAIM_VALIDATION_FAILED')}`,
  ])

  await step('the signing key is rotated, while the server runs', async () => {
    const { active } = await command('keys', 'rotate')
    fresh = await eventually(async () => {
      const jwt = await token(client)
      return decodeProtectedHeader(jwt).kid === active ? jwt : null
    })
    return ['$ keyturn keys rotate', about(fresh)]
  })

  await step('the old token and the new one both verify, even with the JWKS from before', async () => {
    const after = await jwks()
    for (const keys of [before, after]) for (const jwt of [old, fresh]) await verify(jwt, keys)
    return ['the new key was published long before it signed: no verifier had to fetch anything']
  })

  await step('the client takes a token back (RFC 7009)', async () => {
    const spare = await token(client)
    const active = async () => (await post(issuer, 'introspect', client, { token: spare })).active
    assert((await active()) === true, 'introspection does not know the token')
    await post(issuer, 'revoke', client, { token: spare })
    assert((await active()) === false, 'introspection still says active')
    return ['introspection said active before and says inactive now (RFC 7662)']
  })

  await step('the old key is revoked as compromised: its tokens are refused, new ones verify', async () => {
    const kid = decodeProtectedHeader(old).kid ?? ''
    await command('keys', 'revoke', '--', kid)
    const after = await eventually(async () => {
      const keys = await jwks()
      return keys.keys.some((key) => key.kid === kid) ? null : keys
    })
    const why = await refusal(verify(old, after), 'ERR_JWKS_NO_MATCHING_KEY')
    await verify(fresh, after)
    await verify(await token(client), before)
    return [`$ keyturn keys revoke ${kid}`, `the old token: ${why}`]
  })

  await step('an expired token is refused', async () => {
    const left = (decodeJwt(brief).exp ?? 0) - systemClock.now()
    await pause(Math.max(0, left * 1000))
    return [await refusal(verify(brief, before), 'ERR_JWT_EXPIRED')]
  })
}

interface Login {
  readonly id: string
  readonly secret: string
}

function loginOf({ client_id: id = '', client_secret: secret = '' }: Record<string, string>): Login {
  return { id, secret }
}

async function askForToken(issuer: string, login: Login): Promise<string> {
  return String((await post(issuer, 'token', login, { grant_type: 'client_credentials' })).access_token)
}

async function post(issuer: string, endpoint: string, { id, secret }: Login, form: Record<string, string>) {
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

/** A running server follows the administrator within about a second. */
async function eventually<T>(ask: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    assert(performance.now() < deadline, 'the running server did not follow')
    await pause(50)
  }
}

/** The words of the refusal. @throws {Error} if it is accepted, or refused for another reason */
async function refusal(verification: Promise<unknown>, code: string): Promise<string> {
  const error = await verification.then(
    () => null,
    (error: Error & { code?: string }) => error,
  )
  assert(error !== null, 'it was accepted')
  assert(error.code === code, `it was refused for another reason: ${error.message}`)
  return `refused, ${error.message}`
}

/** More scope than was granted, under the signature of what was. */
function tampered(jwt: string): string {
  const [header, , signature] = jwt.split('.')
  const payload = Buffer.from(JSON.stringify({ ...decodeJwt(jwt), scope: 'orders:write' }))
  return [header, payload.toString('base64url'), signature].join('.')
}

function about(jwt: string): string {
  const { kid } = decodeProtectedHeader(jwt)
  const { aud, exp = 0, iat = 0 } = decodeJwt(jwt)
  return `signed with key ${kid?.slice(0, 8)}…, for ${aud}, good for ${exp - iat} s`
}

function assert(held: boolean, otherwise: string): asserts held {
  if (!held) throw new Error(otherwise)
}
