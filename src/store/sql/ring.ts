import type { KeyState, PublicJwk, Ring, RingKey, RingStore } from '../contracts/ring.ts'
import { type Db, falseOnConflict, type Step } from '../db.ts'

interface KeyRow {
  kid: string
  alg: string
  state: KeyState
  public_jwk: string
  encrypted_private_key: string | null
  created_at: number
  published_at: number
  published_in: number
  signs_from: number | null
  stopped_at: number | null
  tokens_until: number
  left_at: number | null
}

export function createRingStore(db: Db): RingStore {
  return {
    async read() {
      // One statement, so that version and keys are consistent.
      const rows = await db.query<KeyRow & { version: number; ring_created_at: number; default_alg: string }>(
        `SELECT r.version, r.created_at AS ring_created_at, r.default_alg, k.*
           FROM ring r JOIN ring_keys k ON 1 = 1
          WHERE r.id = 'main' ORDER BY k.published_at, k.kid`,
      )
      const [first] = rows
      if (!first) return null
      return {
        version: first.version,
        createdAt: first.ring_created_at,
        defaultAlg: first.default_alg,
        keys: rows.map(toKey),
      }
    },

    async create(ring) {
      return falseOnConflict(
        db.batch([
          // The ring refers to its default lane. If the ring exists already, the batch fails and its lanes are not stored.
          ...[...lanesOf(ring)].map(insertLane),
          {
            sql: `INSERT INTO ring (id, version, created_at, default_alg) VALUES ('main', $1, $2, $3)
                  ON CONFLICT (id) DO NOTHING`,
            params: [ring.version, ring.createdAt, ring.defaultAlg],
            expectRows: 1,
          },
          ...ring.keys.map(insertKey),
        ]),
      )
    },

    async replace(expected, successor) {
      const previous = new Map(expected.keys.map((key) => [key.kid, key]))
      const bumped: Step = {
        sql: `UPDATE ring SET version = $1, default_alg = $2 WHERE id = 'main' AND version = $3`,
        params: [successor.version, successor.defaultAlg, expected.version],
        expectRows: 1,
        notify: true,
      }
      const [lanesBefore, lanes] = [lanesOf(expected), lanesOf(successor)]
      // Keys leave a state before others enter it, because the indexes allow one active and one next key of an algorithm.
      const updates = successor.keys.filter((key) => previous.has(key.kid)).sort(leavingFirst)
      const inserts = successor.keys.filter((key) => !previous.has(key.kid))
      return db.batch([
        bumped,
        ...[...lanes].filter((alg) => !lanesBefore.has(alg)).map(insertLane),
        ...updates.map((key) => updateKey(key, previous)),
        ...inserts.map(insertKey),
        ...[...lanesBefore].filter((alg) => !lanes.has(alg)).map(deleteLane),
      ])
    },

    async usersOf(alg, limit) {
      const [apis, clients] = await Promise.all([
        db.query<{ identifier: string }>(
          'SELECT identifier FROM apis WHERE signing_alg = $1 ORDER BY identifier LIMIT $2',
          [alg, limit],
        ),
        db.query<{ client_id: string }>(
          'SELECT client_id FROM client_lanes WHERE alg = $1 ORDER BY client_id LIMIT $2',
          [alg, limit],
        ),
      ])
      return {
        apis: apis.map(({ identifier }) => identifier),
        clients: clients.map(({ client_id }) => client_id),
      }
    },

    extendTokensUntil(kid, until) {
      return db.batch([
        {
          sql: `UPDATE ring_keys SET tokens_until = CASE WHEN tokens_until < $2 THEN $2 ELSE tokens_until END
                 WHERE kid = $1 AND state IN ('active', 'retiring')`,
          params: [kid, until],
          expectRows: 1,
        },
      ])
    },
  }
}

const lanesOf = ({ keys }: Ring): ReadonlySet<string> =>
  new Set(keys.filter(({ state }) => state === 'active').map(({ alg }) => alg))

const insertLane = (alg: string): Step => ({
  sql: 'INSERT INTO ring_lanes (alg) VALUES ($1) ON CONFLICT (alg) DO NOTHING',
  params: [alg],
})

/** Fails if an API or a client refers to the lane. */
const deleteLane = (alg: string): Step => ({ sql: 'DELETE FROM ring_lanes WHERE alg = $1', params: [alg] })

const ORDER: readonly KeyState[] = ['revoked', 'retired', 'retiring', 'active', 'next']
const leavingFirst = (a: RingKey, b: RingKey): number => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)

function insertKey(key: RingKey): Step {
  return {
    sql: `INSERT INTO ring_keys (kid, alg, state, public_jwk, encrypted_private_key, created_at, published_at, published_in,
                                 signs_from, stopped_at, tokens_until, left_at)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    params: [
      key.kid,
      key.alg,
      key.state,
      JSON.stringify(key.publicJwk),
      key.encryptedPrivateKey,
      key.createdAt,
      key.publishedAt,
      key.publishedIn,
      key.signsFrom,
      key.stoppedAt,
      key.tokensUntil,
      key.leftAt,
    ],
  }
}

/** Fails if `tokens_until` has changed: a token that was signed concurrently must not lose its key. */
function updateKey(key: RingKey, previous: ReadonlyMap<string, RingKey>): Step {
  return {
    sql: `UPDATE ring_keys SET state = $2, encrypted_private_key = $3, signs_from = $4, stopped_at = $5, left_at = $6
           WHERE kid = $1 AND tokens_until = $7`,
    params: [
      key.kid,
      key.state,
      key.encryptedPrivateKey,
      key.signsFrom,
      key.stoppedAt,
      key.leftAt,
      previous.get(key.kid)?.tokensUntil ?? 0,
    ],
    expectRows: 1,
  }
}

function toKey(row: KeyRow): RingKey {
  return {
    kid: row.kid,
    alg: row.alg,
    state: row.state,
    publicJwk: JSON.parse(row.public_jwk) as PublicJwk,
    encryptedPrivateKey: row.encrypted_private_key,
    createdAt: row.created_at,
    publishedAt: row.published_at,
    publishedIn: row.published_in,
    signsFrom: row.signs_from,
    stoppedAt: row.stopped_at,
    tokensUntil: row.tokens_until,
    leftAt: row.left_at,
  }
}
