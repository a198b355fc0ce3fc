/** A thief has a copy of the database, taken while the server ran, but not the master key. */
import { createHash, createHmac, createPrivateKey, randomBytes } from 'node:crypto'
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CompactSign, createLocalJWKSet, decodeProtectedHeader, generateKeyPair, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { decryptDataKey } from '../../src/keys/data-keys.ts'
import { deriveKey } from '../../src/keys/encryption.ts'
import { openKeys } from '../../src/keys/index.ts'
import { masterKeyId } from '../../src/keys/master-keys.ts'
import { rotateRing } from '../../src/keys/rotate.ts'
import { openBase } from '../../src/node/base.ts'
import type { Ring } from '../../src/store/contracts/ring.ts'
import { createStore, openDb, type Store } from '../../src/store/index.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { dataKeysOf, masterKeysOf } from '../support/server/keys.ts'
import { testLogger } from '../support/server/log.ts'
import {
  basic,
  claimsOf,
  clientCredentials,
  login,
  refresh,
  tokenRequest,
} from '../support/server/requests.ts'
import { client, PASSWORD, SECRET, seed } from '../support/server/seed.ts'
import { ISSUER, testConfig, testServer } from '../support/server/server.ts'
import { introspect, revoke } from '../support/server/tokens.ts'

const USER_SUPPLIED = 'Chosen-Secret-of-a-migrated-client'
const VISITOR = '203.0.113.77'

/** A server with something of every kind in its database, and a copy of that database with its log. */
async function copiedDatabase(t: Pick<Test, 'testdir' | 'teardown'>) {
  const folder = t.testdir({ server: {}, thief: {} })
  const masterKey = randomBytes(32)
  const database = join(folder, 'server', 'keyturn.db')
  const server = await testServer({
    database,
    masterKey: masterKey.toString('base64url'),
    settings: { TRUST_PROXY: 'on' },
  })
  t.teardown(() => server.close())
  await seed(server.store)
  const chosen = { id: 'migrated', secretHash: await hashPassword(USER_SUPPLIED) }
  await server.store.clients.insert(client({ ...chosen, grants: ['client_credentials'] }))

  const [stored] = await server.store.dataKeys.list()
  if (!stored) throw new Error('there is no data key')
  const dataKey = decryptDataKey(server.deps.keys.masterKeys, stored)
  const secrets: Record<string, string | Buffer> = {
    'the generated secret': SECRET,
    'the generated secret, without its prefix': SECRET.slice(5, 48),
    'the user-supplied secret': USER_SUPPLIED,
    'the password': PASSWORD,
    'the master key': masterKey,
    'the key of private keys': deriveKey(masterKey, 'keyturn/private-keys/v1').export(),
    'the key of data keys': deriveKey(masterKey, 'keyturn/data-keys/v1').export(),
    'the data key': dataKey,
    'the MAC key': deriveKey(dataKey, 'keyturn/refresh-tokens/v1').export(),
    'the address of a visitor': VISITOR,
  }
  const addToken = (name: string, token: string) => {
    secrets[name] = token
    secrets[`${name}, its last part`] = token.split('.').at(-1) ?? ''
  }

  await tokenRequest(server, { grant_type: 'client_credentials' })
  await server.inject({
    method: 'POST',
    url: '/oauth2/token',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: basic('migrated', USER_SUPPLIED),
      'x-forwarded-for': VISITOR,
    },
    payload: 'grant_type=client_credentials',
  })
  await login(server, { password: 'a wrong password' })
  const first = (await login(server)).json()
  const second = (await refresh(server, first.refresh_token)).json()
  const { access_token: machine } = (await clientCredentials(server)).json()
  await revoke(server, machine, 'machine')
  for (const [name, token] of [
    ['the first refresh token', first.refresh_token],
    ['the second refresh token', second.refresh_token],
    ['an access token', second.access_token],
    ['a revoked access token', machine],
  ]) {
    addToken(name, token)
  }

  const { privateKeys } = masterKeysOf(masterKey)
  const before = (await server.store.ring.read()) as Ring
  await rotateRing(server.deps.keys, { actor: 'me' })
  const after = (await server.store.ring.read()) as Ring
  for (const key of [...before.keys, ...after.keys]) {
    if (key.encryptedPrivateKey === null) continue
    const pem = privateKeys.decrypt(key.kid, key.encryptedPrivateKey)
    for (const [part, value] of Object.entries(privateParts(pem))) {
      secrets[`${part} of ${key.kid}`] = value
    }
  }
  cpSync(join(folder, 'server'), join(folder, 'thief'), { recursive: true })
  const files = readdirSync(join(folder, 'thief')).filter((name) => !name.endsWith('-shm'))
  const bytes = Buffer.concat(files.map((name) => readFileSync(join(folder, 'thief', name))))
  return {
    server,
    folder,
    masterKey,
    secrets,
    files,
    bytes,
    refreshToken: second.refresh_token as string,
    before,
  }
}

