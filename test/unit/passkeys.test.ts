/** Every response here is really signed, by test/support/browser/authenticator.ts, and really verified. */
import t, { type Test } from 'tap'
import { parseRegistration } from '../../src/accounts/webauthn-response.ts'
import { winners } from '../contracts/contract.ts'
import {
  type Authenticator,
  cbor,
  createAuthenticator,
  type Overrides,
} from '../support/browser/authenticator.ts'
import { CONTEXT, type FactorsWorld, factorsWorld } from '../support/server/factors.ts'
import { MASTER_KEY } from '../support/server/keys.ts'

async function world(t: Test, issuer?: string): Promise<FactorsWorld> {
  const made = await factorsWorld(issuer)
  t.teardown(() => made.store.db.close())
  return made
}

async function register(w: FactorsWorld, device: Authenticator, owner = w.alice, name = 'My phone') {
  const started = await w.factors.startPasskeyRegistration(owner)
  if (!started) throw new Error('there is no room')
  return w.factors.finishPasskeyRegistration(
    owner,
    name,
    device.create(started.options),
    started.challenge,
    CONTEXT,
  )
}

/** A whole authentication; as a second factor if a user is named. */
async function signIn(
  w: FactorsWorld,
  device: Authenticator,
  userId: string | null,
  overrides: Overrides = {},
) {
  const started = await w.factors.startPasskeyAuthentication(userId)
  if (!started) throw new Error('there is no passkey')
  return w.factors.finishPasskeyAuthentication(
    device.get(started.options, overrides),
    started.challenge,
    userId,
    CONTEXT,
  )
}

const reasons = (w: FactorsWorld) => w.logger.audits('factor.failed').map(({ reason }) => reason)

t.test(
  'the browser is asked for a discoverable passkey without attestation for the issuer’s host',
  async (t) => {
    const w = await world(t)
    const started = await w.factors.startPasskeyRegistration(w.alice)
    t.match(started?.options, {
      rp: { id: 'login.example', name: 'Example: the company' },
      user: { id: Buffer.from(w.alice.id).toString('base64url'), name: 'alice', displayName: 'alice' },
      attestation: 'none',
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ alg, type: 'public-key' })),
      excludeCredentials: [],
      timeout: 300_000,
    })
    const challenges = new Set<string>()
    for (let i = 0; i < 50; i += 1) {
      const again = await w.factors.startPasskeyRegistration(w.alice)
      challenges.add(again?.options.challenge ?? '')
    }
    t.equal(challenges.size, 50)
    for (const challenge of challenges) t.equal(Buffer.from(challenge, 'base64url').length, 32)
  },
)

t.test('a registered passkey can be used as a second factor and alone', async (t) => {
  const w = await world(t)
  const device = w.device()
  const passkey = await register(w, device, w.alice, '  My \n phone\u202e ')
  t.match(passkey, {
    id: device.id,
    userId: w.alice.id,
    name: 'My phone',
    counter: 1,
    transports: ['internal'],
    backedUp: false,
    createdAt: w.clock.now(),
    lastUsedAt: null,
  })
  t.same(await w.factors.listPasskeys(w.alice.id), [passkey])

  w.clock.tick(100)
  const proof = { userId: w.alice.id, passkeyId: device.id, userVerified: true, backedUp: false }
  t.same(await signIn(w, device, w.alice.id), proof)
  t.same(await signIn(w, device, null), proof)
  const second = { userVerified: false }
  t.same(await signIn(w, device, w.alice.id, second), { ...proof, userVerified: false })
  t.match(await w.factors.listPasskeys(w.alice.id), [{ counter: 4, lastUsedAt: w.clock.now() }])
  t.same(reasons(w), [])
  const by = { actor: `user:${w.alice.id}`, sub: w.alice.id, ip: CONTEXT.ip, request_id: CONTEXT.requestId }
  t.match(w.logger.audits('factor.enrolled'), [{ ...by, action: 'passkey', target: device.id }])
  t.match(w.logger.audits('factor.used'), [{ ...by, action: 'passkey', target: device.id }, by, by])
})

