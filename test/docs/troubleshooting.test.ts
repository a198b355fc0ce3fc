/** docs/troubleshooting.md: people search it for the text that they see, so every quoted message must be one of the program. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { read, root, tableBelow } from '../support/docs/documents.ts'
import { startedCli } from '../support/processes/cli.ts'

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

/** A message in the sources may still be one that no command prints, so the commands are run and compared with this pattern. */
function asPattern(row: string): RegExp {
  const parts = row.slice(1, -1).split('…')
  return new RegExp(parts.map((part) => part.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&').trimEnd()).join('.*'))
}

t.test('commands print the messages below "## Commands" and about a lost master key', async (t) => {
  const cli = await startedCli(t)
  const create = (...options: string[]) => ['clients', 'create', '--name', 'one', ...options]
  writeFileSync(join(cli.dir, 'one.env'), '')
  await cli.json(['keys', 'rotate'])
  const machine = ['--grant', 'client_credentials', '--scope', 'read', '--allow-unowned']
  const attempts = [
    create('--grant', 'client_credentials', '--scope', 'raed'),
    create(...machine, '--env', 'one.env'),
    create('--grant', 'authorization_code', '--redirect-uri', 'myapp:/back'),
    create(...machine, '--auth', 'none'),
    ['keys', 'rotate'],
    ['users', 'create', 'alice'],
    ['roles', 'list', '--server', 'https://auth.example'],
  ]
  const errors: string[] = []
  for (const args of attempts) errors.push((await cli.run(args)).err)
  renameSync(join(cli.keysDir, 'master.key'), join(cli.keysDir, 'lost'))
  errors.push((await cli.run(['keys', 'rotate'])).err)
  // The first row is not run here: it needs a pending second migration, which only test/store/migrate.test.ts has.
  const [pending, ...messages] = tableBelow(page, '## Commands')
  t.match(pending?.[0], 'migration(s)')
  const lost = tableBelow(page, '## The server does not start').filter(([, cause]) => cause?.includes('lost'))
  t.equal(lost.length, 1)
  for (const [message = ''] of [...messages, ...lost]) {
    t.ok(
      errors.some((error) => asPattern(message).test(error)),
      message,
      { errors },
    )
  }
})
