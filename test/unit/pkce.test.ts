import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  CODE_CHALLENGE_METHODS,
  isCodeChallenge,
  isCodeVerifier,
  matchesChallenge,
} from '../../src/oauth/pkce.ts'

/** RFC 7636 Appendix B. */
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const UNRESERVED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'

t.test(
  'the example of RFC 7636 Appendix B verifies, and similar values do not (RFC 7636 §4.6, RFC 7636 §4.1; docs/security.md D50, D54)',
  async (t) => {
    t.ok(isCodeVerifier(VERIFIER) && isCodeChallenge(CHALLENGE))
    t.ok(matchesChallenge(VERIFIER, CHALLENGE))
    for (let i = 0; i < VERIFIER.length; i += 1) {
      const changed = (text: string) => text.slice(0, i) + (text[i] === 'A' ? 'E' : 'A') + text.slice(i + 1)
      t.notOk(matchesChallenge(changed(VERIFIER), CHALLENGE), `verifier at ${i}`)
      t.notOk(matchesChallenge(VERIFIER, changed(CHALLENGE)), `challenge at ${i}`)
    }
    for (const challenge of ['', CHALLENGE.slice(0, -1), `${CHALLENGE}=`, VERIFIER, 'é'.repeat(43)]) {
      t.notOk(matchesChallenge(VERIFIER, challenge), challenge)
    }
    t.notOk(matchesChallenge(CHALLENGE, CHALLENGE), 'the challenge is not its own verifier')
  },
)

t.test('only S256 is supported (docs/security.md D49, D53, P12)', async (t) => {
  t.same(CODE_CHALLENGE_METHODS, ['S256'])
})

t.test(
  'a code_verifier has exactly 43 to 128 unreserved characters (RFC 7636 §4.1; docs/security.md D54, P10)',
  async (t) => {
    const lengths = Array.from({ length: 141 }, (_, length) => length)
    t.same(
      lengths.filter((length) => isCodeVerifier('a'.repeat(length))),
      lengths.filter((length) => length >= 43 && length <= 128),
    )
    const letters = Array.from({ length: 0x250 }, (_, code) => String.fromCharCode(code))
    const allowed = letters.filter((letter) => UNRESERVED.includes(letter))
    t.same(
      letters.filter((letter) => isCodeVerifier(VERIFIER.slice(1) + letter)),
      allowed,
      'at the end',
    )
    t.same(
      letters.filter((letter) => isCodeVerifier(letter + VERIFIER.slice(1))),
      allowed,
      'at the beginning',
    )
    t.notOk(isCodeVerifier(`${VERIFIER}\n`))
  },
)

t.test('every hash is a valid code_challenge, and other values are refused (RFC 7636 §4.2)', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...UNRESERVED), minLength: 43, maxLength: 128 }),
      (verifier) => {
        const challenge = createHash('sha256').update(verifier).digest('base64url')
        return isCodeVerifier(verifier) && isCodeChallenge(challenge) && matchesChallenge(verifier, challenge)
      },
    ),
  )
  fc.assert(
    fc.property(
      fc.string({ minLength: 40, maxLength: 46, unit: fc.constantFrom(...UNRESERVED, '+', '/', '=') }),
      (text) => {
        const bytes = Buffer.from(text, 'base64url')
        return isCodeChallenge(text) === (bytes.length === 32 && bytes.toString('base64url') === text)
      },
    ),
    { numRuns: 2000 },
  )
  const hashes = Array.from({ length: 100 }, () => randomBytes(32).toString('base64url'))
  t.same(
    hashes.filter((hash) => !isCodeChallenge(hash)),
    [],
  )
})