t.test(
  'a known user is asked for one of their passkeys, and an unknown one for any verifying passkey',
  async (t) => {
    const w = await world(t)
    t.equal(await w.factors.startPasskeyAuthentication(w.alice.id), null, 'there is none')
    const devices = [w.device(), w.device()]
    for (const device of devices) await register(w, device)
    const known = await w.factors.startPasskeyAuthentication(w.alice.id)
    t.match(known?.options, { rpId: 'login.example', userVerification: 'preferred' })
    t.same(
      new Set(known?.options.allowCredentials?.map(({ id }) => id)),
      new Set(devices.map(({ id }) => id)),
    )
    const anyUser = await w.factors.startPasskeyAuthentication(null)
    t.match(anyUser?.options, { userVerification: 'required', allowCredentials: [] })
    const again = await w.factors.startPasskeyRegistration(w.alice)
    t.equal(again?.options.excludeCredentials?.length, 2, 'a device is not offered twice')
  },
)

const elsewhere: Readonly<Record<string, Overrides>> = {
  'another origin': { origin: 'https://login.example.evil.example' },
  'our host on another port': { origin: 'https://login.example:8443' },
  'our host without TLS': { origin: 'http://login.example' },
  'a subdomain of our host': { origin: 'https://x.login.example' },
  'another RP id': { rpId: 'evil.example' },
  'the parent domain as RP id': { rpId: 'example' },
  'another challenge': { challenge: Buffer.alloc(32, 7).toString('base64url') },
  'no challenge': { challenge: '' },
  'a frame in a page of another site': { crossOrigin: true },
  'no user at the device': { userPresent: false },
}

t.test('a registration from another origin is refused and stores nothing (WebAuthn §7.1)', async (t) => {
  const w = await world(t)
  for (const [what, overrides] of Object.entries({ ...elsewhere, 'a sign-in': { type: 'webauthn.get' } })) {
    const started = await w.factors.startPasskeyRegistration(w.alice)
    const json = w.device().create(started?.options ?? never(), overrides)
    const finish = (text: string) =>
      w.factors.finishPasskeyRegistration(w.alice, 'x', text, started?.challenge ?? '', CONTEXT)
    t.equal(await finish(json), null, what)
    t.not(
      await finish(w.device().create(started?.options ?? never())),
      null,
      'the challenge was not consumed',
    )
  }
  t.equal((await w.factors.summary(w.alice.id)).passkeys, Object.keys(elsewhere).length + 1)
})

t.test('a sign-in from another origin is refused, for every user (WebAuthn §7.2)', async (t) => {
  const w = await world(t)
  const device = w.device()
  await register(w, device)
  for (const [what, overrides] of Object.entries({
    ...elsewhere,
    'a registration': { type: 'webauthn.create' },
  })) {
    t.equal(await signIn(w, device, w.alice.id, overrides), null, what)
    t.equal(await signIn(w, device, null, overrides), null, `${what}, alone`)
  }
  t.same(new Set(reasons(w)), new Set(['invalid']))
  t.not(await signIn(w, device, null), null)
})

t.test('a passkey used alone must have verified the user', async (t) => {
  const w = await world(t)
  const device = w.device()
  await register(w, device)
  t.equal(await signIn(w, device, null, { userVerified: false }), null)
  t.match(w.logger.audits('factor.failed'), [
    { sub: w.alice.id, action: 'passkey', reason: 'invalid', ip: CONTEXT.ip, request_id: CONTEXT.requestId },
  ])
  t.match(await signIn(w, device, w.alice.id, { userVerified: false }), { userVerified: false })
})

