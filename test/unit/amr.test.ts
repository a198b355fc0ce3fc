import t from 'tap'
import { ACR_VALUES, acrOf, amrOf, type Proof, satisfies } from '../../src/accounts/amr.ts'

const password: Proof = { kind: 'password' }
const totp: Proof = { kind: 'totp' }
const recovery: Proof = { kind: 'recovery' }
const passkey = (userVerified: boolean, backedUp: boolean): Proof => ({
  kind: 'passkey',
  userVerified,
  backedUp,
})

const [PASSWORD, MFA, PHR] = ACR_VALUES

/** The methods used, how tokens state them (RFC 8176 §2), and the level they reach. */
const TABLE: readonly (readonly [string, readonly Proof[], readonly string[], string])[] = [
  ['password', [password], ['pwd'], PASSWORD],
  ['password and app', [password, totp], ['mfa', 'otp', 'pwd'], MFA],
  ['password and recovery code', [password, recovery], ['mfa', 'otp', 'pwd'], MFA],
  ['app and recovery code: two of a kind', [totp, recovery], ['otp'], PASSWORD],
  ['password twice', [password, password], ['pwd'], PASSWORD],
  ['a device’s passkey that verified', [passkey(true, false)], ['hwk', 'mfa', 'user'], PHR],
  ['a synchronised passkey that verified', [passkey(true, true)], ['mfa', 'swk', 'user'], PHR],
  ['password and a key that was touched', [password, passkey(false, false)], ['hwk', 'mfa', 'pwd'], PHR],
  ['password and a passkey', [password, passkey(true, true)], ['mfa', 'pwd', 'swk', 'user'], PHR],
  ['nothing', [], [], PASSWORD],
]

t.test('amr lists the methods used, and acr is the level they reach (RFC 8176 §2)', async (t) => {
  for (const [what, proofs, amr, acr] of TABLE) {
    t.same(amrOf(proofs), amr, what)
    t.same(amrOf([...proofs].reverse()), amr, `${what}, in any order`)
    t.equal(acrOf(amr), acr, what)
  }
})

t.test(
  'a stronger sign-in satisfies a weaker requirement, and no sign-in satisfies an unknown acr',
  async (t) => {
    t.same(ACR_VALUES, ['urn:keyturn:acr:password', 'urn:keyturn:acr:mfa', 'phr'])
    const [pwd, otp, key] = [['pwd'], ['mfa', 'otp', 'pwd'], ['hwk', 'mfa', 'user']]
    const met = (amr: readonly string[]) => ACR_VALUES.filter((acr) => satisfies(amr, acr))
    t.same(met(pwd), [PASSWORD])
    t.same(met(otp), [PASSWORD, MFA])
    t.same(met(key), [PASSWORD, MFA, PHR])
    for (const acr of ['', 'urn:mace:incommon:iap:silver', 'PHR', '0', 'phrh', 'toString'])
      t.equal(satisfies(key, acr), false, acr)
  },
)
