import type { Finding } from '../admin/checks/finding.ts'
import { printable } from '../printable.ts'
import { AlreadyReported, action, type CommandFactory, type Context, examples, type Json } from './context.ts'

export const doctorCommand: CommandFactory = (context) =>
  examples(
    action(
      'doctor',
      'check settings, files, disk space, clock, store, key ring and the running server; changes nothing',
    ).action((options: Json) => doctor(context, options)),
    'doctor',
    'doctor --json',
    'doctor --server https://auth.example',
  )

async function doctor(context: Context, options: Json): Promise<void> {
  const findings = await findingsOf(context)
  const width = Math.max(0, ...findings.map(({ check }) => String(check).length))
  const lines = findings.map(
    ({ check, ok, message }) =>
      `${ok ? 'ok' : '✗ '}  ${printable(String(check).padEnd(width))}  ${printable(String(message))}`,
  )
  context.print(options, findings, lines.join('\n'))
  if (findings.some(({ ok }) => !ok)) throw new AlreadyReported()
}

/** Another server checks itself, as far as a serving process can. */
async function findingsOf(context: Context): Promise<readonly Finding[]> {
  if (context.server?.explicit)
    return context.withAdmin(async ({ findings }) => (await findings.list()).value.items)
  // Loaded here, because the checks need much that a request to another server does not.
  const { runChecks } = await import('./doctor-checks.ts')
  return runChecks(context.io)
}