t.test(
  'a security key without user verification can be registered and used as a second factor',
  async (t) => {
    const w = await world(t)
    const device = w.device()
    const started = (await w.factors.startPasskeyRegistration(w.alice)) ?? never()
    const json = device.create(started.options, { userVerified: false })
    t.not(await w.factors.finishPasskeyRegistration(w.alice, 'Key', json, started.challenge, CONTEXT), null)
    t.match(await signIn(w, device, w.alice.id, { userVerified: false }), { userVerified: false })
  },
)

t.test('a challenge that was used, has expired or had another purpose is refused', async (t) => {
  const w = await world(t)
  const device = w.device()
  await register(w, device)
  const started = (await w.factors.startPasskeyAuthentication(w.alice.id)) ?? never()
  const finish = (challenge: string, userId: string | null = w.alice.id) =>
    w.factors.finishPasskeyAuthentication(device.get(started.options), challenge, userId, CONTEXT)

  t.equal(await finish(started.challenge, null), null, 'issued for a second factor')
  t.equal(await finish(started.challenge, w.bob.id), null, 'issued for another user')
  t.equal(await finish((await w.factors.startPasskeyRegistration(w.alice))?.challenge ?? ''), null)
  t.equal(await finish(''), null)
  t.equal(await finish(started.options.challenge), null, 'not encrypted')
  t.equal(await finish(started.challenge.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))), null)
  t.not(await finish(started.challenge), null)
  t.equal(await finish(started.challenge), null, 'used')
  t.same(new Set(reasons(w)), new Set(['expired']))

  const late = (await w.factors.startPasskeyAuthentication(null)) ?? never()
  const other = w.withDataKey(Buffer.alloc(32, 2))
  const json = () => device.get(late.options)
  t.equal(await other.finishPasskeyAuthentication(json(), late.challenge, null, CONTEXT), null)
  w.clock.tick(299)
  t.not(await w.factors.finishPasskeyAuthentication(json(), late.challenge, null, CONTEXT), null)
  const later = (await w.factors.startPasskeyAuthentication(null)) ?? never()
  w.clock.tick(300)
  const answer = device.get(later.options)
  t.equal(await w.factors.finishPasskeyAuthentication(answer, later.challenge, null, CONTEXT), null)
})

t.test(
  'of fifty concurrent uses of one response one succeeds (RFC 7523 §3; docs/security.md P6)',
  async (t) => {
    const w = await world(t)
    // Without a counter, so that only the challenge makes it single-use.
    const device = w.device({ counts: false, backedUp: true })
    await register(w, device)
    const started = (await w.factors.startPasskeyAuthentication(null)) ?? never()
    const answer = device.get(started.options)
    const nodes = [w.factors, w.withDataKey(MASTER_KEY)]
    const outcome = await winners(50, async (i) => {
      const node = nodes[i % 2] ?? never()
      return (await node.finishPasskeyAuthentication(answer, started.challenge, null, CONTEXT)) !== null
    })
    t.same(outcome, { won: 1, lost: 49 })
  },
)

t.test('of fifty concurrent registrations one is stored (RFC 7523 §3; docs/security.md P6)', async (t) => {
  const w = await world(t)
  const started = (await w.factors.startPasskeyRegistration(w.alice)) ?? never()
  const outcome = await winners(50, async () => {
    const json = w.device().create(started.options)
    return (
      (await w.factors.finishPasskeyRegistration(w.alice, 'x', json, started.challenge, CONTEXT)) !== null
    )
  })
  t.same(outcome, { won: 1, lost: 49 })
  t.equal((await w.factors.summary(w.alice.id)).passkeys, 1)
})

