import t from 'tap'
import { table } from '../../src/cli/output.ts'

t.test('a table has a header row, and columns as wide as their widest cell', async (t) => {
  t.equal(
    table(
      ['id', 'name', 'since'],
      [
        ['a', 'long name', null],
        ['bcd', undefined, 5],
      ],
    ),
    'id   name       since\na    long name\nbcd             5\n',
  )
})

t.test('an ideograph is two columns wide', async (t) => {
  t.equal(
    table(
      ['name', 'x'],
      [
        ['日本', 1],
        ['ab', 2],
      ],
    ),
    'name  x\n日本  1\nab    2\n',
  )
})

t.test('a table without rows says so', async (t) => {
  t.equal(table(['id'], []), 'none\n')
})
