/** What planning produces, and what it reads. */
import type { SecretReference } from './document.schema.ts'
import type { Entry } from './entries.ts'
import { type Fields, KIND_RULES, type Kind } from './kinds.ts'

/** A resource of the server. */
export interface Resource {
  readonly value: Fields
  /** null if it is not known yet, as in lists. */
  readonly revision: number | null
}

/** By the keys of their ids. */
export type ServerState = Readonly<Record<Kind, ReadonlyMap<string, Resource>>>

export interface FieldChange {
  /** Not of a new resource. */
  readonly from?: unknown
  readonly to: unknown
}

export interface Change {
  readonly kind: Kind
  readonly id: string
  readonly action: 'create' | 'update' | 'delete'
  readonly fields: Readonly<Record<string, FieldChange>>
  /** The revision that was planned on; null for a new resource. */
  readonly revision: number | null
  /** null for a resource that is not declared. */
  readonly entry: Entry | null
  /** Set if the client gets a secret. */
  readonly secret?: SecretReference
}

/** One call of a verb. A change is complete with its last step. */
export interface Step {
  readonly change: Change
  readonly action: Change['action']
  readonly body: Fields
}

export const idOf = (kind: Kind, { value }: Pick<Resource, 'value'>): string =>
  String(value[KIND_RULES[kind].id])

/** Equal for ids of the same resource. */
export const keyOf = (kind: Kind, id: string): string => KIND_RULES[kind].idKey(id)

export const byKey = (kind: Kind, resources: readonly Resource[]): ReadonlyMap<string, Resource> =>
  new Map(resources.map((resource) => [keyOf(kind, idOf(kind, resource)), resource]))

export const findResource = (
  server: ServerState,
  { kind, id }: Pick<Entry, 'kind' | 'id'>,
): Resource | undefined => server[kind].get(keyOf(kind, id))

/** The scopes of an API or a role. */
export const scopesOf = ({ value }: Pick<Resource, 'value'>): readonly string[] =>
  (value.scopes ?? []) as readonly string[]