t.test('another user’s passkey is no valid second factor, and alone it signs in its owner', async (t) => {
  const w = await world(t)
  const [alices, bobs] = [w.device(), w.device()]
  await register(w, alices)
  await register(w, bobs, w.bob)
  t.equal(await signIn(w, bobs, w.alice.id), null)
  t.equal(await signIn(w, bobs, w.alice.id, { userHandle: null }), null)
  t.match(await signIn(w, bobs, null), { userId: w.bob.id })

  const handle = Buffer.from(w.alice.id).toString('base64url')
  t.equal(await signIn(w, bobs, null, { userHandle: handle }), null, 'a user handle that names another user')
  t.equal(await signIn(w, bobs, w.bob.id, { userHandle: handle }), null)
  t.equal(await signIn(w, bobs, null, { userHandle: null }), null, 'WebAuthn §7.2 step 6: it is required')
  t.match(await signIn(w, bobs, w.bob.id, { userHandle: null }), { userId: w.bob.id })
  t.equal(await signIn(w, w.device(), null), null, 'an unknown passkey')
  t.same(new Set(reasons(w)), new Set(['unknown']))
})

t.test('a signature by another key is refused for every credential id', async (t) => {
  const w = await world(t)
  const [device, thief] = [w.device(), w.device()]
  await register(w, device)
  await register(w, thief, w.bob)
  const started = (await w.factors.startPasskeyAuthentication(null)) ?? never()
  const answer = JSON.parse(thief.get(started.options))
  answer.id = answer.rawId = device.id
  answer.response.userHandle = Buffer.from(w.alice.id).toString('base64url')
  const finish = () =>
    w.factors.finishPasskeyAuthentication(JSON.stringify(answer), started.challenge, null, CONTEXT)
  t.equal(await finish(), null)
  t.same(reasons(w), ['invalid'])
})

t.test('a credential id can be registered once, whatever the user', async (t) => {
  const w = await world(t)
  const device = w.device()
  t.not(await register(w, device), null)
  t.equal(await register(w, device), null)
  t.equal(await register(w, device, w.bob), null)
  t.equal((await w.factors.summary(w.alice.id)).passkeys, 1)
  t.equal((await w.factors.summary(w.bob.id)).passkeys, 0)
})

t.test(
  'a counter that decreased or stood still indicates a cloned authenticator (WebAuthn §6.1.1)',
  async (t) => {
    const w = await world(t)
    const device = w.device()
    await register(w, device)
    t.not(await signIn(w, device, null, { counter: 10 }), null)
    for (const counter of [10, 9, 1, 0]) t.equal(await signIn(w, device, null, { counter }), null)
    t.same(reasons(w), ['cloned', 'cloned', 'cloned', 'cloned'])
    t.match(await w.factors.listPasskeys(w.alice.id), [{ counter: 10 }])
    t.not(await signIn(w, device, null, { counter: 11 }), null)
  },
)

t.test('a synchronised passkey has no counter and is recognised as such', async (t) => {
  const w = await world(t)
  const device = w.device({ counts: false, backedUp: true })
  t.match(await register(w, device), { counter: 0, backedUp: true })
  for (let i = 0; i < 3; i += 1) t.match(await signIn(w, device, null), { backedUp: true })
})

t.test('only attestation none is accepted, so that no certificate URLs are followed', async (t) => {
  const w = await world(t)
  const x5c = new Map([['x5c', cbor('a certificate')]])
  for (const attestation of [
    { fmt: 'packed', attStmt: x5c },
    { fmt: 'fido-u2f', attStmt: x5c },
    { fmt: 'tpm', attStmt: new Map() },
    { fmt: 'apple', attStmt: new Map() },
    { fmt: 'android-safetynet', attStmt: new Map() },
    { fmt: 'none', attStmt: x5c },
  ]) {
    const started = (await w.factors.startPasskeyRegistration(w.alice)) ?? never()
    const json = w.device().create(started.options, { attestation })
    t.equal(
      await w.factors.finishPasskeyRegistration(w.alice, 'x', json, started.challenge, CONTEXT),
      null,
      attestation.fmt,
    )
    // The library would refuse these too, but only after reading them.
    t.equal(await parseRegistration(json), null, attestation.fmt)
  }
  const started = (await w.factors.startPasskeyRegistration(w.alice)) ?? never()
  const json = w.device().create(started.options, { selfAttested: true })
  t.not(
    await w.factors.finishPasskeyRegistration(w.alice, 'x', json, started.challenge, CONTEXT),
    null,
    'signed by the new key itself',
  )
})

