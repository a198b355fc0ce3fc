import type { Command } from 'commander'
import t from 'tap'
import { createContext } from '../../src/cli/context.ts'
import type { Io } from '../../src/cli/io.ts'
import { createProgram } from '../../src/cli/run.ts'
import { type Field, fields } from '../../src/config/fields.ts'
import {
  AUTHORIZE_PATH,
  JWKS_PATH,
  LOGOUT_PATH,
  METRICS_PATH,
  OAUTH_METADATA,
  OPENID_METADATA,
  protocolEndpoints,
  STATUS_AGGREGATION_PATH,
  STATUS_LISTS_PATH,
} from '../../src/http/routes.ts'
import { read, tableBelow } from '../support/docs/documents.ts'

const code = (text: string) => `\`${text}\``

t.test('the settings table lists every setting with its default and meaning', async (t) => {
  const rows = Object.values(fields as Record<string, Field<unknown>>)
  const expected = rows.map((field) => [
    code(`KEYTURN_${field.name}`),
    field.default === undefined ? '–' : code(field.default),
    field.doc,
  ])
  t.same(tableBelow(read('docs/settings.md'), '# Settings'), expected)
})

t.test('the page of settings names those that can be read from a file', async (t) => {
  const rows = Object.values(fields as Record<string, Field<unknown>>)
  const secrets = rows.filter(({ secret }) => secret).map(({ name }) => `KEYTURN_${name}`)
  const [, sentence = ''] =
    /lists\s+all of them\.([^.]+)can\s+come from a file/.exec(read('docs/settings.md')) ?? []
  t.same(sentence.match(/KEYTURN_\w+/g), secrets)
})

t.test('the commands table lists every command with all its options', async (t) => {
  const expected = (await commandTree()).map(({ usage, description, options }) => [
    code(usage),
    description,
    options.map(code).join(' '),
  ])
  t.same(tableBelow(read('docs/commands.md'), '# Commands'), expected)
})

t.test('the endpoints table lists every endpoint', async (t) => {
  const shown = tableBelow(read('docs/http.md'), '## Endpoints').flatMap(([cell = '']) =>
    cell.match(/`[A-Z]+ \/[^`]*`/g),
  )
  const posts = protocolEndpoints.map(({ path }) => `POST ${path}`)
  const lists = [`${STATUS_LISTS_PATH}/<n>`, STATUS_AGGREGATION_PATH]
  const browserPaths = [AUTHORIZE_PATH, LOGOUT_PATH]
  const opened = protocolEndpoints.filter(({ needsToken }) => needsToken).map(({ path }) => path)
  const gets = [
    ...browserPaths,
    ...opened,
    JWKS_PATH,
    OAUTH_METADATA,
    OPENID_METADATA,
    ...lists,
    METRICS_PATH,
    '/health/live',
    '/health/ready',
  ]
  t.same(
    shown.sort(),
    [...posts, ...browserPaths.map((path) => `POST ${path}`), ...gets.map((path) => `GET ${path}`)]
      .map(code)
      .sort(),
  )
})

interface CommandLine {
  /** With its required arguments: `keyturn apis create <identifier> --scope <scope>`. */
  readonly usage: string
  readonly description: string
  /** Optional arguments besides `--json` and `--help`, which every command takes, and `--server`, which docs/remote.md explains. */
  readonly options: readonly string[]
}

/** Every command, as listed by `keyturn --help`. */
async function commandTree(): Promise<CommandLine[]> {
  const io = { operator: 'nobody', columns: 100, out: () => {}, err: () => {} } as unknown as Io
  return leaves(await createProgram(createContext(io)), [])
}

function leaves(command: Command, above: readonly string[]): CommandLine[] {
  const path = [...above, command.name()]
  const below = command.commands.flatMap((child) => leaves(child as Command, path))
  if (!command.options.some((option) => option.long === '--json')) return below
  const options = command.options.filter(({ long }) => long !== '--json' && long !== '--server')
  const words = [
    ...path,
    ...command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)),
    ...options.filter((option) => option.mandatory).map((option) => option.flags),
  ]
  return [
    {
      usage: words.join(' '),
      description: command.description(),
      options: options.filter((option) => !option.mandatory).map((option) => option.flags),
    },
    ...below,
  ]
}
