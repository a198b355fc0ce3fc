/** The issuer is down, hangs, or was never reachable: cached keys stay in use. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { VerifyError } from '../../packages/verify/index.ts'
import { keysFile } from '../../packages/verify/keys-file.ts'
import {
  AUDIENCE,
  type FakeIssuer,
  fakeIssuer,
  fetchWithTimeouts,
  JWKS,
  METADATA,
  signingKey,
  verdict,
} from '../support/issuers/fake-issuer.ts'
import { isPending, turns, until } from '../support/server/waiting.ts'

/** Accepts connections and never responds. */
const hang = (issuer: FakeIssuer, path = JWKS) => issuer.routes.set(path, () => {})

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'keyturn-verify-'))
  t.teardown(() => rmSync(made, { recursive: true }))
  return made
}

t.test(
  'while the issuer is down for a day, valid tokens pass until they expire, and later new keys are found',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const verifier = issuer.verifier()
    const first = await issuer.token()
    t.equal(await verdict(verifier, first), 'accepted')
    await issuer.stop()
    await t.rejects(fetch(issuer.origin), 'the issuer is really down')

    t.equal(await verdict(verifier, first), 'accepted')
    for (let hour = 1; hour <= 24; hour += 1) {
      issuer.time.tick(3600)
      t.equal(await verdict(verifier, await issuer.token()), 'accepted', `after ${hour} h`)
      t.equal(await verdict(verifier, first), 'expired')
    }
    t.equal(await verdict(verifier, await issuer.token({}, {}, await signingKey('key-1'))), 'bad_signature')
    t.equal(await verdict(verifier, await issuer.token({}, { kid: 'made-up' })), 'keys_unavailable')

    const second = await signingKey('second')
    issuer.keys = [second.jwk]
    await issuer.start()
    issuer.time.tick(5)
    t.equal(await verdict(verifier, await issuer.token({}, {}, second)), 'accepted')
    t.equal(await verdict(verifier, await issuer.token()), 'unknown_key', 'a key that was removed meanwhile')
  },
)

t.test('an issuer that answers with errors is handled like one that is down', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  for (const status of [204, 404, 429, 500, 503]) {
    issuer.routes.set(JWKS, (_, response) => response.writeHead(status).end())
    issuer.time.tick(400)
    t.equal(await verdict(verifier, await issuer.token()), 'accepted', `${status}`)
  }
})

t.test('an issuer that is down is tried again every five seconds, not on each request', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  issuer.routes.set(JWKS, (_, response) => response.writeHead(503).end())
  issuer.time.tick(400)
  for (let i = 0; i < 20; i += 1) {
    t.equal(await verdict(verifier, await issuer.token({ jti: `${i}` })), 'accepted')
    if (i === 9) issuer.time.tick(5)
  }
  await until(() => issuer.count() === 3)
  await turns()
  t.equal(issuer.count(), 3)
})

t.test(
  'only the first request waits for a server that hangs, and the others use the cached keys',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const { fetch, timeOut } = fetchWithTimeouts()
    const verifier = issuer.verifier({ fetch })
    t.equal(await verdict(verifier, await issuer.token()), 'accepted')
    hang(issuer)
    issuer.time.tick(150)
    t.equal(await verdict(verifier, await issuer.token()), 'accepted', 'refreshed in the background')
    await until(() => issuer.count() === 2)
    timeOut()

    const cold = issuer.verifier({ fetch })
    issuer.routes.clear()
    t.equal(await verdict(cold, await issuer.token()), 'accepted')
    hang(issuer)
    issuer.time.tick(300)
    const first = verdict(cold, await issuer.token())
    await until(() => issuer.count() === 4)
    t.ok(await isPending(first), 'expired keys are not used without a fetch')
    timeOut()
    t.equal(await first, 'accepted')
    // The server hangs during all of these.
    for (let i = 0; i < 5; i += 1) {
      issuer.time.tick(60)
      t.equal(await verdict(cold, await issuer.token()), 'accepted', `later ones (${i})`)
      await until(() => issuer.count() === 5 + i)
      t.equal(await verdict(cold, await issuer.token({}, { kid: 'new' })), 'keys_unavailable')
      timeOut()
      await turns()
    }
  },
)

t.test(
  'at a start while the issuer hangs, the first request waits, the others are refused at once, and later all pass',
  async (t) => {
    const starting = async (path: string) => {
      const issuer = await fakeIssuer(t)
      const { fetch, timeOut } = fetchWithTimeouts()
      const verifier = issuer.verifier({ fetch })
      hang(issuer, path)
      const first = verdict(verifier, await issuer.token())
      await until(() => issuer.count(path) === 1)
      t.ok(await isPending(first), path)
      timeOut()
      t.equal(await first, 'keys_unavailable')
      t.equal(await verdict(verifier, await issuer.token()), 'keys_unavailable', path)
      issuer.routes.clear()
      timeOut()
      issuer.time.tick(5)
      // The next attempt runs in the background after a cool-down.
      const token = await issuer.token()
      await until(async () => (await verdict(verifier, token)) !== 'keys_unavailable')
      t.equal(await verdict(verifier, token), 'accepted', path)
    }
    await Promise.all([starting(JWKS), starting(METADATA)])
  },
)