t.test('malformed responses are refused without an exception', async (t) => {
  const w = await world(t)
  const device = w.device()
  await register(w, device)
  const started = (await w.factors.startPasskeyAuthentication(null)) ?? never()
  const made = (await w.factors.startPasskeyRegistration(w.alice)) ?? never()
  const [get, create] = [JSON.parse(device.get(started.options)), JSON.parse(w.device().create(made.options))]
  const values = [null, 1, '', 'é', '%%%', [], {}, [[]], { a: 1 }, true, 'A'.repeat(2000)]
  const broken = (whole: Record<string, Record<string, unknown>>) => [
    ...values.map((value) => JSON.stringify(value)),
    '',
    '{',
    `${JSON.stringify(whole)}${' '.repeat(20_000)}`,
    ...['id', 'rawId', 'type', 'response'].flatMap((name) =>
      values.map((value) => JSON.stringify({ ...whole, [name]: value })),
    ),
    ...['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'transports'].flatMap(
      (name) =>
        values.map((value) => JSON.stringify({ ...whole, response: { ...whole.response, [name]: value } })),
    ),
  ]
  const outcomes: unknown[] = []
  for (const json of broken(get)) {
    // A change of a value that a sign-in does not read is still accepted.
    if (/"(attestationObject|transports)"/.test(json)) continue
    outcomes.push(await w.factors.finishPasskeyAuthentication(json, started.challenge, null, CONTEXT))
  }
  for (const json of broken(create)) {
    if (/"(authenticatorData|signature)"/.test(json) || /"transports":\[/.test(json)) continue
    outcomes.push(await w.factors.finishPasskeyRegistration(w.alice, 'x', json, made.challenge, CONTEXT))
  }
  t.ok(outcomes.length > 100)
  t.same(
    outcomes.filter((outcome) => outcome !== null),
    [],
  )
  t.not(
    await w.factors.finishPasskeyAuthentication(JSON.stringify(get), started.challenge, null, CONTEXT),
    null,
  )
  t.not(
    await w.factors.finishPasskeyRegistration(w.alice, '', JSON.stringify(create), made.challenge, CONTEXT),
    null,
  )
})

t.test('a user has at most twenty passkeys and can remove them', async (t) => {
  const w = await world(t)
  const devices = Array.from({ length: 20 }, () => w.device())
  for (const device of devices) t.not(await register(w, device), null)
  t.equal(await w.factors.startPasskeyRegistration(w.alice), null)
  const [first] = devices
  const id = first?.id ?? ''
  t.equal(await w.factors.removePasskey(w.bob, id, CONTEXT), false)
  t.equal(await w.factors.removePasskey(w.alice, id, CONTEXT), true)
  t.match(w.logger.audits('factor.removed'), [{ sub: w.alice.id, action: 'passkey', target: id }])
  t.equal(await signIn(w, first ?? never(), null), null)
  t.not(await w.factors.startPasskeyRegistration(w.alice), null)
})

t.test('a port of the issuer is part of the origin only, and an IP address has no passkeys', async (t) => {
  const w = await world(t, 'http://localhost:3000')
  const device = createAuthenticator({ origin: 'http://localhost:3000', rpId: 'localhost' })
  t.not(await register(w, device), null)
  t.not(await signIn(w, device, null), null)
  t.equal(w.factors.passkeysAvailable, true)
  for (const issuer of ['http://127.0.0.1:3000', 'http://[::1]:3000'])
    t.equal((await world(t, issuer)).factors.passkeysAvailable, false, issuer)
})

function never(): never {
  throw new Error('it was begun')
}
