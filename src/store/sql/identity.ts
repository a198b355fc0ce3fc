import type { IdentityStore } from '../contracts/identity.ts'
import { type Db, falseOnConflict } from '../db.ts'

export function createIdentityStore(db: Db): IdentityStore {
  return {
    async read() {
      const [row] = await db.query<{ store: string }>('SELECT store FROM store_identity')
      return row?.store ?? null
    },

    create: (store, now) =>
      falseOnConflict(
        db.batch([
          {
            sql: `INSERT INTO store_identity (id, store, created_at) VALUES ('main', $1, $2)`,
            params: [store, now],
            expectRows: 1,
          },
        ]),
      ),
  }
}
