import type { Db, Step } from '../../src/store/db.ts'
import { type Contract, winners } from './contract.ts'

const insert = (id: string, value: number | null = 1): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, $2)',
  params: [id, value],
})
const update = (id: string, value: number, rows?: number): Step => ({
  sql: 'UPDATE single_use SET expires_at = $2 WHERE id = $1',
  params: [id, value],
  ...(rows === undefined ? {} : { expectRows: rows }),
})

async function content(db: Db): Promise<Record<string, number>> {
  const rows = await db.query<{ id: string; expires_at: number }>(
    'SELECT id, expires_at FROM single_use ORDER BY id',
  )
  return Object.fromEntries(rows.map((row) => [row.id, row.expires_at]))
}

export const dbContract: Contract = {
  'query returns rows by column name, and an empty list if there are none': async (t, { db }) => {
    t.same(await content(db), {})
    await db.batch([insert('a', 7)])
    t.same(await db.query('SELECT id, expires_at AS at FROM single_use'), [{ id: 'a', at: 7 }])
  },

  'parameters are never interpreted as SQL and are returned unchanged': async (t, { db }) => {
    const texts = ['', "'; DROP TABLE single_use; --", '$1', '%', 'é🙂', 'a'.repeat(100_000)]
    for (const [i, text] of texts.entries()) await db.batch([insert(text, i)])
    for (const [i, text] of texts.entries()) {
      t.same(await db.query('SELECT expires_at FROM single_use WHERE id = $1', [text]), [{ expires_at: i }])
    }
    const large = 253_402_300_799
    await db.batch([insert('year 9999', large)])
    t.same(await db.query('SELECT expires_at FROM single_use WHERE id = $1', ['year 9999']), [
      { expires_at: large },
    ])
  },

  'a parameter may be used twice, and $11 is not $1': async (t, { db }) => {
    const params = Array.from({ length: 11 }, (_, i) => `p${i + 1}`)
    await db.batch([insert('p11p1p11')])
    const sql = `SELECT id FROM single_use WHERE id = CAST($11 AS TEXT) || $1 || $11
                 AND $2 <> $3 AND $4 <> $5 AND $6 <> $7 AND $8 <> $9 AND $10 <> $1`
    t.same(await db.query(sql, params), [{ id: 'p11p1p11' }])
  },

  'a batch runs all of its steps': async (t, { db }) => {
    t.equal(await db.batch([insert('a'), insert('b'), update('a', 2)]), true)
    t.same(await content(db), { a: 2, b: 1 })
  },

  'a batch without steps succeeds': async (t, { db }) => {
    t.equal(await db.batch([]), true)
  },

  'a batch rolls back and returns false if a step changes an unexpected number of rows': async (
    t,
    { db },
  ) => {
    await db.batch([insert('a'), insert('b')])
    const missing = [insert('c'), update('nobody', 5, 1), insert('d')]
    const tooMany = [insert('c'), { sql: 'UPDATE single_use SET expires_at = 9', expectRows: 1 }]
    const none = [update('a', 5), update('b', 5, 0)]
    for (const steps of [missing, tooMany, none]) t.equal(await db.batch(steps), false)
    t.same(await content(db), { a: 1, b: 1 })
  },

  'expectRows counts matched rows, whether their values change or not': async (t, { db }) => {
    await db.batch([insert('a', 1)])
    t.equal(await db.batch([update('a', 1, 1)]), true)
  },

  'an insert with ON CONFLICT DO NOTHING counts no row on a conflict': async (t, { db }) => {
    await db.batch([insert('a')])
    const again = { ...insert('a', 9), sql: `${insert('a').sql} ON CONFLICT (id) DO NOTHING`, expectRows: 1 }
    t.equal(await db.batch([again]), false)
    t.same(await content(db), { a: 1 })
  },

  'a taken key rolls back the whole batch and throws ConstraintViolation': async (t, { db }) => {
    await db.batch([insert('a')])
    await t.rejects(db.batch([insert('b'), insert('a'), insert('c')]), { name: 'ConstraintViolation' })
    await t.rejects(db.batch([insert('b'), insert('c', null)]), { name: 'ConstraintViolation' })
    const orphan = {
      sql: 'INSERT INTO user_roles (user_id, role) VALUES ($1, $2)',
      params: ['nobody', 'nothing'],
    }
    await t.rejects(db.batch([insert('b'), orphan]), { name: 'ConstraintViolation' })
    t.same(await content(db), { a: 1 })
  },

  'concurrent batches succeed or fail independently': async (t, { db }) => {
    await db.batch([insert('taken')])
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) => {
        if (i % 3 === 0) return db.batch([insert(`kept${i}`), insert(`also${i}`)])
        if (i % 3 === 1) return db.batch([insert(`undone${i}`), update('nobody', 1, 1)])
        return db.batch([insert(`failed${i}`), insert('taken')])
      }),
    )
    for (const [i, outcome] of outcomes.entries()) {
      if (i % 3 === 0) t.match(outcome, { status: 'fulfilled', value: true })
      if (i % 3 === 1) t.match(outcome, { status: 'fulfilled', value: false })
      if (i % 3 === 2) t.match(outcome, { status: 'rejected', reason: { name: 'ConstraintViolation' } })
    }
    const names = Object.keys(await content(db))
    t.equal(names.length, 41)
    t.notOk(names.some((name) => /^(undone|failed)/.test(name)))
  },

  'an SQL mistake fails only its own batch': async (t, { db }) => {
    const wrong: Step[][] = [
      [insert('x'), { sql: 'INSERT INTO no_such_table VALUES (1)' }],
      [insert('x'), { sql: 'not SQL' }],
      [insert('x'), { sql: insert('x').sql, params: ['only one'] }],
      [insert('x'), { sql: insert('x').sql, params: [{} as never, 1] }],
    ]
    for (const steps of wrong) {
      const [before, bad, after] = await Promise.allSettled([
        db.batch([insert('before')]),
        db.batch(steps),
        db.batch([insert('after')]),
      ])
      t.same([before?.status, bad?.status, after?.status], ['fulfilled', 'rejected', 'fulfilled'])
      t.same(await content(db), { before: 1, after: 1 })
      await db.batch([{ sql: 'DELETE FROM single_use' }])
    }
  },

  'an SQL mistake is not reported as an unavailable store': async (t, { db }) => {
    await t.rejects(db.query('SELECT * FROM no_such_table'), /no_such_table/)
    await t.rejects(db.batch([{ sql: 'DELETE FROM no_such_table' }]), /no_such_table/)
  },

  'of a thousand compare-and-swap batches on two connections, one wins': async (t, { db }, database) => {
    const other = (await database.connect()).db
    await db.batch([insert('a', 0)])
    const swap = (i: number): Step => ({
      sql: 'UPDATE single_use SET expires_at = $1 WHERE id = $2 AND expires_at = 0',
      params: [i + 1, 'a'],
      expectRows: 1,
    })
    t.same(await winners(1000, (i) => (i % 2 ? db : other).batch([swap(i)])), { won: 1, lost: 999 })
  },

  'the next query on any connection sees what a batch has changed': async (t, { db }, database) => {
    const other = (await database.connect()).db
    for (let i = 1; i <= 20; i += 1) {
      await db.batch([insert(`n${i}`)])
      t.equal(Object.keys(await content(db)).length, i)
      t.equal(Object.keys(await content(other)).length, i)
    }
  },

  'close waits for earlier batches': async (t, { db }, database) => {
    const batches = Array.from({ length: 300 }, (_, i) => db.batch([insert(`n${i}`)]))
    await db.close()
    t.same(await Promise.all(batches), Array(300).fill(true))
    t.equal(Object.keys(await content((await database.connect()).db)).length, 300)
  },

  'after close the store is unavailable, and a second close does nothing': async (t, { db }) => {
    await db.close()
    await db.close()
    await t.rejects(db.query('SELECT 1'), { name: 'StoreUnavailable' })
    await t.rejects(db.batch([insert('late')]), { name: 'StoreUnavailable' })
  },
}
