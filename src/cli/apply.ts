import { resolve } from 'node:path'
import { type Made, makeChanges, planOn } from '../admin/declared/apply.ts'
import type { Change } from '../admin/declared/changes.ts'
import { MAX_DOCUMENT_BYTES, parseYaml } from '../admin/declared/document.ts'
import { entriesOf } from '../admin/declared/entries.ts'
import { readSecrets } from '../admin/declared/secrets.ts'
import { AdminError } from '../admin/errors.ts'
import { decodeText, readText, whyUnreadable } from '../text.ts'
import { confirmDelete, type DeleteOptions } from './confirm.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  fileName,
  UsageError,
} from './context.ts'
import { changeText, changeView, summaryText } from './declared-changes.ts'
import { explain } from './explain.ts'
import { count } from './output.ts'
import { allowUnownedOption, type ScopeChoice } from './scope-owners.ts'
import { readInput } from './secret-input.ts'

export const applyCommand: CommandFactory = (context) =>
  examples(
    action('apply', 'make the APIs, roles, clients and users match a document')
      .requiredOption('-f, --file <file>', 'the document, in YAML or JSON; - reads standard input', fileName)
      .option('--dry-run', 'show what would change, and change nothing')
      .option('--prune', 'delete APIs, roles and clients that are not in the document')
      .addOption(allowUnownedOption())
      .option('--yes', 'do not ask before deleting')
      .action((options: ApplyOptions) => apply(context, options)),
    'apply -f keyturn.yaml --dry-run',
    'apply -f keyturn.yaml',
    'apply -f keyturn.yaml --prune',
  )

interface ApplyOptions extends DeleteOptions, ScopeChoice {
  readonly file: string
  readonly dryRun?: boolean
  readonly prune?: boolean
}

async function apply(context: Context, options: ApplyOptions): Promise<void> {
  const { io } = context
  const { file, dryRun = false, prune = false, allowUnowned = false, json } = options
  const { text, name } = await readDocument(context, file)
  const entries = entriesOf(parseYaml(text, name))
  await context.withAdmin(async (admin) => {
    const steps = await planOn(admin, entries, { prune, allowUnowned })
    const changes = [...new Set(steps.map(({ change }) => change))]
    if (dryRun || changes.length === 0) {
      const lines = changes.map((change) => changeText(change)).join('')
      const views = changes.map((change) => changeView(change))
      return context.print(options, { changes: views }, lines + summaryText(changes, dryRun))
    }
    const secrets = readSecrets(steps, { document: resolve(io.cwd, name), env: io.env })
    await confirmDeletions(context, options, changes)
    const made: Made[] = []
    const onMade = (one: Made) => {
      made.push(one)
      // Printed at once: if a later change is refused, or the command is killed, the secret is not lost.
      if (!json) io.out(changeText(one.change, one.secret))
      for (const note of one.notes) context.note(note)
      io.failpoint?.('apply:changed')
    }
    const views = () => made.map(({ change, secret }) => changeView(change, secret))
    await makeChanges(admin, steps, { allowUnowned, secrets, onMade }).catch((error) => {
      throw made.length === 0 ? error : withChanges(error, views())
    })
    if (made.some(({ secret }) => secret !== undefined))
      context.note('the secrets are shown only once: save them now')
    context.print(options, { changes: views() }, summaryText(changes, false))
  })
}

/** An error after some changes. Applying the document again goes on from there. */
function withChanges(error: unknown, changes: readonly unknown[]): Error {
  const message = `${explain(error)} (${count(changes.length, 'change')} before this one ${changes.length === 1 ? 'was' : 'were'} made; apply the document again)`
  if (error instanceof AdminError)
    return new AdminError(error.problem, message, {
      cause: error,
      errors: error.errors,
      fields: { ...error.fields, changes },
    })
  return new CommandError(message, { changes })
}

async function confirmDeletions(
  context: Context,
  options: ApplyOptions,
  changes: readonly Change[],
): Promise<void> {
  const deleted = changes.filter((change) => change.action === 'delete')
  if (deleted.length === 0) return
  const list = deleted.map((change) => changeText(change).trim().slice(2)).join(', ')
  await confirmDelete(context, options, `Delete ${list}?`)
}

/** @throws {UsageError} */
async function readDocument(
  { io }: Context,
  file: string,
): Promise<{ readonly text: string; readonly name: string }> {
  try {
    if (file !== '-') return { text: readText(resolve(io.cwd, file)), name: file }
    return { text: decodeText(await readInput(io, MAX_DOCUMENT_BYTES)), name: 'standard input' }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${file === '-' ? 'standard input' : file} ${whyUnreadable(error)}`)
  }
}
