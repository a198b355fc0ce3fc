import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { read, repositoryFiles, root } from '../support/docs/documents.ts'
import { titles } from '../support/docs/test-titles.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const labels = (prefix: string, from: number, to: number) => numbers(from, to).map((n) => prefix + n)

/** Every row that must exist. */
const EXPECTED = [
  ...labels('A', 1, 16),
  ...labels('B', 15, 28),
  ...labels('C', 28, 48),
  ...labels('D', 49, 54),
  ...labels('E', 55, 64),
  ...labels('F', 65, 75),
  ...labels('H', 86, 96),
  ...labels('I', 97, 109),
  ...labels('K', 117, 128),
  ...labels('L', 128, 135),
  ...labels('M', 136, 144),
  ...labels('N', 145, 151),
  ...labels('O', 152, 159),
  ...labels('P', 1, 41),
  ...labels('Q', 1, 22),
  ...labels('R', 1, 14),
  ...labels('S', 1, 8),
  ...labels('T', 1, 3),
  ...labels('U', 1, 2),
  ...labels('V', 1, 6),
  ...labels('W', 1, 5),
  ...labels('X', 1, 6),
  ...labels('Y', 1, 2),
]

interface Row {
  readonly label: string
  readonly requirement: string
  /** Repository paths of the tests that are cited. */
  readonly cited: readonly string[]
  readonly cell: string
}

const rows: Row[] = read('docs/security.md')
  .split('\n')
  .map((line) => line.replace(/^\| | \|$/g, '').split(' | '))
  .filter(([label = '']) => /^[A-Z]\d+$/.test(label))
  .map(([label = '', requirement = '', , cell = '']) => ({
    label,
    requirement,
    cell,
    cited: [...cell.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path = '']) => path),
  }))

/** The rows that a test's title names: `docs/security.md A3`, `docs/security.md A3, P5`. */
function named(title: string): string[] {
  const [, list = ''] = /docs\/security\.md ((?:[A-Z]\d+)(?:, [A-Z]\d+)*)/.exec(title) ?? []
  return list.match(/[A-Z]\d+/g) ?? []
}

const tests = repositoryFiles().filter((path) => /^test\/(?!support|docs).*\.ts$/.test(path))
const proven = new Set(tests.flatMap(titles).flatMap(named))

t.test('docs/security.md has every row once, in order', async (t) => {
  t.same(
    rows.map(({ label }) => label),
    EXPECTED,
  )
  for (const { label, requirement } of rows) t.ok(requirement.length > 20, `${label} says what is required`)
})

t.test('every cited test exists and names the row in its title', async (t) => {
  for (const { label, cited } of rows) {
    for (const path of cited) {
      t.ok(existsSync(join(root, path)) && titles(path).flatMap(named).includes(label), `${label}: ${path}`)
    }
  }
})

t.test('every row has a test or says why it has none', async (t) => {
  for (const { label, cited, cell } of rows) {
    if (cited.length > 0) continue
    const [, elsewhere] = /^See ([^.]+)\.$/.exec(cell) ?? []
    const other = rows.find((row) => row.label === elsewhere)
    if (other) t.ok(other.cited.length > 0, `${label} is proven by ${other.label}`)
    else t.match(cell, /^(?:Does not apply|Not yet): \S.*\.$/, `${label} says why`)
    t.notOk(proven.has(label), `${label} has no test that the row omits`)
  }
})
