/**
 * Runs commands on both implementations of the administration. By default the tests of commands run on the local one. A file in
 * test/cli/remote/ runs a whole file of test/cli/ again on the remote one: each command of a group in REMOTE then gets `--server`,
 * and a server on the same store, with the same clock and log, answers its requests. The other commands, and what tests do with the
 * store themselves, stay local.
 *
 * To move a group here when its verbs are in src/admin/ and in its HTTP API:
 *   1. add its name to REMOTE below;
 *   2. add test/cli/remote/<group>.test.ts, like two-administrators.test.ts there;
 *   3. run it: `tap run test/cli/remote/<group>.test.ts`. `npm test` leaves these files out, except one (see .taprc).
 * A test of something that only the local implementation has asks `cli.remote`.
 *
 * Only the access token is not a real one, because the client that it belongs to would be in every list: the server accepts a token
 * for all scopes, and records the same actor as a local command. test/cli/login.test.ts has the real tokens.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import t from 'tap'
import { ADMIN_SCOPES, adminAudience, ensureBuiltIns } from '../../../src/admin/built-ins.ts'
import { sessionFile } from '../../../src/cli/remote/session-file.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { createApp } from '../../../src/http/app.ts'
import { openKeys } from '../../../src/keys/index.ts'
import { openBase } from '../../../src/node/base.ts'
import { openServer, type Server } from '../../../src/node/server.ts'
import { cachedKeys } from '../server/cached-keys.ts'
import { serverFetch } from '../server/server-fetch.ts'
import type { Cli } from './cli.ts'

/** The groups of commands that work on a remote server, as the first argument names them. */
const REMOTE: readonly string[] = [
  'clients',
  'apis',
  'roles',
  'users',
  'sessions',
  'keys',
  'verifiers',
  'nodes',
  'audit',
  'apply',
  'dump',
]
/** Commands of these groups that work on files of the host. */
const LOCAL: readonly string[] = ['audit accept']

let remote = false
let count = 0

/** Whether commands of this process run on the remote implementation if they can. */
export const remotely = (): boolean => remote

/** Runs all tests of a file on the remote implementation. */
export async function runRemotely(load: () => Promise<unknown>): Promise<void> {
  remote = true
  await load()
  t.test('commands of these tests have run on the remote implementation', async (t) => {
    t.ok(count > 0)
  })
}

export const isRemote = ([group = '', verb = '']: readonly string[]): boolean =>
  remote && REMOTE.includes(group) && !LOCAL.includes(`${group} ${verb}`)

/** What a remote command needs to reach the server. */
export interface Reach {
  readonly args: readonly string[]
  readonly env: Record<string, string>
  readonly fetch: typeof fetch
  /** Records what the server has done, as a running server does within a second. */
  settle(): Promise<void>
}

/** Servers on the store of a command line, one for each combination of settings. */
export function remoteServers({ dir, clock, logger }: Pick<Cli, 'dir' | 'clock' | 'logger'>) {
  const servers = new Map<string, Promise<{ deps: Server; app: FastifyInstance }>>()

  async function start(env: Record<string, string>) {
    const config = loadConfig({ KEYTURN_LOG_LEVEL: 'info', ...env }, dir)
    const system = { clock, logger, generateKey: cachedKeys }
    const base = await openBase(config, system, 'create')
    await ensureBuiltIns(base)
    const deps = await openServer(base, await openKeys(base), system)
    const scopes = Object.keys(ADMIN_SCOPES)
    const verifyAccessToken = async () =>
      ({
        claims: { aud: adminAudience(config.issuer) },
        client: { id: 'tester' },
        rights: { scopes },
      }) as never
    const openAdmin = async () => {
      const open = await deps.openAdmin()
      return (actor: Parameters<typeof open>[0]) => open({ ...actor, name: 'operator:tester' })
    }
    const server = { ...deps, openAdmin, oauth: { ...deps.oauth, verifyAccessToken } }
    const app = await createApp({ server, logger: logger as unknown as FastifyBaseLogger })
    await app.ready()
    return { deps, app }
  }

  return {
    async reach(args: readonly string[], env: Record<string, string>): Promise<Reach> {
      count += 1
      // The settings of the command are those of the server: a remote command reads none.
      const id = JSON.stringify(env)
      const started = servers.get(id) ?? start(env)
      servers.set(id, started)
      const { deps, app } = await started
      await deps.jobs.poll()
      const { issuer } = deps.base.config
      const own = { XDG_CONFIG_HOME: join(dir, '.config') }
      const session = sessionFile(own, issuer)
      const stored = { issuer, client_id: 'tester', access_token: 'all-scopes', expires_at: 2 ** 40 }
      if (!existsSync(session.path)) await session.write(stored)
      return {
        // First, because arguments may end with `--` and names.
        args: ['--server', issuer, ...args],
        env: own,
        fetch: serverFetch({ inject: (options) => app.inject(options) }),
        settle: async () => {
          await deps.base.auditLog.flush('all')
        },
      }
    },
    async close() {
      for (const started of servers.values()) {
        const { deps, app } = await started
        await app.close()
        await deps.jobs.stop()
        await deps.base.store.db.close()
      }
    },
  }
}
