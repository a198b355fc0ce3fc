/** docs/troubleshooting.md: people search it for the text that they see, so every quoted message must be one of the program. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { read, root, tableBelow } from '../support/docs/documents.ts'

const page = read('docs/troubleshooting.md')
const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
  .join('\n')

/** The heading of each table with messages of Keyturn, and the column that has them. */
const TABLES = [
  ['## The server does not start', 0],
  ['## Commands', 0],
  ['## Pages that users see', 0],
  ['## Errors that the application gets', 1],
] as const

for (const [heading, column] of TABLES) {
  t.test(`every message below "${heading}" is in the sources`, async (t) => {
    const rows = tableBelow(page, heading)
    t.ok(rows.length > 0)
    for (const row of rows) {
      const [, message = ''] = /^`(.+)`$/.exec(row[column] ?? '') ?? []
      t.not(message, '', `${row[column]} is quoted`)
      // Between the variable parts.
      for (const part of message.split('…').map((text) => text.trim())) {
        t.ok(source.includes(part), `${message}: ${part}`)
      }
    }
  })
}

t.test('every error code of the page exists with that text', async (t) => {
  const errors = read('docs/errors.md')
  for (const [code = ''] of tableBelow(page, '## Errors that the application gets')) {
    t.ok(errors.includes(`| ${code} |`), code)
  }
})

t.test('quoted log lines are in the sources', async (t) => {
  const lines = tableBelow(page, '## Proxies and clocks').flatMap(([cell = '']) =>
    [...cell.matchAll(/^`(.+)` in the log$/g)].map(([, line = '']) => line),
  )
  t.equal(lines.length, 2)
  for (const part of lines.flatMap((line) => line.split('…'))) t.ok(source.includes(part.trim()), part)
})