/** Once for all of the tests below: making keys and hashing passwords is most of the time. */
const { server, folder, masterKey, secrets, files, bytes, refreshToken, before } = await copiedDatabase(t)

/** The copied database, opened with the program itself. */
async function thief(t: Test): Promise<{ store: Store; ring: Ring }> {
  const store = createStore(openDb(`sqlite:${join(folder, 'thief', 'keyturn.db')}`))
  t.teardown(() => store.db.close())
  return { store, ring: (await store.ring.read()) as Ring }
}

t.test(
  'a stolen database contains no secret, password, token or private key in any common encoding',
  async (t) => {
    t.same(files, ['keyturn.db', 'keyturn.db-wal'])
    t.ok(bytes.length > 100_000)
    t.ok(Object.keys(secrets).length > 100, `${Object.keys(secrets).length} secrets were searched for`)
    t.same(leaked(bytes, secrets), [])
    t.same(leaked(bytes, { 'PRIVATE KEY': 'PRIVATE KEY', 'a private member': '"d":' }), [])
  },
)

t.test('the search for secrets finds the values that are stored in plain text', async (t) => {
  const there = {
    'a user name': 'alice',
    'a hash': createHash('sha256').update(SECRET).digest('base64url'),
    'an argon2 string': '$argon2id$v=19$',
    'a public member': '"e":"AQAB"',
  }
  t.same(leaked(bytes, there), Object.keys(there))
})

t.test('without the master key the database cannot be decrypted or taken over', async (t) => {
  const config = (masterKey: Buffer) =>
    testConfig({
      DATABASE_URL: `sqlite:${join(folder, 'thief', 'keyturn.db')}`,
      MASTER_KEY: masterKey.toString('base64url'),
    })
  const base = await openBase(config(randomBytes(32)), { logger: testLogger() }, 'create')
  t.teardown(() => base.store.db.close())
  await t.rejects(openKeys(base), { name: 'DecryptionError' })
  t.equal((await base.store.ring.read())?.version, before.version + 1, 'nothing was changed by trying')
})

t.test('no signing key can be derived from the stored data', async (t) => {
  const { ring } = await thief(t as Test)
  const encrypted = ring.keys.filter((key) => key.encryptedPrivateKey !== null)
  t.equal(encrypted.length, 2)
  const known = ring.keys.flatMap((key) => [
    key.kid,
    key.encryptedPrivateKey ?? '',
    JSON.stringify(key.publicJwk),
  ])
  const guesses = [Buffer.alloc(32), ...known.map((text) => createHash('sha256').update(text).digest())]
  for (const { kid, encryptedPrivateKey } of encrypted) {
    for (const guess of guesses) {
      // With the id of the right master key, so that the guess is really tried.
      const masterKeys = masterKeysOf(guess)
      const text = (encryptedPrivateKey ?? '').replace(masterKeyId(masterKey), masterKeyId(guess))
      t.throws(() => masterKeys.privateKeys.decrypt(kid, text), { name: 'DecryptionError' })
    }
  }

  const { privateKey } = await generateKeyPair('RS256')
  const genuine = (await clientCredentials(server)).json().access_token
  const { kid } = decodeProtectedHeader(genuine)
  const claims = Buffer.from(JSON.stringify(claimsOf(genuine)))
  const forged = await new CompactSign(claims)
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: kid ?? '' })
    .sign(privateKey)
  const jwks = createLocalJWKSet((await server.inject({ url: '/.well-known/jwks.json' })).json())
  await t.resolves(jwtVerify(genuine, jwks, { issuer: ISSUER }))
  await t.rejects(jwtVerify(forged, jwks, { issuer: ISSUER }), {
    code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
  })
  t.same((await introspect(server, forged, 'machine')).json(), { active: false })
})

