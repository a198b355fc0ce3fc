/**
 * The order of changes. What others need comes first, and what is deleted goes last, so that users and clients have no gap. A scope
 * that moves from one API to another leaves the one before the other gets it, because no scope has two owners. Pure.
 */
import { type Change, idOf, keyOf, type ServerState, type Step, scopesOf } from './changes.ts'
import { DocumentError } from './document-error.ts'
import { type Entry, entriesOfKind } from './entries.ts'
import type { Fields } from './kinds.ts'

/** @throws {DocumentError} if APIs exchange all their scopes */
export function inOrder(
  entries: readonly Entry[],
  server: ServerState,
  changed: readonly Change[],
  deleted: readonly Change[],
): readonly Step[] {
  const isApi = ({ kind }: Change) => kind === 'api'
  const { steps, left } = apiSteps(entries, server, changed.filter(isApi), deleted.filter(isApi))
  return [
    ...steps,
    ...changed.filter((change) => !isApi(change)).map(stepOf),
    ...deleted.filter((change) => !isApi(change)).map(stepOf),
    ...left.map(stepOf),
  ]
}

const stepOf = (change: Change): Step => ({ change, action: change.action, body: bodyOf(change) })

/** @returns the steps, and the deletions that can wait until nothing refers to the APIs any more */
function apiSteps(
  entries: readonly Entry[],
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
  const wants = ({ fields: { scopes } }: Change) => (scopes?.to ?? []) as readonly string[]
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
      throw new DocumentError(
        [...waiting].map((change) => exchangeProblem(entries, change)),
        1,
      )
    }
  }
  return { steps, left: [...left] }
}

function exchangeProblem(entries: readonly Entry[], { id }: Change): string {
  const entry = entriesOfKind(entries, 'api').find((one) => keyOf('api', one.id) === keyOf('api', id))
  const place = entry ? `${entry.placeOf('scopes')}: ` : ''
  return `${place}${id} would exchange all its scopes with another API, and an API is never without a scope: do it in two steps`
}

/** The members as the verbs take them: a merge patch (RFC 7396), in which null removes a text that is no longer there. */
function bodyOf({ fields }: Change): Fields {
  const body = Object.fromEntries(Object.entries(fields).map(([name, { to }]) => [name, to]))
  const { scope_texts: texts } = fields
  if (!texts || texts.from === undefined) return body
  const removed = Object.keys((texts.from ?? {}) as object).map((scope) => [scope, null])
  return { ...body, scope_texts: { ...Object.fromEntries(removed), ...(texts.to as object) } }
}
