/**
 * The order of changes. What others need comes first, and what is taken away goes last, so that users and clients have no gap. A scope
 * that moves from one API to another leaves the one before the other gets it, because no scope has two owners. Pure.
 */
import { type Change, idOf, type ServerState, type Step, scopesOf } from './changes.ts'
import { DocumentError } from './document-error.ts'
import type { Fields } from './kinds.ts'

/** @throws {DocumentError} if APIs exchange all their scopes */
export function inOrder(
  server: ServerState,
  changed: readonly Change[],
  deleted: readonly Change[],
): readonly Step[] {
  const isApi = ({ kind }: Change) => kind === 'api'
  const apis = changed.filter(isApi)
  const moved = new Set(apis.flatMap(gained))
  const shrinking = apis.filter(
    (change) =>
      lost(change).length > 0 && ![...lost(change), ...gained(change)].some((scope) => moved.has(scope)),
  )
  const growing = apis.filter((change) => !shrinking.includes(change))
  const { steps, left } = apiSteps(server, growing, deleted.filter(isApi))
  return [
    ...steps,
    ...changed.filter((change) => !isApi(change)).map(stepOf),
    ...shrinking.map(stepOf),
    ...deleted.filter((change) => !isApi(change)).map(stepOf),
    ...left.map(stepOf),
  ]
}

const scopesIn = (value: unknown): readonly string[] => (value ?? []) as readonly string[]

/** Scopes that an API gets. */
const gained = ({ fields: { scopes } }: Change): readonly string[] =>
  scopesIn(scopes?.to).filter((scope) => !scopesIn(scopes?.from).includes(scope))

/** Scopes that an API has no longer. */
const lost = ({ fields: { scopes } }: Change): readonly string[] =>
  scopesIn(scopes?.from).filter((scope) => !scopesIn(scopes?.to).includes(scope))

const stepOf = (change: Change): Step => ({ change, action: change.action, body: bodyOf(change) })

/** @returns the steps, and the deletions that can wait until nothing refers to the APIs any more */
function apiSteps(
  server: ServerState,
  changed: readonly Change[],
  deleted: readonly Change[],
): { readonly steps: readonly Step[]; readonly left: readonly Change[] } {
  const steps: Step[] = []
  const owners = new Map<string, string>()
  for (const api of server.api.values())
    for (const scope of scopesOf(api)) owners.set(scope, idOf('api', api))
  const waiting = new Set(changed)
  const left = new Set(deleted)

  const heldBy = (id: string) => [...owners].filter(([, owner]) => owner === id).map(([scope]) => scope)
  function setHeld(id: string, scopes: readonly string[]): void {
    for (const scope of heldBy(id)) owners.delete(scope)
    for (const scope of scopes) owners.set(scope, id)
  }
  const wants = ({ fields: { scopes } }: Change) => scopesIn(scopes?.to)
  const isReady = (change: Change) =>
    wants(change).every((scope) => (owners.get(scope) ?? change.id) === change.id)

  /** Makes an API give up what another one waits for, although its own turn has not come. */
  function release(): boolean {
    for (const change of [...left, ...waiting]) {
      const held = heldBy(change.id)
      const wanted = new Set([...waiting].filter((other) => other !== change).flatMap(wants))
      const rest = held.filter((scope) => !wanted.has(scope))
      if (rest.length === held.length) continue
      if (rest.length > 0) {
        steps.push({ change, action: 'update', body: { scopes: rest } })
        setHeld(change.id, rest)
        return true
      }
      // An API is never without a scope.
      if (change.action !== 'delete') continue
      steps.push(stepOf(change))
      setHeld(change.id, [])
      left.delete(change)
      return true
    }
    return false
  }

  while (waiting.size > 0) {
    const ready = [...waiting].find(isReady)
    if (ready) {
      steps.push(stepOf(ready))
      if (ready.fields.scopes) setHeld(ready.id, wants(ready))
      waiting.delete(ready)
    } else if (!release()) {
      throw new DocumentError([...waiting].map(exchangeProblem), 1)
    }
  }
  return { steps, left: [...left] }
}

function exchangeProblem({ id, entry }: Change): string {
  const place = entry ? `${entry.placeOf('scopes')}: ` : ''
  return `${place}${id} would exchange all its scopes with another API, and an API is never without a scope: do it in two steps`
}

/** The members as the verbs take them: a merge patch (RFC 7396), in which null removes a text that is no longer there. */
function bodyOf({ fields, entry }: Change): Fields {
  const body: Record<string, unknown> = Object.fromEntries(
    Object.entries(fields).map(([name, { to }]) => [name, to]),
  )
  const { scope_texts: texts } = fields
  if (texts?.from !== undefined) {
    const removed = Object.keys(texts.from as object).map((scope) => [scope, null])
    body.scope_texts = { ...Object.fromEntries(removed), ...(texts.to as object) }
  }
  // The first keys of a client would otherwise change how it authenticates.
  if (fields.jwks || fields.jwks_uri)
    body.token_endpoint_auth_method = entry?.fields.token_endpoint_auth_method
  return body
}
