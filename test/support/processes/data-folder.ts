/** Data folders of a server: database, key ring and master key on disk, with users and clients. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { loadConfig } from '../../../src/config/load.ts'
import { type Keys, openKeys } from '../../../src/keys/index.ts'
import { closeBase, openBase } from '../../../src/node/base.ts'
import { recordStore } from '../../../src/node/expected-store.ts'
import { createStatusIndexAllocator } from '../../../src/status/status-index-allocator.ts'
import { createStore, openDb, type Store } from '../../../src/store/index.ts'
import { type Clock, systemClock, systemRandom } from '../../../src/system.ts'
import { createRefreshTokenCodec, type RefreshTokenCodec } from '../../../src/tokens/refresh-token.ts'
import { cachedKeys } from '../server/cached-keys.ts'
import { testLogger } from '../server/log.ts'
import { seed, session } from '../server/seed.ts'

/** What a test passes in so that nothing is left behind. */
export interface Owner {
  teardown(work: () => unknown): void
}

export interface Folder {
  readonly path: string
  readonly database: string
  readonly masterKey: string
  /** Beside the master key: the name of the store and the end of its audit log. */
  readonly record: string
  /** Settings of every process in this folder. */
  readonly settings: Record<string, string>
}

export function folderAt(path: string, settings: Record<string, string> = {}): Folder {
  return {
    path,
    database: join(path, 'data/keyturn.db'),
    masterKey: join(path, 'keys/master.key'),
    record: join(path, 'keys/store.json'),
    settings,
  }
}

export function emptyFolder(owner: Owner, settings: Record<string, string> = {}): Folder {
  const path = mkdtempSync(join(tmpdir(), 'keyturn-test-'))
  owner.teardown(() => rmSync(path, { recursive: true, force: true }))
  return folderAt(path, settings)
}

/** The parts of the program that a test may use on the folder while no server runs, or beside one. */
export interface OpenedFolder {
  readonly store: Store
  readonly keys: Keys
  readonly refreshTokens: RefreshTokenCodec
}

/** Opens the folder as a first start would, which creates what is missing. */
export async function withOpened<T>(
  folder: Folder,
  work: (opened: OpenedFolder) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const env = Object.entries(folder.settings).map(([name, value]) => [`KEYTURN_${name}`, value])
  const config = loadConfig(
    {
      KEYTURN_DATABASE_URL: `sqlite:${folder.database}`,
      KEYTURN_KEYS_DIR: join(folder.path, 'keys'),
      ...Object.fromEntries(env),
    },
    folder.path,
  )
  const logger = testLogger()
  const base = await openBase(config, { logger, clock, generateKey: cachedKeys }, 'create')
  try {
    const keys = await openKeys(base)
    await recordStore(base.store, base.record, logger)
    return await work({
      store: base.store,
      keys,
      refreshTokens: createRefreshTokenCodec(keys.dataKeys),
    })
  } finally {
    await closeBase(base, logger)
  }
}

let template: Promise<Folder> | undefined

/**
 * A folder with everything from `seed`, as if its server had been stopped. It is copied from one that is made once,
 * since generating RSA keys takes longer than everything else.
 */
export async function seededFolder(owner: Owner, settings: Record<string, string> = {}): Promise<Folder> {
  template ??= (async () => {
    const path = mkdtempSync(join(tmpdir(), 'keyturn-template-'))
    process.once('exit', () => rmSync(path, { recursive: true, force: true }))
    const folder = folderAt(path)
    await withOpened(folder, ({ store }) => seed(store))
    return folder
  })()
  return copyOf(owner, await template, settings)
}

/** A copy of a folder whose server has stopped. */
export function copyOf(owner: Owner, { path, settings }: Folder, others = settings): Folder {
  const folder = emptyFolder(owner, others)
  cpSync(path, folder.path, { recursive: true })
  return folder
}

const DAY = 86_400

/** Creates one session of alice for each returned refresh token, without a password. */
export async function signIn({ store, refreshTokens, keys }: OpenedFolder, count = 1): Promise<string[]> {
  const alice = await store.users.findByUsername('alice')
  if (!alice) throw new Error('the folder is not seeded')
  const now = keys.clock.now()
  const ids = Array.from({ length: count }, () => systemRandom.id())
  // Long enough for every test of folders.
  const until = now + 3650 * DAY
  const { clock, dataKeys } = keys
  const indices = createStatusIndexAllocator({ status: store.status, clock, dataKeys })
  for (const id of ids) {
    // Verifiers refuse a token whose status list is not published.
    const status = await indices.forSession(until)
    const times = { expiresAt: until, idleExpiresAt: until }
    await store.clientSessions.insert(session(now, { id, userId: alice.id, status, ...times }))
  }
  return ids.map((clientSessionId) => refreshTokens.write({ clientSessionId, generation: 1 }))
}

/** Reads a folder’s store beside a running server, without the checks and writes of a regular opening. */
export async function readStore<T>(folder: Folder, work: (store: Store) => Promise<T>): Promise<T> {
  const store = createStore(openDb(`sqlite:${folder.database}`))
  try {
    return await work(store)
  } finally {
    await store.db.close()
  }
}

/** SQLite’s own integrity check of the file: `ok`, or what is wrong. */
export function integrity(folder: Folder): unknown {
  const db = new Database(folder.database, { readonly: true })
  try {
    return db.pragma('integrity_check', { simple: true })
  } finally {
    db.close()
  }
}
