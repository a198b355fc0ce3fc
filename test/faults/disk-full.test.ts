import { openSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import {
  emptyFolder,
  type Folder,
  integrity,
  readStore,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import {
  limitFileSize,
  smallDisk,
  withoutPrlimit,
  withoutTmpfs,
} from '../support/processes/fault-injection.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { basic, claimsOf, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'

for (const skip of [withoutTmpfs, withoutPrlimit]) if (skip) t.comment(`WARNING: ${skip}`)

/** A seeded folder with a session and one more client, whose tokens live longer than any others. */
async function prepare(folder: Folder): Promise<string> {
  return withOpened(folder, async (opened) => {
    await opened.store.clients.insert(client({ id: 'longer', accessTokenTtl: 7200 }))
    const [token = ''] = await signIn(opened)
    return token
  })
}

const unavailable = (t: Test, answer: LightMyRequestResponse, what: string) => {
  t.equal(answer.statusCode, 503, `${what}: ${answer.body}`)
  t.equal(answer.json().error, 'temporarily_unavailable')
  t.ok(Number(answer.headers['retry-after']) >= 1)
  t.notMatch(answer.body, /disk|sqlite|space|\/|keyturn\.db/i, 'and not more than that')
}

/** What must hold while nothing can be written, and after writing works again. */
async function scenario(
  t: Test,
  folder: Folder,
  server: ServerProcess,
  { fill, free }: { fill: () => void; free: () => void },
  first: string,
): Promise<void> {
  const issued: string[] = []
  const keep = (answer: LightMyRequestResponse) => {
    if (answer.statusCode === 200) issued.push(answer.json().access_token)
    return answer
  }
  const ready = async () => (await server.inject({ url: '/health/ready' })).statusCode
  keep(await clientCredentials(server))
  let token: string = keep(await refresh(server, first)).json().refresh_token
  t.equal(await ready(), 200)

  fill()
  let answer = keep(await refresh(server, token))
  // The write-ahead log may have free space from before.
  for (let i = 0; i < 100 && answer.statusCode === 200; i += 1) {
    token = answer.json().refresh_token
    answer = keep(await refresh(server, token))
  }
  unavailable(t, answer, 'a refresh')
  unavailable(t, keep(await login(server)), 'a login')
  unavailable(
    t,
    keep(await clientCredentials(server, {}, 'longer')),
    'a token whose expiry cannot be recorded',
  )
  const revocation = await post(server, '/oauth2/revoke', { token }, { authorization: basic('app') })
  unavailable(t, revocation, 'a revocation')
  t.equal(await ready(), 503, 'the node reports itself unready')

  t.equal(keep(await clientCredentials(server)).statusCode, 200, 'a token that needs no write is issued')
  for (const url of [
    '/.well-known/jwks.json',
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/health/live',
  ]) {
    t.equal((await server.inject({ url })).statusCode, 200, url)
  }

  free()
  while ((await ready()) !== 200) await wait(20)
  const successor = keep(await refresh(server, token))
  t.equal(successor.statusCode, 200, 'failed requests did not consume the refresh token')
  t.equal(keep(await login(server)).statusCode, 200)
  t.equal(keep(await clientCredentials(server, {}, 'longer')).statusCode, 200)
  t.same(await server.stop(), { code: 0, signal: null })

  t.equal(integrity(folder), 'ok')
  const ring = await readStore(folder, (store) => store.ring.read())
  const noted = ring?.keys.find(({ state }) => state === 'active')?.tokensUntil ?? 0
  t.ok(
    issued.every((one) => Number(claimsOf(one).exp) <= noted),
    'no token was issued that the store does not know',
  )
}

t.test(
  'a full disk refuses writes only, and the server recovers by itself (docs/security.md Q3)',
  {
    skip: withoutTmpfs,
  },
  async (t) => {
    const folder = emptyFolder(t)
    const disk = smallDisk(t, dirname(folder.database), 2_000_000)
    await withOpened(folder, ({ store }) => seed(store))
    const token = await prepare(folder)
    // The log is on the same disk.
    const log = join(disk.path, 'log')
    const server = await startServer(t, folder, { log: openSync(log, 'a') })
    await scenario(t as Test, folder, server, { fill: () => disk.fill(), free: disk.free }, token)
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
    t.match(JSON.parse(lines.at(-1) ?? ''), { msg: 'stopped' }, 'the log continues')
  },
)

t.test(
  'writes that fail for any other reason are handled in the same way (EFBIG for EIO; docs/security.md Q4)',
  {
    skip: withoutPrlimit,
  },
  async (t) => {
    const folder = await seededFolder(t)
    const token = await prepare(folder)
    const server = await startServer(t, folder)
    const limit = (bytes?: number) => () => limitFileSize(server.pid, bytes)
    await scenario(t as Test, folder, server, { fill: limit(0), free: limit() }, token)
  },
)

t.test(
  'a first start without disk space is refused, and completed once there is space (docs/security.md Q3, Q11)',
  {
    skip: withoutTmpfs,
  },
  async (t) => {
    const folder = emptyFolder(t)
    const disk = smallDisk(t, dirname(folder.database), 2_000_000)
    // From no space at all to space for part of the schema: the migration ends in the middle.
    for (const room of [0, 4096, 12_288, 40_960, 81_920]) {
      disk.fill(room)
      const { code, stderr } = await keyturn(folder, ['serve', '--json'])
      t.equal(code, 1, `${room} bytes`)
      t.match(stderr, /^keyturn: [^\n]*(full|no space|I\/O)[^\n]*\n$/i, 'one line')
      disk.free()
      const left = readdirSync(disk.path).filter((name) => name.includes('.new'))
      t.same(left, [], 'no temporary file is left')
    }
    const server = await startServer(t, folder)
    t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)
    // The server may be writing the record at this moment.
    const names = readdirSync(dirname(folder.masterKey)).filter((name) => !name.includes('.new-'))
    t.same(names.sort(), ['master.key', 'store.json'])
  },
)
