/** The document as a list of resources in the names and units of the HTTP API. Must not know the server. */
import { duration } from '../../config/parsers.ts'
import { ADMIN_ROLE, COMMAND_LINE_CLIENT, isAdminScope } from '../built-ins.ts'
import type { SecretReference } from './document.schema.ts'
import type { ParsedDocument, Path } from './document.ts'
import { DocumentError } from './document-error.ts'
import { type Fields, KIND_RULES, KINDS, type Kind, needsSecret } from './kinds.ts'

/** One resource of the document. */
export interface Entry {
  readonly kind: Kind
  readonly id: string
  /** Every member that the document decides: those that are left out have their defaults. */
  readonly fields: Fields
  /** Where the secret of a new client comes from. */
  readonly secret: SecretReference | undefined
  /** The place of a member in the document, or of the whole entry. */
  readonly placeOf: (member?: string) => string
}

export const entriesOfKind = (entries: readonly Entry[], wanted: Kind): readonly Entry[] =>
  entries.filter(({ kind }) => kind === wanted)

/** The limits of the option and of the setting. */
const ttl = duration('1s', '24h')

/** @throws {DocumentError} if entries contradict each other, or declare what is built in */
export function entriesOf({ value, placeOf }: ParsedDocument): readonly Entry[] {
  const problems: string[] = []
  const entries = KINDS.flatMap((kind) =>
    ((value[KIND_RULES[kind].section] ?? []) as readonly Fields[]).map((given, index) =>
      entryOf(kind, given, [KIND_RULES[kind].section, index], placeOf, problems),
    ),
  )
  refuseDuplicates(entries, problems)
  refuseSharedScopes(entries, problems)
  for (const entry of entries) {
    const built = builtIn(entry)
    if (built !== null) problems.push(`${entry.placeOf()}: ${built} is built in and cannot be declared`)
    if (entry.secret && !needsSecret(entry.fields)) {
      const method = entry.fields.token_endpoint_auth_method
      problems.push(`${entry.placeOf('secret')}: a client that authenticates with ${method} has no secret`)
    }
  }
  if (problems.length > 0) throw new DocumentError(problems)
  return entries
}

function entryOf(
  kind: Kind,
  given: Fields,
  path: Path,
  placeOf: (path: Path) => string,
  problems: string[],
): Entry {
  const rule = KIND_RULES[kind]
  const { [rule.id]: id, secret, ...members } = given
  const declared = { ...members, ...apiScopes(kind, members) }
  if (members.access_token_ttl !== undefined) {
    try {
      declared.access_token_ttl = ttl(String(members.access_token_ttl))
    } catch (error) {
      problems.push(`${placeOf([...path, 'access_token_ttl'])}: access_token_ttl ${(error as Error).message}`)
    }
  }
  return {
    kind,
    id: String(id),
    fields: withDefaults(kind, declared),
    secret: secret as SecretReference | undefined,
    placeOf: (member) => placeOf(member === undefined ? path : [...path, member]),
  }
}

/** In the document, one member has the scopes of an API and their texts. */
function apiScopes(kind: Kind, { scopes }: Fields): Record<string, unknown> {
  if (kind !== 'api') return {}
  if (Array.isArray(scopes)) return { scope_texts: {} }
  const texts = Object.entries(scopes as Record<string, string | null>)
  return {
    scopes: texts.map(([scope]) => scope),
    scope_texts: Object.fromEntries(texts.filter(([, text]) => text !== null)),
  }
}

function withDefaults(kind: Kind, declared: Fields): Fields {
  const fields: Record<string, unknown> = {}
  for (const [name, { byDefault }] of Object.entries(KIND_RULES[kind].fields)) {
    // A default may depend on members that stand before it in the table, which are complete by now.
    if (declared[name] !== undefined) fields[name] = declared[name]
    else {
      const value = byDefault?.({ ...declared, ...fields })
      if (value !== undefined) fields[name] = value
    }
  }
  return fields
}

function refuseDuplicates(entries: readonly Entry[], problems: string[]): void {
  const seen = new Set<string>()
  for (const { kind, id, placeOf } of entries) {
    const { idKey, noun, id: member } = KIND_RULES[kind]
    const key = `${kind} ${idKey(id)}`
    if (seen.has(key)) problems.push(`${placeOf(member)}: the ${noun} ${id} is declared twice`)
    seen.add(key)
  }
}

/** A scope determines the audience of a token, so it belongs to one API (RFC 9068 §3). */
function refuseSharedScopes(entries: readonly Entry[], problems: string[]): void {
  const owners = new Map<string, string>()
  for (const { id, fields, placeOf } of entries.filter(({ kind }) => kind === 'api')) {
    for (const scope of new Set(fields.scopes as string[])) {
      const owner = owners.get(scope)
      if (owner !== undefined) problems.push(`${placeOf('scopes')}: ${scope} is a scope of ${owner} too`)
      owners.set(scope, id)
    }
  }
}

function builtIn({ kind, id, fields }: Entry): string | null {
  if (kind === 'role' && id === ADMIN_ROLE) return `the role ${id}`
  if (kind === 'client' && id === COMMAND_LINE_CLIENT) return `the client ${id}`
  if (kind !== 'api') return null
  const scope = (fields.scopes as string[]).find(isAdminScope)
  return scope === undefined ? null : `the scope ${scope}`
}
