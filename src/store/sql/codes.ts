import type { AuthorizationCode, CodeStore } from '../contracts/codes.ts'
import { type Db, falseOnConflict, type Step } from '../db.ts'
import { insertClientSession, lockOwners, ownerParams, unchangedOwners } from './client-sessions.ts'
import { pruneExpired } from './prune.ts'
import { consumePushed } from './pushed-requests.ts'
import { claimOnce } from './single-use.ts'
import { findWithUser } from './user-rows.ts'

interface CodeRow {
  client_id: string
  user_session_id: string | null
  user_id: string
  client_session_id: string
  code_challenge: string | null
  dpop_jkt: string | null
  pkce_failures: number
  redirect_uri: string
  redirect_uri_sent: number
  details: string
  expires_at: number
  used_at: number | null
  revoked_at: number | null
}

/** A condition of steps whose second parameter is the current time. */
const SIGNED_IN = `EXISTS (SELECT 1 FROM user_sessions s WHERE s.id = user_session_id AND s.ended_at IS NULL
                             AND s.expires_at > $2 AND s.idle_expires_at > $2)`

export function createCodeStore(db: Db): CodeStore {
  const batchOrFalse = (steps: Step[]) => falseOnConflict(db.batch(steps))

  return {
    insert(hash, code, now, { pushed, claim, consent, owners } = {}) {
      const consentKey = consent === undefined ? [] : [consent.userId, consent.clientId, consent.audience]
      const insert: Step = {
        sql: `INSERT INTO authorization_codes (hash, client_id, user_session_id, user_id, client_session_id, code_challenge, pkce_failures,
                                 redirect_uri, redirect_uri_sent, details, expires_at, used_at, revoked_at, needed_until,
                                 dpop_jkt)
              SELECT $1, $2, id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $11, $14 FROM user_sessions WHERE id = $3 AND ended_at IS NULL
              ${consentKey.length > 0 ? `AND EXISTS (SELECT 1 FROM consents WHERE ${consentOf(15)})` : ''}
              ${owners ? `AND ${unchangedOwners(15 + consentKey.length)}` : ''}`,
        params: [
          hash,
          code.clientId,
          code.userSessionId,
          code.userId,
          code.clientSessionId,
          code.codeChallenge,
          code.pkceFailures,
          code.redirectUri,
          code.redirectUriSent ? 1 : 0,
          detailsOf(code),
          code.expiresAt,
          code.usedAt,
          code.revokedAt,
          code.dpopJkt,
          ...consentKey,
          ...ownerParams(owners),
        ],
        expectRows: 1,
      }
      return batchOrFalse([
        ...lockOwners(owners),
        ...(pushed === undefined ? [] : [consumePushed(pushed, now)]),
        ...(claim === undefined ? [] : [claimOnce(claim.id, claim.until)]),
        // A concurrent withdrawal of the consent waits for this lock, and then finds the code.
        ...(consentKey.length === 0
          ? []
          : [
              {
                sql: `SELECT 1 FROM consents WHERE ${consentOf(1)}`,
                params: consentKey,
                lock: true,
              } as const,
            ]),
        insert,
      ])
    },

    async find(hash) {
      const [row] = await db.query<CodeRow>('SELECT * FROM authorization_codes WHERE hash = $1', [hash])
      return row ? toCode(row) : null
    },

    async findWithUser(hash) {
      const found = await findWithUser<CodeRow>(db, 'authorization_codes', 'hash', hash)
      return found && { code: toCode(found.row), user: found.user }
    },

    redeem(hash, session, now, maxPkceFailures, owners) {
      return batchOrFalse([
        // Without the lock, the user session could end between the check and the insert, and nothing would end the new session.
        {
          sql: 'SELECT 1 FROM user_sessions WHERE id = (SELECT user_session_id FROM authorization_codes WHERE hash = $1)',
          params: [hash],
          lock: true,
        },
        {
          sql: `UPDATE authorization_codes SET used_at = $2, needed_until = $4, details = ''
                 WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2 AND pkce_failures < $3 AND ${SIGNED_IN}`,
          params: [hash, now, maxPkceFailures, session.expiresAt],
          expectRows: 1,
        },
        ...insertClientSession(session, owners),
      ])
    },

    async countPkceFailure(hash) {
      await db.batch([
        {
          sql: 'UPDATE authorization_codes SET pkce_failures = pkce_failures + 1 WHERE hash = $1',
          params: [hash],
        },
      ])
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'authorization_codes', key: ['hash'], end: 'needed_until' }, before, limit),
  }
}

const consentOf = (first: number): string =>
  `user_id = $${first} AND client_id = $${first + 1} AND audience = $${first + 2}`

type Details = Omit<
  AuthorizationCode,
  | 'clientId'
  | 'userSessionId'
  | 'userId'
  | 'clientSessionId'
  | 'redirectUri'
  | 'redirectUriSent'
  | 'codeChallenge'
  | 'dpopJkt'
  | 'pkceFailures'
  | 'expiresAt'
  | 'usedAt'
  | 'revokedAt'
>

/** The details of a used code, which are deleted. */
const NO_DETAILS: Details = {
  nonce: null,
  scopes: [],
  audience: '',
  authTime: 0,
  amr: [],
  requestedClaims: { idToken: [], userinfo: [] },
}

/** Members that no query uses have no column. */
function detailsOf(code: AuthorizationCode): string {
  const { nonce, scopes, audience, authTime, amr, requestedClaims } = code
  const details: Details = {
    nonce,
    scopes,
    audience,
    authTime,
    amr,
    requestedClaims,
  }
  return JSON.stringify(details)
}

function toCode(row: CodeRow): AuthorizationCode {
  return {
    ...(row.details === '' ? NO_DETAILS : (JSON.parse(row.details) as Details)),
    clientId: row.client_id,
    userSessionId: row.user_session_id,
    userId: row.user_id,
    clientSessionId: row.client_session_id,
    redirectUri: row.redirect_uri,
    redirectUriSent: row.redirect_uri_sent === 1,
    codeChallenge: row.code_challenge,
    dpopJkt: row.dpop_jkt,
    pkceFailures: row.pkce_failures,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    revokedAt: row.revoked_at,
  }
}
