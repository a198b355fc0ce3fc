/** Verifiers of other projects: good tokens, bad tokens, a safe rotation and a forced one, and none is restarted. */
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import { basicAuthorization, startKeyturn } from './keyturn.ts'
import { VERIFIERS } from './verifiers.ts'

const API = 'https://orders.example'
const keyturn = await startKeyturn(t, {
  // So short that a rotation is safe at once. The verifiers below keep keys for longer, so a second one is not.
  VERIFIER_CACHE: '1s',
  JWKS_MAX_AGE: '1s',
  ACCESS_TOKEN_TTL: '1h',
})
const { issuer } = keyturn
const jwksUri = `${issuer}/.well-known/jwks.json`
await keyturn.command(`apis create ${API} --scope orders:read`)
await keyturn.command('apis create https://stock.example --scope stock:read')
const machine = await keyturn.command<{ client_id: string; client_secret: string }>(
  'clients create --name Robot --grant client_credentials --scope "orders:read stock:read"',
)

/** A new access token. */
async function issue(scope = 'orders:read'): Promise<string> {
  const response = await fetch(`${issuer}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: basicAuthorization(machine.client_id, machine.client_secret) },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  const { access_token } = (await response.json()) as { access_token: string }
  return access_token
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const parsed = (token: string, index: 0 | 1) =>
  JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString()) as Record<string, unknown>
const kidOf = (token: string) => String(parsed(token, 0).kid)

/** Rotates, and waits until the server signs with the new key. */
async function rotated(option: '--wait' | '--force'): Promise<string> {
  const { active } = await keyturn.command<{ active: string }>(`keys rotate ${option}`)
  for (;;) {
    const token = await issue()
    if (kidOf(token) === active) return token
  }
}

const first = await issue()
const [, payload = ''] = first.split('.')
const ours = parsed(first, 0)
const { keys } = (await (await fetch(jwksUri)).json()) as { keys: { kid: string }[] }
const published = createPublicKey({
  key: keys.find(({ kid }) => kid === ours.kid) as object as JsonWebKey,
  format: 'jwk',
})
const forged = (header: object, body: string, signature: (input: string) => Buffer) => {
  const input = `${part(header)}.${body}`
  return `${input}.${signature(input).toString('base64url')}`
}
const otherKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const pem = published.export({ type: 'spki', format: 'pem' })
const changed = part({ ...parsed(first, 1), sub: 'someone-else' })
const BAD: Readonly<Record<string, string>> = {
  'for another API': await issue('stock:read'),
  'with another payload': `${first.split('.')[0]}.${changed}.${first.split('.')[2]}`,
  'without a signature': forged({ ...ours, alg: 'none' }, payload, () => Buffer.alloc(0)),
  'signed with HS256 and the public key': forged({ ...ours, alg: 'HS256' }, payload, (input) =>
    createHmac('sha256', pem).update(input).digest(),
  ),
  'signed with another key under our kid': forged(ours, payload, (input) =>
    sign('sha256', Buffer.from(input), otherKey),
  ),
}

// The verifiers’ clock stands still, five minutes ahead, so that no slow machine decides how old their keys are.
const now = Date.now() + 300_000
mock.timers.enable({ apis: ['Date'], now })
t.teardown(() => mock.timers.reset())

const verifiers = await Promise.all(
  Object.entries(VERIFIERS).map(async ([name, { create, forced }]) => {
    return { name, forced, verify: await create({ issuer, audience: API, jwksUri }, t) }
  }),
)

t.test('each verifier accepts a token of Keyturn and refuses bad ones', async (t) => {
  for (const { name, verify } of verifiers) {
    await t.resolves(verify(first), name)
    for (const [what, token] of Object.entries(BAD)) await t.rejects(verify(token), `${name}: ${what}`)
  }
})

t.test('a safe rotation is not noticed: old and new tokens are accepted', async (t) => {
  const second = await rotated('--wait')
  t.not(kidOf(second), kidOf(first))
  for (const { name, verify } of verifiers) {
    await t.resolves(verify(second), `${name}: new`)
    await t.resolves(verify(first), `${name}: old`)
  }
})

t.test(
  'after a forced rotation each verifier accepts new tokens, at once or when its cache allows',
  async (t) => {
    const third = await rotated('--force')
    for (const { name, forced, verify } of verifiers) {
      if (forced === 0) await t.resolves(verify(third), `${name}: at once`)
      else await t.rejects(verify(third), `${name}: not within ${forced} s of its last fetch`)
    }
    mock.timers.setTime(now + 31_000)
    for (const { name, verify } of verifiers) {
      await t.resolves(verify(third), `${name}: 31 s later`)
      await t.resolves(verify(first), `${name}: old`)
    }
  },
)

t.test('each verifier refuses an expired token', async (t) => {
  mock.timers.setTime(now + 7_200_000)
  for (const { name, verify } of verifiers) await t.rejects(verify(first), name)
})
