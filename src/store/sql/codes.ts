import type { AuthorizationCode, CodeStore } from '../contracts/codes.ts'
import { type Db, type Step, unlessTaken } from '../db.ts'
import { insertSession } from './client-sessions.ts'
import { pruneExpired } from './prune.ts'
import { consumePushed } from './pushed-requests.ts'

interface CodeRow {
  client_id: string
  sign_in_id: string
  session_id: string
  code_challenge: string | null
  wrong_guesses: number
  details: string
  expires_at: number
  used_at: number | null
}

/** For steps whose second parameter is the time. */
const SIGNED_IN = `EXISTS (SELECT 1 FROM sign_ins s WHERE s.id = sign_in_id AND s.ended_at IS NULL
                             AND s.expires_at > $2 AND s.idle_expires_at > $2)`

export function createCodeStore(db: Db): CodeStore {
  const batchOrFalse = (steps: Step[]) => unlessTaken(db.batch(steps))

  return {
    insert(hash, code, now, pushed) {
      const insert: Step = {
        sql: `INSERT INTO codes (hash, client_id, sign_in_id, session_id, code_challenge, wrong_guesses, details,
                                 expires_at, used_at)
              SELECT $1, $2, id, $4, $5, $6, $7, $8, $9 FROM sign_ins WHERE id = $3 AND ended_at IS NULL`,
        params: [
          hash,
          code.clientId,
          code.signInId,
          code.sessionId,
          code.codeChallenge,
          code.wrongGuesses,
          detailsOf(code),
          code.expiresAt,
          code.usedAt,
        ],
        rows: 1,
      }
      return batchOrFalse(pushed === undefined ? [insert] : [consumePushed(pushed, now), insert])
    },

    async find(hash) {
      const [row] = await db.query<CodeRow>('SELECT * FROM codes WHERE hash = $1', [hash])
      return row ? toCode(row) : null
    },

    redeem(hash, session, now, mostGuesses) {
      return batchOrFalse([
        // Otherwise the sign-in could end between the question below and the session, which nothing would end then.
        {
          sql: 'SELECT 1 FROM sign_ins WHERE id = (SELECT sign_in_id FROM codes WHERE hash = $1)',
          params: [hash],
          lock: true,
        },
        {
          sql: `UPDATE codes SET used_at = $2
                 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 AND wrong_guesses < $3 AND ${SIGNED_IN}`,
          params: [hash, now, mostGuesses],
          rows: 1,
        },
        insertSession(session),
      ])
    },

    async guessed(hash) {
      await db.batch([
        { sql: 'UPDATE codes SET wrong_guesses = wrong_guesses + 1 WHERE hash = $1', params: [hash] },
      ])
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'codes', key: ['hash'], end: 'expires_at' }, before, limit),
  }
}

type Details = Omit<
  AuthorizationCode,
  'clientId' | 'signInId' | 'sessionId' | 'codeChallenge' | 'wrongGuesses' | 'expiresAt' | 'usedAt'
>

/** What is never searched for or compared in SQL needs no column. */
function detailsOf(code: AuthorizationCode): string {
  const { userId, redirectUri, nonce, scopes, audience, authTime, amr, claims } = code
  const details: Details = { userId, redirectUri, nonce, scopes, audience, authTime, amr, claims }
  return JSON.stringify(details)
}

function toCode(row: CodeRow): AuthorizationCode {
  return {
    ...(JSON.parse(row.details) as Details),
    clientId: row.client_id,
    signInId: row.sign_in_id,
    sessionId: row.session_id,
    codeChallenge: row.code_challenge,
    wrongGuesses: row.wrong_guesses,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
  }
}
