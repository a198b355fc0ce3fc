/** Keyturn as in production: `keyturn serve` with its defaults, SQLite on disk, the log in a file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { hashPassword } from '../../src/accounts/password.ts'
import { EMPTY_PROFILE } from '../../src/accounts/profile.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type Keys, openKeys } from '../../src/keys/index.ts'
import { createLogger } from '../../src/log/logger.ts'
import { type Base, openBase } from '../../src/node/base.ts'
import { generateSecret, hashGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { newClient } from '../../src/oauth/client-registration/client-defaults.ts'
import type { Store } from '../../src/store/index.ts'
import { type EpochSeconds, systemRandom } from '../../src/system.ts'
import {
  API,
  basic,
  CALLBACK,
  CLIENT_ID,
  PASSWORD,
  ROLE,
  RSA_BITS,
  rejectOnExit,
  SCOPE,
  type Subject,
  stop,
  USER_COUNT,
} from '../subject.ts'
import { cpuSeconds } from '../usage.ts'

export interface KeyturnOptions {
  /** Added to the settings for the port, the database and the keys folder. */
  readonly settings?: Readonly<Record<string, string>>
  /** Stores more data before the server starts. */
  readonly fill?: (base: Base, keys: Keys) => Promise<void>
  /** Milliseconds by which each flush to disk is longer. Absent: the program is started as in production. */
  readonly flushDelay?: number
}

/** @param root the checkout to run, so that two versions can be compared */
export async function startKeyturn(
  name: string,
  root: string,
  folder: string,
  options: KeyturnOptions = {},
): Promise<Subject> {
  mkdirSync(folder)
  const secret = generateSecret(systemRandom)
  const settings = {
    KEYTURN_PORT: '0',
    KEYTURN_DATABASE_URL: `sqlite:${join(folder, 'keyturn.db')}`,
    KEYTURN_KEYS_DIR: join(folder, 'keys'),
    ...options.settings,
  }
  await seed(settings, folder, secret, options.fill)
  const { child, issuer, base } = await serve(name, root, folder, settings, options.flushDelay)
  const tokenUrl = `${base}/oauth2/token`
  return {
    name,
    description:
      'keyturn serve: SQLite on disk (WAL, synchronous=FULL), audit line for each token, log to a file',
    issuer,
    tokenUrl,
    authorizeUrl: `${base}/oauth2/authorize`,
    jwksUrl: `${base}/.well-known/jwks.json`,
    secret,
    pid: child.pid as number,
    refreshTokens: (count) => passwordSignIns(tokenUrl, secret, count),
    stop: () => stop(child),
  }
}

interface Serving {
  readonly child: ChildProcess
  readonly issuer: string
  /** Base URL with an IP address, because resolving `localhost` would slow down each connection. */
  readonly base: string
}

/** Starts a server on an existing store, and waits until it is listening. */
export async function serve(
  name: string,
  root: string,
  folder: string,
  settings: Readonly<Record<string, string>>,
  flushDelay?: number,
): Promise<Serving> {
  const log = openSync(join(folder, 'keyturn.log'), 'a')
  const inherited = Object.entries(process.env).filter(([variable]) => !variable.startsWith('KEYTURN_'))
  const entry = flushDelay === undefined ? 'src/keyturn.js' : 'bench/servers/slow-disk.ts'
  const child = spawn(process.execPath, [join(root, entry), 'serve', '--json'], {
    // A folder without a .env file.
    cwd: folder,
    stdio: ['ignore', 'pipe', log],
    env: {
      ...Object.fromEntries(inherited),
      ...settings,
      NODE_ENV: 'production',
      ...(flushDelay === undefined ? {} : slowDiskEnvironment(flushDelay)),
    },
  })
  closeSync(log)
  const lines = createInterface({ input: child.stdout as Readable })
  const [line] = await Promise.race([once(lines, 'line'), rejectOnExit(child, name)])
  const { issuer } = JSON.parse(line as string) as { issuer: string }
  return { child, issuer, base: issuer.replace('localhost', '127.0.0.1') }
}

