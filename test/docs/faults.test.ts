import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { read, repositoryFiles, root } from '../support/docs/documents.ts'
import { titles } from '../support/docs/test-titles.ts'

const rows = read('docs/faults.md')
  .split('\n')
  .filter((line) => /^\| (?!fault |---)/.test(line))
  .map((line) => line.slice(2, -2).split(' | '))

const cited = rows.map(([fault = '', , , cell = '']) => ({
  fault,
  tests: [...cell.matchAll(/\[([^\]]+)\]\(\.\.\/([^)]+)\)/g)].map(([, title = '', path = '']) => ({
    title,
    path,
  })),
}))

t.test(
  'docs/faults.md says for every fault what clients see, what is lost and which test causes it',
  async (t) => {
    t.ok(rows.length > 30)
    for (const row of rows) {
      t.equal(row.length, 4, `${row[0]}`)
      t.ok(
        row.every((cell) => cell.trim() !== ''),
        `${row[0]}`,
      )
    }
    for (const { fault, tests } of cited) t.ok(tests.length > 0, fault)
  },
)

/** Whether the title contains the parts of the cited one in order; `…` stands for what a test inserts into its title. */
function isCitedAs(title: string, citation: string): boolean {
  let from = 0
  return citation.split('…').every((part) => {
    const at = title.indexOf(part, from)
    from = at + part.length
    return at !== -1
  })
}

t.test('every test that docs/faults.md cites exists under its title', async (t) => {
  for (const { title, path } of cited.flatMap(({ tests }) => tests)) {
    const known = existsSync(join(root, path)) ? titles(path) : []
    t.ok(
      known.some((one) => isCitedAs(one, title)),
      `${path}: ${title}`,
    )
    t.notMatch(title, '${', 'a reader sees no code')
  }
})

/** Not faults, but placed beside them because they start real servers. */
const NOT_FAULTS = ['test/faults/backup.test.ts']

t.test('every fault test file is cited', async (t) => {
  const paths = new Set(cited.flatMap(({ tests }) => tests.map(({ path }) => path)))
  t.same(
    repositoryFiles().filter(
      (path) => /^test\/faults\/.*\.test\.ts$/.test(path) && !paths.has(path) && !NOT_FAULTS.includes(path),
    ),
    [],
  )
})
