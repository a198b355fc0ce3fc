/** Prints changes of the declared state as a person would write them down. */
import type { Change, FieldChange } from '../admin/declared/changes.ts'
import { KIND_RULES } from '../admin/declared/kinds.ts'
import { durationText } from '../config/parsers.ts'
import { printable } from '../printable.ts'
import { count, record } from './output.ts'

const SIGNS = { create: '+', update: '~', delete: '-' } as const

/** @param secret that was generated for the client */
export function changeText(change: Change, secret?: string): string {
  const { kind, id, action, fields, secret: reference } = change
  const rows = Object.entries(fields).flatMap(([name, value]) =>
    name === 'scope_texts' ? textRows(value) : [[name, valueText(change, name, value)] as const],
  )
  if (secret !== undefined) rows.push(['client_secret', secret])
  else if (reference !== undefined) rows.push(['secret', referenceText(reference)])
  const lines = rows.length === 0 ? '' : record(Object.fromEntries(rows)).replaceAll(/^(?=.)/gm, '    ')
  return `${SIGNS[action]} ${KIND_RULES[kind].noun} ${printable(id)}\n${lines}`
}

function valueText({ kind, action }: Change, name: string, { from, to }: FieldChange): string {
  const { items } = KIND_RULES[kind].fields[name] ?? {}
  if (action === 'create') return items ? items(to).join(' ') : scalarText(name, to)
  if (!items) return `${scalarText(name, from)} → ${scalarText(name, to)}`
  const before = items(from)
  const after = items(to)
  return [
    ...before.filter((item) => !after.includes(item)).map((item) => `- ${item}`),
    ...after.filter((item) => !before.includes(item)).map((item) => `+ ${item}`),
  ].join('  ')
}

function scalarText(name: string, value: unknown): string {
  if (name === 'access_token_ttl') return value === null ? 'default' : durationText(Number(value))
  if (value === null || value === '') return 'none'
  if (name === 'jwks') return keysText(value as { keys: readonly { kid?: unknown }[] })
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const keysText = ({ keys }: { readonly keys: readonly { readonly kid?: unknown }[] }): string =>
  `${count(keys.length, 'key')} (${keys.map(({ kid }) => kid ?? 'without kid').join(', ')})`

/** One row for each scope whose text changes. */
function textRows({ from, to }: FieldChange): (readonly [string, string])[] {
  const before = (from ?? {}) as Record<string, string>
  const after = to as Record<string, string>
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((scope) => before[scope] !== after[scope])
    .map((scope) => [
      `text of ${scope}`,
      from === undefined ? (after[scope] ?? '') : `${before[scope] ?? 'none'} → ${after[scope] ?? 'none'}`,
    ])
}

function referenceText(reference: NonNullable<Change['secret']>): string {
  if ('from_file' in reference) return `from the file ${reference.from_file}`
  return 'from_env' in reference
    ? `from the environment variable ${reference.from_env}`
    : 'generated, shown once'
}

const WORDS = {
  create: ['to create', 'created'],
  update: ['to change', 'changed'],
  delete: ['to delete', 'deleted'],
} as const

export function summaryText(changes: readonly Change[], dryRun: boolean): string {
  if (changes.length === 0) return 'nothing to change\n'
  const parts = (['create', 'update', 'delete'] as const)
    .map((action) => ({ action, number: changes.filter((change) => change.action === action).length }))
    .filter(({ number }) => number > 0)
    .map(({ action, number }) => `${number} ${WORDS[action][dryRun ? 0 : 1]}`)
  return `${parts.join(', ')}${dryRun ? '; this was a dry run' : ''}\n`
}

/** The JSON of a change. */
export function changeView({ kind, id, action, fields }: Change, secret?: string) {
  return {
    kind,
    id,
    action,
    ...(Object.keys(fields).length === 0 ? {} : { fields }),
    ...(secret === undefined ? {} : { client_secret: secret }),
  }
}
