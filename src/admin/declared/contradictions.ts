/** What the document says, but cannot be true on this server: one line each, with the place. Pure. */
import { PROTOCOL_SCOPES } from '../../oauth/scope.ts'
import { ADMIN_ROLE, isAdminScope } from '../built-ins.ts'
import {
  type Change,
  findResource,
  idOf,
  keyOf,
  type Resource,
  type ServerState,
  scopesOf,
} from './changes.ts'
import { type Entry, entriesOfKind } from './entries.ts'
import { current, KIND_RULES, type Kind, needsSecret } from './kinds.ts'

interface Planned {
  readonly entries: readonly Entry[]
  readonly server: ServerState
  readonly changed: readonly Change[]
  readonly deleted: readonly Change[]
}

export function contradictions(planned: Planned, allowUnowned: boolean): readonly string[] {
  return [
    ...missingSecrets(planned),
    ...takenScopes(planned),
    ...(allowUnowned ? [] : unownedScopes(planned)),
    ...unknownNames(planned),
  ]
}

/** Resources that the document does not name and that stay. */
function others(kind: Kind, { entries, server, deleted }: Planned): readonly Resource[] {
  const named = new Set([
    ...entriesOfKind(entries, kind).map(({ id }) => keyOf(kind, id)),
    ...deleted.filter((change) => change.kind === kind).map(({ id }) => keyOf(kind, id)),
  ])
  return [...server[kind]].filter(([key]) => !named.has(key)).map(([, resource]) => resource)
}

function missingSecrets({ server, changed }: Planned): string[] {
  return changed
    .filter(({ kind, secret }) => kind === 'client' && secret === undefined)
    .flatMap(({ kind, id, entry }) => {
      const existing = findResource(server, { kind, id })
      if (!entry || !needsSecret(entry.fields) || (existing && needsSecret(existing.value))) return []
      return [
        `${entry.placeOf()}: the client ${entry.id} needs a secret: { from_file: … }, { from_env: … } or { generate: true }`,
      ]
    })
}

/** An API that the document does not name keeps its scopes. */
function takenScopes(planned: Planned): string[] {
  const owners = new Map(
    others('api', planned).flatMap((api) => scopesOf(api).map((scope) => [scope, idOf('api', api)])),
  )
  return entriesOfKind(planned.entries, 'api').flatMap(({ fields, placeOf }) =>
    (fields.scopes as string[])
      .filter((scope) => owners.has(scope))
      .map(
        (scope) =>
          `${placeOf('scopes')}: ${scope} is a scope of ${owners.get(scope)}, which is not in the document: declare that API too, without the scope`,
      ),
  )
}

/** The member with scopes that an API must have. */
const SCOPE_MEMBERS: readonly (readonly [Kind, string])[] = [
  ['role', 'scopes'],
  ['client', 'scope'],
]

/** As in the commands, only scopes that are added need an owner. */
function unownedScopes(planned: Planned): string[] {
  const { entries, server } = planned
  const owned = new Set([
    ...PROTOCOL_SCOPES,
    ...entriesOfKind(entries, 'api').flatMap(({ fields }) => fields.scopes as string[]),
    ...others('api', planned).flatMap(scopesOf),
  ])
  return SCOPE_MEMBERS.flatMap(([kind, member]) => {
    const items = KIND_RULES[kind].fields[member]?.items ?? (() => [])
    return entriesOfKind(entries, kind).flatMap((entry) => {
      const existing = findResource(server, entry)
      const before = existing ? items(current(kind, existing.value, member)) : []
      return items(entry.fields[member])
        .filter((scope) => !owned.has(scope) && !before.includes(scope) && !isAdminScope(scope))
        .map(
          (scope) =>
            `${entry.placeOf(member)}: no API has the scope ${scope}: add it to one, or give --allow-unowned`,
        )
    })
  })
}

/** Roles of users, and APIs that clients introspect. */
function unknownNames(planned: Planned): string[] {
  const { entries, server } = planned
  const exists = (kind: Kind) => {
    const declared = entriesOfKind(entries, kind).map(({ id }) => id)
    const ids = [...declared, ...others(kind, planned).map((resource) => idOf(kind, resource))]
    const keys = new Set(ids.map((id) => keyOf(kind, id)))
    return (id: string) => keys.has(keyOf(kind, id))
  }
  const roleExists = exists('role')
  const apiExists = exists('api')
  const roles = entriesOfKind(entries, 'user').flatMap(({ fields, placeOf }) =>
    (fields.roles as string[])
      .filter((role) => role !== ADMIN_ROLE && !roleExists(role))
      .map((role) => `${placeOf('roles')}: there is no role ${role}`),
  )
  const apis = entriesOfKind(entries, 'client').flatMap((entry) => {
    const before = (findResource(server, entry)?.value.introspects ?? []) as readonly string[]
    return (entry.fields.introspects as string[])
      .filter((api) => !apiExists(api) && !before.includes(api))
      .map((api) => `${entry.placeOf('introspects')}: there is no API ${api}`)
  })
  return [...roles, ...apis]
}
