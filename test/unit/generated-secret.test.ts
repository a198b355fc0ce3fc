import t from 'tap'
import { generateSecret, hashGeneratedSecret, isGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { systemRandom } from '../../src/system.ts'

const secrets = Array.from({ length: 10_000 }, () => generateSecret(systemRandom))

t.test(
  'a generated secret has 256 random bits and a fixed prefix (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    t.equal(new Set(secrets).size, secrets.length, 'no two are the same')
    t.ok(secrets.every((secret) => /^ktcs_[A-Za-z0-9_-]{49}$/.test(secret)))
    // 42 characters of 6 bits and one of 4; a constant character would make it fewer.
    for (let at = 5; at < 47; at += 1)
      t.equal(new Set(secrets.map((secret) => secret[at])).size, 64, `character ${at}`)
    t.equal(new Set(secrets.map((secret) => secret[47])).size, 16)
  },
)

t.test('a secret scanner recognises a generated secret by its prefix and checksum', async (t) => {
  t.ok(secrets.every(isGeneratedSecret))
  const [secret = ''] = secrets
  for (let at = 0; at < secret.length; at += 1) {
    const typo = `${secret.slice(0, at)}${secret[at] === 'A' ? 'B' : 'A'}${secret.slice(at + 1)}`
    t.notOk(isGeneratedSecret(typo), `character ${at} is changed`)
  }
  for (const other of [
    '',
    'ktcs_',
    secret.slice(0, -1),
    `${secret}A`,
    secret.slice(5),
    secret.toLowerCase(),
  ]) {
    t.notOk(isGeneratedSecret(other), other)
  }
})

t.test('the stored hash does not reveal the secret and is deterministic', async (t) => {
  const [secret = ''] = secrets
  t.match(hashGeneratedSecret(secret), /^sha256:[\w-]{43}$/)
  t.equal(hashGeneratedSecret(secret), hashGeneratedSecret(secret))
  t.equal(new Set(secrets.slice(0, 100).map(hashGeneratedSecret)).size, 100)
  t.notMatch(hashGeneratedSecret(secret), secret.slice(5, 20))
})