/** Includes what `src/keyturn.js` sets, which bench/servers/slow-disk.ts replaces. */
const slowDiskEnvironment = (flushDelay: number) => ({
  FLUSH_DELAY: String(flushDelay),
  UV_THREADPOOL_SIZE: String(Math.max(2, Math.min(16, availableParallelism()))),
})

/** The time from the start of the process to the first 200 of /health/ready. The server goes on. */
export async function timeStart(
  name: string,
  root: string,
  folder: string,
  settings: Readonly<Record<string, string>>,
) {
  const start = performance.now()
  const { child, base } = await serve(name, root, folder, settings)
  while (!(await fetch(`${base}/health/ready`)).ok);
  const milliseconds = performance.now() - start
  return { child, duration: { milliseconds, cpu: (cpuSeconds(child.pid as number) ?? Number.NaN) * 1000 } }
}

/** Older than every stored session (stored.ts): a session of a younger API would be of another one that was deleted. */
const REGISTRY_AGE = 7 * 86_400

/** Stores an API, a client and users before the server starts. */
async function seed(
  settings: Record<string, string>,
  folder: string,
  secret: string,
  fill: KeyturnOptions['fill'],
): Promise<void> {
  const config = loadConfig(settings, folder)
  const base = await openBase(
    config,
    { logger: createLogger({ level: 'silent', pretty: false, destination: 2 }) },
    'create',
  )
  try {
    const keys = await openKeys(base, { bits: RSA_BITS })
    await storeRegistry(base.store, base.clock.now() - REGISTRY_AGE, hashGeneratedSecret(secret))
    await fill?.(base, keys)
  } finally {
    await base.store.db.close()
  }
}

/** Stores one API, one client, one role and the users. */
export async function storeRegistry(
  { apis, clients, roles, users }: Store,
  createdAt: EpochSeconds,
  secretHash: string | null,
): Promise<void> {
  await apis.insert({
    identifier: API,
    name: null,
    scopes: [SCOPE],
    scopeTexts: {},
    accessTokenTtl: null,
    signingAlg: null,
    createdAt,
  })
  await roles.insert({ name: ROLE, scopes: [SCOPE], requireSecondFactor: false, createdAt })
  await clients.insert(
    newClient({
      id: CLIENT_ID,
      name: CLIENT_ID,
      secrets:
        secretHash === null
          ? []
          : [{ id: 'cs_bench', hash: secretHash, createdAt, expiresAt: null, addedIn: null }],
      grants: ['client_credentials', 'password', 'refresh_token', 'authorization_code'],
      scopes: [SCOPE, 'openid'],
      redirectUris: [CALLBACK],
      firstParty: true,
      createdAt,
    }),
  )
  const passwordHash = await hashPassword(PASSWORD)
  for (let i = 0; i < USER_COUNT; i += 1) {
    await users.insert({
      id: `u_${systemRandom.id()}`,
      username: `bench-${i}`,
      ...EMPTY_PROFILE,
      passwordHash,
      roles: [ROLE],
      disabled: false,
      createdAt,
      updatedAt: createdAt,
    })
  }
}

async function passwordSignIns(tokenUrl: string, secret: string, count: number): Promise<string[]> {
  const tokens: string[] = []
  for (let i = 0; i < count; i += 1) {
    const response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { authorization: basic(secret) },
      body: new URLSearchParams({
        grant_type: 'password',
        username: 'bench-0',
        password: PASSWORD,
        scope: SCOPE,
      }),
    })
    const body = (await response.json()) as { refresh_token?: string }
    if (!body.refresh_token)
      throw new Error(`Keyturn: sign-in failed: ${response.status} ${JSON.stringify(body)}`)
    tokens.push(body.refresh_token)
  }
  return tokens
}
