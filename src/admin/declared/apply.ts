/** Reads what the server has through the verbs of administration, plans, and makes the changes. Must not print anything. */
import type { Admin } from '../admin.ts'
import { AdminError } from '../errors.ts'
import type { Changed } from '../verbs.ts'
import { byKey, type Change, keyOf, type Resource, type ServerState, type Step } from './changes.ts'
import { type Entry, entriesOfKind } from './entries.ts'
import { KIND_RULES, type Kind } from './kinds.ts'
import { type PlanOptions, plan } from './plan.ts'
import { type KindVerbs, type VerbOptions, verbsOf } from './verbs.ts'

/** @throws {DocumentError | AdminError} */
export async function planOn(
  admin: Admin,
  entries: readonly Entry[],
  options: PlanOptions,
): Promise<readonly Step[]> {
  const verbs = verbsOf(admin)
  const listed = await serverState(verbs, entries)
  const steps = plan(entries, listed, options)
  // Lists have no revisions. What is to be changed is read again, and planned on as it is then.
  const state: Record<Kind, Map<string, Resource>> = {
    api: new Map(listed.api),
    role: new Map(listed.role),
    client: new Map(listed.client),
    user: new Map(listed.user),
  }
  for (const { kind, id, action, revision } of new Set(steps.map(({ change }) => change))) {
    if (action === 'create' || revision !== null) continue
    const found = await findOrNull(verbs[kind], id)
    if (found) state[kind].set(keyOf(kind, id), found)
    else state[kind].delete(keyOf(kind, id))
  }
  return plan(entries, state, options)
}

async function serverState(
  verbs: Readonly<Record<Kind, KindVerbs>>,
  entries: readonly Entry[],
): Promise<ServerState> {
  const users: Resource[] = []
  // There may be a million users, of whom the document names a few.
  for (const { id } of entriesOfKind(entries, 'user')) {
    const found = await findOrNull(verbs.user, id)
    if (found) users.push(found)
  }
  const listed = async (kind: Kind) =>
    byKey(
      kind,
      (await verbs[kind].all()).map((value) => ({ value, revision: null })),
    )
  return {
    api: await listed('api'),
    role: await listed('role'),
    client: await listed('client'),
    user: byKey('user', users),
  }
}

async function findOrNull(verbs: KindVerbs, id: string): Promise<Resource | null> {
  try {
    return await verbs.find(id)
  } catch (error) {
    if (error instanceof AdminError && error.problem === 'not-found') return null
    throw error
  }
}

/** A change that has been made. */
export interface Made {
  readonly change: Change
  /** The secret that was generated, which is shown once. */
  readonly secret: string | undefined
  readonly notes: readonly string[]
}

export interface ApplyDeps {
  readonly allowUnowned: boolean
  /** The secrets that the document refers to, by client. A client that is not in it gets a generated one. */
  readonly secrets: ReadonlyMap<string, string>
  /** Called after each change. */
  readonly onMade: (made: Made) => void
}

/**
 * Makes the changes one after the other. If one is refused, those before it are made, and applying the document again goes on from
 * there.
 * @throws {AdminError} precondition-failed, if a resource has changed since it was planned on
 */
export async function makeChanges(
  admin: Admin,
  steps: readonly Step[],
  { allowUnowned, secrets, onMade }: ApplyDeps,
): Promise<void> {
  const verbs = verbsOf(admin)
  const revisions = new Map<Change, number | null>()
  const notes = new Map<Change, string[]>()
  for (const [index, { change, action, body }] of steps.entries()) {
    const ifMatch = revisions.get(change) ?? change.revision ?? undefined
    const options = { allowUnowned, ifMatch, secret: change.secret && secrets.get(change.id) }
    const outcome = await makeStep(verbs[change.kind], { change, action, body }, options).catch((error) => {
      throw error instanceof AdminError ? withPlace(error, change) : error
    })
    revisions.set(change, outcome.revision)
    notes.set(change, [...(notes.get(change) ?? []), ...outcome.notes])
    if (steps.slice(index + 1).some((later) => later.change === change)) continue
    const { client_secret: secret } = outcome.value as { client_secret?: string }
    onMade({ change, secret, notes: notes.get(change) ?? [] })
  }
}

function makeStep(
  verbs: KindVerbs,
  { change: { id }, action, body }: Step,
  options: VerbOptions,
): Promise<Changed<unknown>> {
  if (action === 'create') return verbs.create(id, body, options)
  if (action === 'update') return verbs.update(id, body, options)
  return verbs.delete(id, options)
}

/** Says which change was refused, and where the document asks for it. */
function withPlace(error: AdminError, { kind, id, entry }: Change): AdminError {
  const { problem, errors, fields } = error
  const what = `the ${KIND_RULES[kind].noun} ${id}`
  const message =
    problem === 'precondition-failed'
      ? `${what} has changed since it was compared with the document: apply the document again`
      : error.message.includes(what)
        ? error.message
        : `${what}: ${error.message}`
  const place = entry ? `${entry.placeOf(errors[0]?.field)}: ` : ''
  return new AdminError(problem, place + message, { cause: error, errors, fields })
}