t.test('a server that hangs is waited for as long as the option says', async (t) => {
  for (const path of [JWKS, METADATA]) {
    const issuer = await fakeIssuer(t)
    hang(issuer, path)
    const error = await issuer
      .verifier({ timeoutMs: 20 })
      .ready()
      .catch((thrown: unknown) => thrown)
    t.match(error, { code: 'keys_unavailable', cause: { name: 'TimeoutError' } }, path)
  }
})

t.test(
  'at a start while the issuer is down, requests get 503, and they pass as soon as the issuer is up',
  async (t) => {
    const issuer = await fakeIssuer(t)
    await issuer.stop()
    const verifier = issuer.verifier()
    t.equal(await verdict(verifier, await issuer.token()), 'keys_unavailable')
    await t.rejects(verifier.ready(), { code: 'keys_unavailable' })
    await issuer.start()
    issuer.time.tick(1)
    t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  },
)

t.test('an error keeps its cause for the log', async (t) => {
  const issuer = await fakeIssuer(t)
  issuer.routes.set(JWKS, (_, response) => response.writeHead(500).end())
  const error = await issuer
    .verifier()
    .ready()
    .catch((thrown: unknown) => thrown)
  t.ok(error instanceof VerifyError)
  t.match((error as VerifyError).cause, { message: /jwks\.json answered 500/ })
})

t.test('with a keys file the service starts without the issuer', async (t) => {
  const issuer = await fakeIssuer(t)
  const file = join(folder(t), 'keys.json')
  const before = issuer.verifier({ keysFile: file })
  await before.ready()
  await until(() => existsSync(file))
  t.same(JSON.parse(readFileSync(file, 'utf8')), { keys: [issuer.key.jwk], issuer: issuer.issuer })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.same(readdirSync(join(file, '..')), ['keys.json'], 'no temporary files are left')

  await issuer.stop()
  const cold = issuer.verifier({ keysFile: file })
  await cold.ready()
  t.equal(await verdict(cold, await issuer.token()), 'accepted')
  t.equal(await verdict(cold, await issuer.token({}, { kid: 'new' })), 'keys_unavailable')
})

t.test('while the issuer is reachable, its keys are used and not those of the file', async (t) => {
  const issuer = await fakeIssuer(t)
  const file = join(folder(t), 'keys.json')
  const old = await signingKey('old')
  writeFileSync(file, JSON.stringify({ keys: [old.jwk] }))
  const verifier = issuer.verifier({ keysFile: file })
  t.equal(await verdict(verifier, await issuer.token({}, {}, old)), 'unknown_key')
  await until(() => isDeepStrictEqual(JSON.parse(readFileSync(file, 'utf8')).keys, [issuer.key.jwk]))
  t.pass('and they replace those in the file')
})

t.test(
  'a keys file that an operator wrote is used; one of another issuer or with garbage is not',
  async (t) => {
    const issuer = await fakeIssuer(t)
    await issuer.stop()
    const file = join(folder(t), 'keys.json')
    const start = async (content: string) => {
      writeFileSync(file, content)
      return verdict(issuer.verifier({ keysFile: file }), await issuer.token())
    }
    const keys = [issuer.key.jwk]
    t.equal(await start(JSON.stringify({ keys })), 'accepted')
    t.equal(await start(JSON.stringify({ keys, issuer: issuer.issuer })), 'accepted')
    t.equal(await start(JSON.stringify({ keys, issuer: 'https://elsewhere.example' })), 'keys_unavailable')
    for (const garbage of ['', '{', 'null', '5', '[]', '{}', '{"keys":5}', '{"keys":[]}']) {
      t.equal(await start(garbage), 'keys_unavailable', garbage)
    }
  },
)

t.test('a keys file that cannot be read or written does no harm', async (t) => {
  const issuer = await fakeIssuer(t)
  const place = folder(t)
  for (const file of [join(place, 'no', 'such', 'folder'), place]) {
    t.equal(await verdict(issuer.verifier({ keysFile: file }), await issuer.token()), 'accepted')
    await t.resolves(keysFile(file, issuer.issuer).write({ keys: issuer.keys }))
  }
  t.same(readdirSync(place), [])
  // Those of the verifiers above may still be about to be removed.
  const drafts = () => readdirSync(join(place, '..')).filter((name) => name.startsWith(`${basename(place)}.`))
  await until(() => drafts().length === 0)
  t.pass('no temporary files are left')
})

t.test('audience and issuer are checked while the issuer is down', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  await verifier.ready()
  await issuer.stop()
  issuer.time.tick(86_400)
  t.equal(await verdict(verifier, await issuer.token({ aud: `${AUDIENCE}/other` })), 'wrong_audience')
  t.equal(await verdict(verifier, await issuer.token({ iss: 'https://elsewhere.example' })), 'wrong_issuer')
})
