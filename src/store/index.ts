/**
 * Opens a store: chooses the engine and creates the store of each aggregate. Must not know what the aggregates are for. A new
 * table is `contracts/x.ts`, `sql/x.ts`, a migration, `test/contracts/x.ts`, and a line in this file.
 */
import type { ApiStore } from './contracts/apis.ts'
import type { AuditStore } from './contracts/audit.ts'
import type { ClientLogoStore } from './contracts/client-logos.ts'
import type { ClientSessionStore } from './contracts/client-sessions.ts'
import type { ClientStore } from './contracts/clients.ts'
import type { CodeStore } from './contracts/codes.ts'
import type { ConsentStore } from './contracts/consents.ts'
import type { DataKeyStore } from './contracts/data-keys.ts'
import type { FactorStore } from './contracts/factors.ts'
import type { IdempotencyStore } from './contracts/idempotency.ts'
import type { IdentityStore } from './contracts/identity.ts'
import type { LogoutOutboxStore } from './contracts/logout-outbox.ts'
import type { NodeStore } from './contracts/nodes.ts'
import type { OneTimeLinkStore } from './contracts/one-time-links.ts'
import type { PushedRequestStore } from './contracts/pushed-requests.ts'
import type { KnownLocationStore, RateLimitStore } from './contracts/rate-limits.ts'
import type { RevisionStore } from './contracts/revisions.ts'
import type { RevokedTokenStore } from './contracts/revoked-tokens.ts'
import type { RingStore } from './contracts/ring.ts'
import type { RoleStore } from './contracts/roles.ts'
import type { SingleUseStore } from './contracts/single-use.ts'
import type { StatusStore } from './contracts/status.ts'
import type { UserSessionStore } from './contracts/user-sessions.ts'
import type { UserStore } from './contracts/users.ts'
import type { VerifierStore } from './contracts/verifiers.ts'
import { isPostgres, pathOf } from './database-url.ts'
import type { Db, Reader } from './db.ts'
import { openPostgres, type PostgresOptions } from './postgres/postgres.ts'
import { openSnapshot } from './postgres/snapshot.ts'
import { createApiStore } from './sql/apis.ts'
import { createAuditStore } from './sql/audit.ts'
import { createClientLogoStore } from './sql/client-logos.ts'
import { createClientSessionStore } from './sql/client-sessions.ts'
import { createClientStore } from './sql/clients.ts'
import { createCodeStore } from './sql/codes.ts'
import { createConsentStore } from './sql/consents.ts'
import { createDataKeyStore } from './sql/data-keys.ts'
import { createFactorStore } from './sql/factors.ts'
import { createIdempotencyStore } from './sql/idempotency.ts'
import { createIdentityStore } from './sql/identity.ts'
import { createLogoutOutboxStore } from './sql/logout-outbox.ts'
import { createNodeStore } from './sql/nodes.ts'
import { createOneTimeLinkStore } from './sql/one-time-links.ts'
import { createPushedRequestStore } from './sql/pushed-requests.ts'
import { createKnownLocationStore, createRateLimitStore } from './sql/rate-limits.ts'
import { createRevisionStore } from './sql/revisions.ts'
import { createRevokedTokenStore } from './sql/revoked-tokens.ts'
import { createRingStore } from './sql/ring.ts'
import { createRoleStore } from './sql/roles.ts'
import { createSingleUseStore } from './sql/single-use.ts'
import { createStatusStore } from './sql/status.ts'
import { createUserSessionStore } from './sql/user-sessions.ts'
import { createUserStore } from './sql/users.ts'
import { createVerifierStore } from './sql/verifiers.ts'
import { openFileExclusive } from './sqlite/copy.ts'
import type { SqliteOptions } from './sqlite/file.ts'
import { openSqlite } from './sqlite/sqlite.ts'

// Functions for databases in a file.
export {
  assertIntegrity,
  copyDatabase,
  openCopy,
  openFileExclusive,
  sideFiles,
} from './sqlite/copy.ts'

export interface Store {
  readonly db: Db
  readonly revisions: RevisionStore
  readonly identity: IdentityStore
  readonly ring: RingStore
  readonly dataKeys: DataKeyStore
  readonly apis: ApiStore
  readonly clients: ClientStore
  readonly clientLogos: ClientLogoStore
  readonly roles: RoleStore
  readonly users: UserStore
  readonly oneTimeLinks: OneTimeLinkStore
  readonly clientSessions: ClientSessionStore
  readonly singleUse: SingleUseStore
  readonly revokedTokens: RevokedTokenStore
  readonly status: StatusStore
  readonly rateLimits: RateLimitStore
  readonly knownLocations: KnownLocationStore
  readonly verifiers: VerifierStore
  readonly userSessions: UserSessionStore
  readonly codes: CodeStore
  readonly pushedRequests: PushedRequestStore
  readonly consents: ConsentStore
  readonly logoutOutbox: LogoutOutboxStore
  readonly factors: FactorStore
  readonly nodes: NodeStore
  readonly idempotency: IdempotencyStore
  readonly auditRows: AuditStore
}

export interface OpenOptions extends PostgresOptions, SqliteOptions {}

/**
 * @param url as in `KEYTURN_DATABASE_URL`
 * @throws {StoreMissing} if there is no file, unless `create` is set
 * @throws {StoreUnusable} if the file is not a database, or cannot be created or opened
 */
export function openDb(url: string, options: OpenOptions = {}): Db {
  return isPostgres(url) ? openPostgres(url, options) : openSqlite(pathOf(url), options)
}

/**
 * Opens a store to read all of it while no other process writes to it.
 * @throws {StoreUnavailable} if another process has the store open
 */
export async function openExclusive(url: string, { timeout = 5 }: OpenOptions = {}): Promise<Reader> {
  return isPostgres(url) ? openSnapshot(url, timeout) : openFileExclusive(pathOf(url))
}

export function createStore(db: Db): Store {
  return {
    db,
    revisions: createRevisionStore(db),
    identity: createIdentityStore(db),
    ring: createRingStore(db),
    dataKeys: createDataKeyStore(db),
    apis: createApiStore(db),
    clients: createClientStore(db),
    clientLogos: createClientLogoStore(db),
    roles: createRoleStore(db),
    users: createUserStore(db),
    oneTimeLinks: createOneTimeLinkStore(db),
    clientSessions: createClientSessionStore(db),
    singleUse: createSingleUseStore(db),
    revokedTokens: createRevokedTokenStore(db),
    status: createStatusStore(db),
    rateLimits: createRateLimitStore(db),
    knownLocations: createKnownLocationStore(db),
    verifiers: createVerifierStore(db),
    userSessions: createUserSessionStore(db),
    codes: createCodeStore(db),
    pushedRequests: createPushedRequestStore(db),
    consents: createConsentStore(db),
    logoutOutbox: createLogoutOutboxStore(db),
    factors: createFactorStore(db),
    nodes: createNodeStore(db),
    idempotency: createIdempotencyStore(db),
    auditRows: createAuditStore(db),
  }
}
