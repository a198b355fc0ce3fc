import t from 'tap'
import { createRecoveryCodes } from '../../src/accounts/recovery-codes.ts'
import { systemRandom } from '../../src/system.ts'
import { winners } from '../contracts/contract.ts'
import { CONTEXT, factorsWorld } from '../support/server/factors.ts'
import { dataKeysOf, MASTER_KEY } from '../support/server/keys.ts'

const codes = createRecoveryCodes({ dataKeys: dataKeysOf(MASTER_KEY), random: systemRandom })
const SHAPE = /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/

t.test('a set has ten codes of sixty random bits in unambiguous letters', async (t) => {
  const sets = Array.from({ length: 100 }, () => codes.create())
  t.same(new Set(sets.map((set) => set.length)), new Set([10]))
  const all = sets.flat()
  t.equal(new Set(all).size, 1000)
  t.same(
    all.filter((code) => !SHAPE.test(code)),
    [],
  )
  t.equal(new Set(all.join('').replaceAll('-', '')).size, 32, 'all 32 characters occur: five bits each')
})

t.test('letter case, spaces, dashes, O for 0 and I or L for 1 are accepted', async (t) => {
  const code = '7K01-9QXA-10RT'
  const digest = codes.digest('u_a', code, 1)
  t.match(digest, /^[\w-]{43}$/)
  for (const typed of [
    '7k01-9qxa-10rt',
    '7K019QXA10RT',
    ' 7K01 9QXA 10RT\n',
    '7KOI–9QXA—lort',
    '7k o1 9-q-x-a LoRt',
    '７Ｋ０１９ＱＸＡ１０ＲＴ',
  ])
    t.equal(codes.digest('u_a', typed, 1), digest, typed)
})

t.test('malformed codes have no digest', async (t) => {
  for (const typed of [
    '',
    '-',
    '123456',
    '7K01-9QXA-10R',
    '7K01-9QXA-10RTT',
    '7K01-9QXA-10RU',
    '7K01-9QXA-10R!',
  ])
    t.equal(codes.digest('u_a', typed, 1), null, typed)
})

t.test('a digest depends on the user and the data key (docs/security.md Q8)', async (t) => {
  const other = createRecoveryCodes({ dataKeys: dataKeysOf(Buffer.alloc(32, 2)), random: systemRandom })
  const [code = ''] = codes.create()
  const digests = [codes.digest('u_a', code, 1), codes.digest('u_b', code, 1), other.digest('u_a', code, 1)]
  t.equal(new Set(digests).size, 3)
})

t.test('with two data keys, a set names its own, and a new set is made with the newer one', async (t) => {
  const [old, young] = [Buffer.alloc(32, 2), MASTER_KEY]
  const before = createRecoveryCodes({ dataKeys: dataKeysOf(old), random: systemRandom })
  const both = createRecoveryCodes({ dataKeys: dataKeysOf(young, old), random: systemRandom })
  const [code = ''] = codes.create()
  t.equal(both.digest('u_a', code, 1), before.digest('u_a', code, 1))
  t.equal(both.digest('u_a', code, 2), codes.digest('u_a', code, 1))
  t.equal(both.digest('u_a', code, 3), null, 'an unknown or invalid data key gives no digest')
  t.same(both.digests('u_a', [code]), { hashes: [codes.digest('u_a', code, 1)], dataKey: 2 })
})

t.test('a code works once, for its owner only, and the stored digest does not reveal it', async (t) => {
  const { factors, alice, bob, store, logger } = await factorsWorld()
  t.teardown(() => store.db.close())
  await factors.replaceRecoveryCodes(bob, CONTEXT)
  const set = await factors.replaceRecoveryCodes(alice, CONTEXT)
  t.equal(set.length, 10)
  const stored = JSON.stringify(await store.db.query('SELECT * FROM recovery_codes'))
  for (const code of set) t.notOk(stored.includes(code) || stored.includes(code.replaceAll('-', '')))

  const [first = '', second = ''] = set
  t.equal(await factors.checkCode(bob, first, CONTEXT), null)
  t.equal(await factors.checkCode(alice, first.toLowerCase(), CONTEXT), 'recovery')
  t.equal(await factors.checkCode(alice, first, CONTEXT), null)
  t.equal((await factors.summary(alice.id)).recoveryCodes, 9)
  t.equal(await factors.checkCode(alice, second, CONTEXT), 'recovery')
  t.match(logger.audits('factor.used'), [{ action: 'recovery', sub: alice.id }, { action: 'recovery' }])
  t.match(logger.audits('factor.failed'), [{ action: 'recovery', sub: bob.id }, { sub: alice.id }])
  t.match(logger.audits('factor.enrolled'), [{ sub: bob.id }, { sub: alice.id, action: 'recovery' }])
})

t.test(
  'of fifty concurrent uses of one recovery code one succeeds (RFC 7523 §3; docs/security.md P6)',
  async (t) => {
    const { factors, alice, store } = await factorsWorld()
    t.teardown(() => store.db.close())
    const [code = ''] = await factors.replaceRecoveryCodes(alice, CONTEXT)
    // The rate limiter admits too few attempts to prove anything, so the store is called directly as well.
    const digest = codes.digest(alice.id, code, 1)
    const outcome = await winners(50, async (i) =>
      i % 10 === 0
        ? (await factors.checkCode(alice, code, { ip: `192.0.2.${i}`, requestId: 'r' })) === 'recovery'
        : store.factors.consumeRecoveryCode(alice.id, digest ?? ''),
    )
    t.same(outcome, { won: 1, lost: 49 })
  },
)

t.test('a new set invalidates the old one', async (t) => {
  const { factors, alice, store } = await factorsWorld()
  t.teardown(() => store.db.close())
  const [old = ''] = await factors.replaceRecoveryCodes(alice, CONTEXT)
  const [young = ''] = await factors.replaceRecoveryCodes(alice, CONTEXT)
  t.equal(await factors.checkCode(alice, old, CONTEXT), null)
  t.equal(await factors.checkCode(alice, young, CONTEXT), 'recovery')
  t.equal((await factors.summary(alice.id)).recoveryCodes, 9)
})

t.test(
  'guesses are rate limited together with guesses at authenticator codes (RFC 6749 §10.10; docs/security.md P5)',
  async (t) => {
    const { factors, alice, store } = await factorsWorld()
    t.teardown(() => store.db.close())
    const [code = ''] = await factors.replaceRecoveryCodes(alice, CONTEXT)
    for (const guess of ['AAAA-AAAA-AAAA', '000000', 'nonsense', '111111', ''])
      t.equal(await factors.checkCode(alice, guess, CONTEXT), null)
    await t.rejects(factors.checkCode(alice, code, CONTEXT), { name: 'RateLimited' })
    t.equal((await factors.summary(alice.id)).recoveryCodes, 10)
  },
)
