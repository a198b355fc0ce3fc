/**
 * Declared state and what the server has → the steps between them, in an order in which each of them is permitted. Pure; must not
 * know how steps are done or printed.
 */
import {
  type Change,
  findResource,
  idOf,
  keyOf,
  type Resource,
  type ServerState,
  type Step,
} from './changes.ts'
import { contradictions } from './contradictions.ts'
import { DocumentError } from './document-error.ts'
import { type Entry, entriesOfKind } from './entries.ts'
import { current, isSame, type Kind, needsSecret, withoutDefaults } from './kinds.ts'
import { inOrder } from './order.ts'
import { brokenRules } from './rules.ts'

export interface PlanOptions {
  /** Delete APIs, roles and clients that are not declared. */
  readonly prune: boolean
  /** Accept scopes that no API has. */
  readonly allowUnowned: boolean
}

/** @throws {DocumentError} if the declared state breaks a rule, or contradicts what the server has */
export function plan(
  entries: readonly Entry[],
  server: ServerState,
  { prune, allowUnowned }: PlanOptions,
): readonly Step[] {
  const changed = entries.flatMap((entry) => changeOf(entry, findResource(server, entry)) ?? [])
  const broken = brokenRules(changed)
  if (broken.length > 0) throw new DocumentError(broken)
  const deleted = prune ? removals(entries, server) : []
  const problems = contradictions({ entries, server, changed, deleted }, allowUnowned)
  if (problems.length > 0) throw new DocumentError(problems, 1)
  return inOrder(server, changed, deleted)
}

function changeOf(entry: Entry, existing: Resource | undefined): Change | null {
  const { kind, fields, secret } = entry
  if (!existing) {
    const given = Object.entries(withoutDefaults(kind, fields))
    return {
      kind,
      id: entry.id,
      action: 'create',
      fields: Object.fromEntries(given.map(([name, to]) => [name, { to }])),
      revision: null,
      entry,
      ...(secret === undefined ? {} : { secret }),
    }
  }
  const changes = Object.entries(fields)
    .map(([name, to]) => ({ name, from: current(kind, existing.value, name), to }))
    .filter(({ name, from, to }) => !isSame(kind, name, from, to))
  if (changes.length === 0) return null
  const getsSecret = kind === 'client' && needsSecret(fields) && !needsSecret(existing.value)
  return {
    kind,
    id: idOf(kind, existing),
    action: 'update',
    fields: Object.fromEntries(changes.map(({ name, from, to }) => [name, { from, to }])),
    revision: existing.revision,
    entry,
    ...(getsSecret && secret !== undefined ? { secret } : {}),
  }
}

/** Users are people: none is deleted because a document does not have them. */
const PRUNED: readonly Kind[] = ['client', 'role', 'api']

function removals(entries: readonly Entry[], server: ServerState): Change[] {
  return PRUNED.flatMap((kind) => {
    const declared = new Set(entriesOfKind(entries, kind).map(({ id }) => keyOf(kind, id)))
    return [...server[kind]]
      .filter(([key]) => !declared.has(key))
      .map(([, resource]) => {
        const { revision } = resource
        return { kind, id: idOf(kind, resource), action: 'delete', fields: {}, revision, entry: null }
      })
  })
}
