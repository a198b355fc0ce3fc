/** A node that is cut off from PostgreSQL while the other continues (docs/security.md Q6, Q9, Q18). */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { startPostgres } from '../support/postgres/postgres.ts'
import { startProxy } from '../support/postgres/proxy.ts'
import { startCluster } from '../support/processes/cluster.ts'
import { type Owner, signIn } from '../support/processes/data-folder.ts'
import type { ServerProcess } from '../support/processes/process.ts'
import { clientCredentials, kidOf, refresh } from '../support/server/requests.ts'

interface SilentProxy {
  /** The same database through the proxy. */
  readonly url: string
  silence(): void
  /** Delivers what was held back. */
  resume(): void
}

async function startSilentProxy(owner: Owner, url: string): Promise<SilentProxy> {
  const sockets = new Set<Socket>()
  let silent = false
  const proxy = await startProxy(owner, url, (client, server) => {
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket)
      socket.on('data', (chunk) => other.write(chunk))
      socket.on('close', () => sockets.delete(socket))
      if (silent) socket.pause()
    }
  })
  return {
    url: proxy.url,
    silence() {
      silent = true
      for (const socket of sockets) socket.pause()
    },
    resume() {
      silent = false
      for (const socket of sockets) socket.resume()
    },
  }
}

const postgres = await startPostgres(t)

/** How long a node may sign without having polled the store (keys/live-ring), and a tolerance for a busy machine. */
const LEASE_MS = 10_000
const SLACK_MS = 2000

const status = async (node: ServerProcess, url: string) => (await node.inject({ url })).statusCode

t.test(
  'a partitioned node becomes unready, soon stops signing, and recovers by itself (docs/security.md Q6, Q9, Q18)',
  async (t) => {
    const database = await postgres.emptyDatabase()
    const proxy = await startSilentProxy(t, database)
    const cluster = await startCluster(t as Test, {
      database,
      nodes: 0,
      settings: { DATABASE_TIMEOUT: '2s', DATABASE_POOL: '3', REFRESH_GRACE: '60s' },
    })
    const [cut, other] = [
      await cluster.start({ settings: { DATABASE_URL: proxy.url } }),
      await cluster.start(),
    ]
    const tokens = await cluster.withOpened((within) => signIn(within, 2))
    const [token = '', idle = ''] = tokens
    const old = kidOf((await clientCredentials(cut)).json().access_token)

    proxy.silence()
    const cutAt = performance.now()
    const signed: { at: number; kid: string }[] = []
    let late = 0
    const request = async () => {
      const at = performance.now() - cutAt
      const answer = await clientCredentials(cut)
      if (answer.statusCode === 200) signed.push({ at, kid: kidOf(answer.json().access_token) })
      else {
        t.equal(answer.statusCode, 503)
        late += 1
      }
    }
    await request()
    await cluster.json(['keys', 'revoke', old])
    const refused = await refresh(cut, token)
    t.equal(refused.statusCode, 503, refused.body)
    t.equal(refused.json().error, 'temporarily_unavailable')
    t.ok(Number(refused.headers['retry-after']) >= 1)
    const successor = (await refresh(other, token)).json().refresh_token
    t.type(successor, 'string', 'the other node serves the same client')

    while (performance.now() - cutAt < LEASE_MS + SLACK_MS || late === 0) {
      await request()
      await sleep(100)
    }
    t.ok(signed.length > 0, 'for a while machine clients are served without the store')
    t.same(
      signed.filter(({ at }) => at > LEASE_MS + SLACK_MS),
      [],
      'and not with a key that may have been removed',
    )
    t.equal(await status(cut, '/health/ready'), 503)
    t.equal(await status(cut, '/health/live'), 200)
    t.equal(await status(cut, '/.well-known/jwks.json'), 200)
    t.equal(await status(other, '/health/ready'), 200)

    proxy.resume()
    while ((await status(cut, '/health/ready')) !== 200) await sleep(20)
    const keys = createLocalJWKSet((await other.inject({ url: '/.well-known/jwks.json' })).json())
    const machine = (await clientCredentials(cut)).json().access_token
    t.not(kidOf(machine), old)
    await t.resolves(jwtVerify(machine, keys))
    const retry = await refresh(cut, token)
    t.equal(retry.json().refresh_token, successor, 'a retry there gets the same response as here')
    t.equal((await refresh(cut, idle)).statusCode, 200, 'and refused requests consumed nothing')
  },
)
