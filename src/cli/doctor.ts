import { AlreadyReported, action, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { runChecks } from './doctor-checks.ts'

export const doctorCommand: CommandFactory = (context) =>
  examples(
    action(
      'doctor',
      'check settings, files, disk space, clock, store, key ring and the running server; changes nothing',
    ).action((options: Json) => doctor(context, options)),
    'doctor',
    'doctor --json',
  )

async function doctor(context: Context, options: Json): Promise<void> {
  const findings = await runChecks(context.io)
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.map(
    ({ check, ok, message }) => `${ok ? 'ok' : '✗ '}  ${check.padEnd(width)}  ${message}`,
  )
  context.print(options, findings, lines.join('\n'))
  if (findings.some(({ ok }) => !ok)) throw new AlreadyReported()
}