t.test('no refresh token can be forged with another key or from the stored data', async (t) => {
  const { store, ring } = await thief(t as Test)
  const [session] = await store.clientSessions.list({}, 10)
  const parts = { clientSessionId: session?.id ?? '', generation: session?.generation ?? 0 }
  t.equal(refreshToken.split('.').slice(0, 4).join('.'), `ktr.1.${parts.clientSessionId}.${parts.generation}`)

  const keys = [
    Buffer.alloc(32),
    randomBytes(32),
    Buffer.from(parts.clientSessionId),
    Buffer.from(ring.keys[0]?.kid ?? ''),
  ]
  const plain = `1.${parts.clientSessionId}.${parts.generation}`
  const macs = [
    ...keys.map((key) => createRefreshTokenCodec(dataKeysOf(key)).write(parts).split('.')[4]),
    ...keys.map((key) => createHmac('sha256', key).update(plain).digest('base64url')),
    createHash('sha256').update(plain).digest('base64url'),
    'A'.repeat(43),
    '',
  ]
  for (const mac of macs) {
    const answer = await refresh(server, `ktr.${plain}.${mac}`)
    t.equal(answer.statusCode, 400)
    t.match(answer.json(), { error: 'invalid_grant' })
  }
  t.equal((await refresh(server, refreshToken)).statusCode, 200, 'and its owner’s session continues')
})

t.test('a stored hash of a client or user is not accepted as a credential', async (t) => {
  const { store } = await thief(t as Test)
  for (const id of ['machine', 'migrated']) {
    const hash = (await store.clients.find(id))?.secrets[0]?.hash ?? ''
    for (const secret of [hash, hash.replace(/^sha256:/, '')]) {
      const authorization = basic(id, secret)
      const answer = await server.inject({
        method: 'POST',
        url: '/oauth2/token',
        headers: { 'content-type': 'application/x-www-form-urlencoded', authorization },
        payload: 'grant_type=client_credentials',
      })
      t.equal(answer.statusCode, 401)
    }
  }
  const alice = await store.users.findByUsername('alice')
  t.equal((await login(server, { password: alice?.passwordHash ?? '' })).statusCode, 400)
})

t.test(
  'the private key of a key that stopped signing is deleted from the file, even in encrypted form',
  async (t) => {
    const erased = before.keys.find((key) => key.state === 'active')?.encryptedPrivateKey ?? ''
    t.ok(erased.length > 1000)
    await server.close()
    const file = join(folder, 'server', 'keyturn.db')
    t.same(readdirSync(join(folder, 'server')), ['keyturn.db'])
    t.notOk(readFileSync(file).includes(erased.slice(0, 100)))
    t.notOk(readFileSync(file).includes(erased.slice(-100)))
  },
)

/** The forms in which a secret might be stored: its plain bytes and common encodings. */
function spellings(secret: string | Buffer): Buffer[] {
  const bytes = Buffer.from(secret as Buffer)
  const encodings = ['base64', 'base64url', 'hex'] as const
  const texts = encodings.map((encoding) => bytes.toString(encoding).replace(/=+$/, ''))
  const wide = typeof secret === 'string' ? [Buffer.from(secret, 'utf16le')] : []
  return [bytes, ...texts.map((text) => Buffer.from(text)), ...wide]
}

/** The names of the secrets that occur in the raw bytes in any form, as `strings` or a hex editor would find them. */
function leaked(haystack: Buffer, secrets: Readonly<Record<string, string | Buffer>>): string[] {
  return Object.entries(secrets)
    .filter(([, secret]) => spellings(secret).some((spelling) => haystack.includes(spelling)))
    .map(([name]) => name)
}

/** The secret parts of a private key: each line of its PEM, and each private member of its JWK as text and as bytes. */
function privateParts(pem: string): Record<string, string | Buffer> {
  const parts: Record<string, string | Buffer> = {}
  for (const [i, line] of pem.trim().split('\n').entries()) parts[`PEM line ${i}`] = line
  const jwk = createPrivateKey(pem).export({ format: 'jwk' }) as Record<string, string>
  for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
    const value = jwk[member]
    if (value === undefined) continue
    parts[`JWK ${member}`] = value
    parts[`JWK ${member}, bytes`] = Buffer.from(value, 'base64url')
  }
  return parts
}
