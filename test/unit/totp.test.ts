import { Secret, TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { createTotp, TOTP_SECRETS } from '../../src/accounts/totp.ts'
import { createStorageCipher } from '../../src/keys/data-keys.ts'
import { systemRandom } from '../../src/system.ts'
import { winners } from '../contracts/contract.ts'
import { testClock } from '../support/server/clock.ts'
import { CONTEXT, type FactorsWorld, factorsWorld } from '../support/server/factors.ts'
import { dataKeysOf, MASTER_KEY } from '../support/server/keys.ts'

/** Not an independent implementation, but the vectors below show that it is right. */
const codeAt = (secret: string, seconds: number) =>
  new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({ timestamp: seconds * 1000 })

function totpAt(seconds: number) {
  const clock = testClock(seconds)
  const cipher = createStorageCipher(dataKeysOf(MASTER_KEY), systemRandom, TOTP_SECRETS)
  return { clock, totp: createTotp({ cipher, clock, random: systemRandom, name: 'Example: the company' }) }
}

async function enrolled(t: Test): Promise<FactorsWorld & { secret: string }> {
  const world = await factorsWorld()
  t.teardown(() => world.store.db.close())
  const { secret, pending } = world.factors.startTotpSetup(world.alice)
  const code = codeAt(secret, world.clock.now())
  t.equal(await world.factors.confirmTotpSetup(world.alice, pending, code, CONTEXT), 'confirmed')
  world.clock.tick(60)
  return { ...world, secret }
}

/** RFC 6238 appendix B, SHA-1, the last six of its eight digits. */
const VECTORS: readonly (readonly [number, string])[] = [
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
]

t.test('codes are those of RFC 6238 Appendix B', async (t) => {
  const secret = Secret.fromLatin1('12345678901234567890').base32
  for (const [seconds, code] of VECTORS) {
    const { totp } = totpAt(seconds)
    t.equal(totp.stepOf(secret, code), Math.floor(seconds / 30), String(seconds))
    t.equal(
      totp.stepOf(
        secret,
        code.replace(/.$/, (digit) => String((Number(digit) + 1) % 10)),
      ),
      null,
    )
  }
})

t.test('a code is valid in its own time step and the adjacent ones (RFC 6238 §5.2)', async (t) => {
  const start = 1_800_000_000
  const { clock, totp } = totpAt(start)
  const secret = totp.createSecret()
  const code = codeAt(secret, start)
  for (const [second, good] of [
    [-31, false],
    [-30, true],
    [0, true],
    [29, true],
    [30, true],
    [59, true],
    [60, false],
    [86_400, false],
  ] as const) {
    clock.set(start + second)
    t.equal(totp.stepOf(secret, code), good ? start / 30 : null, `${second} s`)
  }
})

t.test('a code may be typed with spaces or full-width digits, and in no other way', async (t) => {
  const { totp, clock } = totpAt(1_800_000_000)
  const secret = totp.createSecret()
  const code = codeAt(secret, clock.now())
  const wide = [...code].map((digit) => String.fromCharCode(0xff10 + Number(digit))).join('')
  for (const typed of [code, `${code.slice(0, 3)} ${code.slice(3)}`, ` ${code}\n`, wide])
    t.equal(totp.stepOf(secret, typed), 60_000_000, typed)
  for (const typed of [
    '',
    '0',
    code.slice(1),
    `${code}0`,
    `-${code.slice(1)}`,
    `${code.slice(1)}é`,
    'abcdef',
  ])
    t.equal(totp.stepOf(secret, typed), null, typed)
})

t.test('a secret has 160 random bits, and its URI has all that an authenticator app needs', async (t) => {
  const { totp } = totpAt(0)
  const secrets = new Set(Array.from({ length: 100 }, () => totp.createSecret()))
  t.equal(secrets.size, 100)
  for (const secret of secrets) t.match(secret, /^[A-Z2-7]{32}$/)
  const [secret = ''] = secrets
  const uri = new URL(totp.uri(secret, 'alice@example.com/ä?&secret=X'))
  t.equal(uri.protocol, 'otpauth:')
  t.equal(uri.host, 'totp')
  t.equal(decodeURIComponent(uri.pathname), '/Example  the company:alice@example.com/ä?&secret=X')
  t.same(Object.fromEntries(uri.searchParams), {
    issuer: 'Example  the company',
    secret,
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  })
})

t.test(
  'an encrypted secret cannot be decrypted under another data key or for another user (docs/security.md Q8)',
  async (t) => {
    const { alice, bob, store, factors, secret, clock, withDataKey: withKey } = await enrolled(t)
    const row = await store.factors.findTotp(alice.id)
    t.notMatch(JSON.stringify(row), secret)
    const code = codeAt(secret, clock.now())
    await t.rejects(withKey(Buffer.alloc(32, 2)).checkCode(alice, code, CONTEXT), { name: 'DecryptionError' })
    await store.factors.addTotp({
      userId: bob.id,
      encryptedSecret: row?.encryptedSecret ?? '',
      dataKey: 1,
      lastStep: 0,
      createdAt: 1,
    })
    await t.rejects(factors.checkCode(bob, code, CONTEXT), {
      message: `the authenticator secret of user ${bob.id} cannot be decrypted: the text is damaged or belongs to something else`,
    })
    t.equal(await factors.checkCode(alice, code, CONTEXT), 'totp')
  },
)

t.test(
  'a secret is stored once a code has confirmed it, and a wrong code keeps the setup open',
  async (t) => {
    const { factors, alice, bob, store, clock, logger } = await factorsWorld()
    t.teardown(() => store.db.close())
    const { secret, pending, uri } = factors.startTotpSetup(alice)
    t.match(uri, secret)
    t.notMatch(pending, secret)
    t.equal(await factors.confirmTotpSetup(alice, pending, '000000', CONTEXT), 'wrong')
    t.same(await factors.summary(alice.id), { totp: false, passkeys: 0, recoveryCodes: 0 })
    t.same(factors.resumeTotpSetup(alice, pending), { secret, pending, uri })
    t.equal(factors.resumeTotpSetup(bob, pending), null, 'no other user can confirm it')
    t.equal(await factors.confirmTotpSetup(bob, pending, codeAt(secret, clock.now()), CONTEXT), 'expired')

    t.equal(await factors.confirmTotpSetup(alice, pending, codeAt(secret, clock.now()), CONTEXT), 'confirmed')
    t.equal((await factors.summary(alice.id)).totp, true)
    const by = { actor: `user:${alice.id}`, sub: alice.id, ip: CONTEXT.ip, request_id: CONTEXT.requestId }
    t.match(logger.audits('factor.enrolled'), [{ ...by, action: 'totp' }])
  },
)

t.test('a setup that expired, was used or was replaced must be started again', async (t) => {
  const { factors, alice, store, clock } = await factorsWorld()
  t.teardown(() => store.db.close())
  const [old, first, second] = [1, 2, 3].map(() => factors.startTotpSetup(alice))
  if (!old || !first || !second) throw new Error('three setups were started')
  const confirm = (setup: { secret: string; pending: string }) =>
    factors.confirmTotpSetup(alice, setup.pending, codeAt(setup.secret, clock.now()), CONTEXT)
  t.equal(await confirm(first), 'confirmed')
  t.equal(await confirm(second), 'expired', 'one exists')
  await factors.removeTotp(alice, CONTEXT)
  t.equal(await confirm(first), 'expired', 'it was used')
  clock.tick(899)
  t.not(factors.resumeTotpSetup(alice, old.pending), null)
  clock.tick(1)
  t.equal(factors.resumeTotpSetup(alice, old.pending), null)
  t.equal(await confirm(old), 'expired')
  t.equal((await factors.summary(alice.id)).totp, false)
})

t.test('the code that confirmed the setup cannot be used again (RFC 6238 §5.2)', async (t) => {
  const { factors, alice, store, clock } = await factorsWorld()
  t.teardown(() => store.db.close())
  const { secret, pending } = factors.startTotpSetup(alice)
  const code = codeAt(secret, clock.now())
  await factors.confirmTotpSetup(alice, pending, code, CONTEXT)
  t.equal(await factors.checkCode(alice, code, CONTEXT), null)
})

t.test('using a code invalidates it and all older ones (RFC 6238 §5.2)', async (t) => {
  const { factors, alice, clock, secret, logger } = await enrolled(t)
  const [before, code] = [codeAt(secret, clock.now() - 30), codeAt(secret, clock.now())]
  t.equal(await factors.checkCode(alice, code, CONTEXT), 'totp')
  t.equal(await factors.checkCode(alice, code, CONTEXT), null)
  t.equal(await factors.checkCode(alice, before, CONTEXT), null)
  clock.tick(30)
  t.equal(await factors.checkCode(alice, code, CONTEXT), null, 'although the time window would allow it')
  t.equal(await factors.checkCode(alice, codeAt(secret, clock.now()), CONTEXT), 'totp')
  t.match(logger.audits('factor.used'), [{ action: 'totp', sub: alice.id }, { action: 'totp' }])
  t.equal(logger.audits('factor.failed').length, 3)
})

t.test(
  'of fifty concurrent uses of one authenticator code one succeeds (RFC 7523 §3; docs/security.md P6)',
  async (t) => {
    const { factors, alice, clock, secret } = await enrolled(t)
    const code = codeAt(secret, clock.now())
    const outcome = await winners(50, async (i) => {
      const ip = `192.0.2.${i + 1}`
      return (await factors.checkCode(alice, code, { ip, requestId: 'r' }).catch(() => null)) === 'totp'
    })
    t.same(outcome, { won: 1, lost: 49 })
  },
)

t.test('a code works neither for another user nor for a user without an authenticator', async (t) => {
  const { factors, bob, clock, secret } = await enrolled(t)
  t.equal(await factors.checkCode(bob, codeAt(secret, clock.now()), CONTEXT), null)
})

t.test(
  'after five guesses from one address even the right code is refused (RFC 6749 §10.10; docs/security.md P5)',
  async (t) => {
    const { factors, alice, bob, clock, secret, logger } = await enrolled(t)
    for (let i = 0; i < 5; i += 1) t.equal(await factors.checkCode(alice, '000000', CONTEXT), null)
    const right = () => factors.checkCode(alice, codeAt(secret, clock.now()), CONTEXT)
    await t.rejects(right(), { name: 'RateLimited', retryAfter: 300 })
    t.match(logger.audits('factor.failed').at(-1), { sub: alice.id, action: 'totp', reason: 'rate_limited' })
    t.equal(await factors.checkCode(bob, '000000', CONTEXT), null, 'another account is not affected')
    clock.tick(300)
    t.equal(await right(), 'totp')
  },
)

t.test('after ten guesses from all addresses codes are refused except from known addresses', async (t) => {
  const { factors, alice, clock, secret } = await enrolled(t)
  t.equal(await factors.checkCode(alice, codeAt(secret, clock.now()), CONTEXT), 'totp')
  clock.tick(30)
  for (let i = 0; i < 10; i += 1) {
    t.equal(await factors.checkCode(alice, '000000', { ip: `198.51.100.${i}`, requestId: 'r' }), null)
  }
  const elsewhere = { ip: '203.0.113.1', requestId: 'r' }
  await t.rejects(factors.checkCode(alice, '000000', elsewhere), { name: 'RateLimited', retryAfter: 600 })
  t.equal(await factors.checkCode(alice, codeAt(secret, clock.now()), CONTEXT), 'totp')
})

t.test('a removed secret is not accepted', async (t) => {
  const { factors, alice, clock, secret, logger } = await enrolled(t)
  t.equal(await factors.removeTotp(alice, CONTEXT), true)
  t.equal(await factors.removeTotp(alice, CONTEXT), false)
  t.equal(await factors.checkCode(alice, codeAt(secret, clock.now()), CONTEXT), null)
  t.match(logger.audits('factor.removed'), [{ action: 'totp', sub: alice.id }])
})
