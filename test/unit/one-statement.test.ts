import t from 'tap'
import { forKeys, forRows } from '../../src/store/postgres/one-statement.ts'

t.test('a query is made for several keys', (t) => {
  const textFor = forKeys('SELECT * FROM t WHERE id IN ($1) ORDER BY n')
  t.equal(textFor(1), 'SELECT * FROM t WHERE id IN ($1) ORDER BY n')
  t.equal(textFor(3), 'SELECT * FROM t WHERE id IN ($1,$2,$3) ORDER BY n')
  t.equal(textFor(1), 'SELECT * FROM t WHERE id IN ($1) ORDER BY n')
  t.end()
})

t.test('a query that would find something else for several keys is refused', (t) => {
  for (const sql of [
    'SELECT * FROM t WHERE id = $1',
    'SELECT * FROM t WHERE id IN ($1) OR parent IN ($1)',
    'SELECT * FROM t WHERE id IN ($1) AND n > $2',
    'SELECT * FROM t WHERE n > $2 AND id IN ($1)',
    'SELECT * FROM t WHERE id IN ($1) LIMIT 1',
    'SELECT * FROM (SELECT * FROM t OFFSET 1) AS u WHERE id IN ($1)',
  ]) {
    t.throws(() => forKeys(sql), { message: /must have one IN \(\$1\)/ }, sql)
  }
  t.end()
})

const row = { table: 't', key: 'id' }

t.test('an update is made for several rows, each with its own parameters', (t) => {
  const { params, textFor } = forRows('UPDATE t SET n = $11, m = $2 + 1\n WHERE id = $1 AND n = $2', row)
  t.equal(params, 11)
  const update = (by: number) =>
    `UPDATE t SET n = $${11 + by}, m = $${2 + by} + 1\n WHERE id = $${1 + by} AND n = $${2 + by} AND ` +
    `id = (SELECT id FROM t WHERE id = $${1 + by} FOR NO KEY UPDATE SKIP LOCKED) RETURNING 1`
  t.equal(
    textFor(2),
    `WITH done0 AS (${update(0)}),done1 AS (${update(11)}) ` +
      'SELECT concat((SELECT count(*) FROM done0),(SELECT count(*) FROM done1)) AS changed',
  )
  t.equal(forRows('UPDATE t SET n = 1 WHERE id = $1', row).params, 1)
  t.end()
})

t.test('a change that may be of other rows, or of more than one, is refused', (t) => {
  for (const sql of [
    'DELETE FROM t WHERE id = $1',
    'INSERT INTO t (id) VALUES ($1)',
    'UPDATE u SET n = 1 WHERE id = $1',
    'UPDATE t SET n = $1',
    'UPDATE t SET n = $1 WHERE id = $2',
    'UPDATE t SET n = 1 WHERE id = $10',
    'UPDATE t SET n = 1 WHERE id > $1',
    'UPDATE t SET n = 1 WHERE parent_id = $1',
    'UPDATE t SET n = 1 WHERE n = 2 AND id = $1',
    'UPDATE t SET n = 1 WHERE id = $1 OR n = 2',
    'UPDATE t SET n = 1 WHERE id = $1 AND n = 2 OR n = 3',
    'UPDATE t SET n = 1 WHERE id = $1 RETURNING n',
    'UPDATE t SET n = (SELECT n FROM u WHERE id = $1) WHERE id = $1',
    'UPDATE t SET n = 1 WHERE id = $1 AND EXISTS (SELECT 1 FROM u WHERE id = $1)',
  ]) {
    t.throws(() => forRows(sql, row), { message: /must be UPDATE t SET … WHERE id = \$1/ }, sql)
  }
  t.end()
})
