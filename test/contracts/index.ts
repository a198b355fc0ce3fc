/** All contracts, for the file of each engine; a new one is a file and a line. */
import { apisContract } from './apis.ts'
import { auditContract } from './audit.ts'
import { clientLogosContract } from './client-logos.ts'
import { sessionsContract } from './client-sessions.ts'
import { clientsContract } from './clients.ts'
import { codesContract } from './codes.ts'
import { consentsContract } from './consents.ts'
import type { Contract } from './contract.ts'
import { dataKeysContract } from './data-keys.ts'
import { dbContract } from './db.ts'
import { factorsContract } from './factors.ts'
import { idempotencyContract } from './idempotency.ts'
import { identityContract } from './identity.ts'
import { logoutOutboxContract } from './logout-outbox.ts'
import { nodesContract } from './nodes.ts'
import { oneTimeLinksContract } from './one-time-links.ts'
import { pushedRequestsContract } from './pushed-requests.ts'
import { knownLocationsContract, rateLimitsContract } from './rate-limits.ts'
import { revisionsContract } from './revisions.ts'
import { revokedTokensContract } from './revoked-tokens.ts'
import { ringContract } from './ring.ts'
import { rolesContract } from './roles.ts'
import { singleUseContract } from './single-use.ts'
import { statusContract } from './status.ts'
import { userSessionsContract } from './user-sessions.ts'
import { usersContract } from './users.ts'
import { verifiersContract } from './verifiers.ts'

export const contracts: Readonly<Record<string, Contract>> = {
  db: dbContract,
  revisions: revisionsContract,
  identity: identityContract,
  ring: ringContract,
  'data keys': dataKeysContract,
  apis: apisContract,
  clients: clientsContract,
  'client logos': clientLogosContract,
  roles: rolesContract,
  users: usersContract,
  'one-time links': oneTimeLinksContract,
  'client sessions': sessionsContract,
  'single use': singleUseContract,
  'revoked tokens': revokedTokensContract,
  status: statusContract,
  verifiers: verifiersContract,
  'rate limits': rateLimitsContract,
  'known locations': knownLocationsContract,
  factors: factorsContract,
  'user sessions': userSessionsContract,
  codes: codesContract,
  'pushed requests': pushedRequestsContract,
  consents: consentsContract,
  'logout outbox': logoutOutboxContract,
  nodes: nodesContract,
  idempotency: idempotencyContract,
  audit: auditContract,
}
