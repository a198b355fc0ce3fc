/**
 * What the forms of all resources have in common: errors beside their fields, and two administrators at once. A form carries the
 * revision and the values that its administrator saw. If the resource has changed since, the page shows what has changed; the fields
 * that the administrator had not touched then have the new values. Must not know any resource.
 */
import type { FastifyReply } from 'fastify'
import { AdminError, invalidValue, PROBLEMS } from '../../../admin/errors.ts'
import type { Changed, Found, ScopeChoice } from '../../../admin/verbs.ts'
import type { FormField, ResourceForm, Values } from '../../../views/admin/form.ts'
import type { HiddenFields } from '../../../views/forms.ts'
import type { PageRequest } from '../../page-request.ts'
import { changesSince, normalized, revisionOf, seenFields, seenIn } from './seen.ts'
import type { PlaceRoute, Visit } from './visit.ts'

/** One item on each line. */
export const linesOf = (text: string | undefined): string[] =>
  (text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)

/** null for an empty field. */
export const textOf = (text: string | undefined): string | null => text || null

/** null for an empty field. @throws {AdminError} invalid-value */
export function numberOf(field: string, text: string | undefined): number | null {
  if (!text) return null
  if (!/^\d{1,10}$/.test(text)) throw invalidValue(field, `${field} must be a number`)
  return Number(text)
}

/** What a person insists on after a refusal. */
interface Choice extends ScopeChoice {
  readonly force: boolean
}

const readValues = ({ form }: PageRequest, fields: readonly FormField[]): Values =>
  Object.fromEntries(fields.map(({ name }) => [name, normalized(form.get(name))]))

const choiceOf = ({ form }: PageRequest): Choice => ({
  allowUnowned: form.get('allow_unowned') === 'yes',
  force: form.get('force') === 'yes',
})

/** @typeParam R what saving returns */
export interface Editing<T, R = unknown> {
  /** Below the issuer. */
  readonly path: string
  readonly cancel: string
  /** What identifies the resource, in the form. */
  readonly hidden: HiddenFields
  readonly fields: readonly FormField[]
  /** The values of a new form. */
  readonly initial: Values
  /** null for a new resource. */
  readonly resource: { find(): Promise<Found<T>>; values(value: T): Values } | null
  /** @param changed the names of the fields that the administrator has touched */
  readonly save: (
    values: Values,
    options: Choice & { readonly ifMatch: number | undefined },
    changed: ReadonlySet<string>,
  ) => Promise<Changed<R>>
  /** The response may show a secret, so a reload must not make another one. */
  readonly isOnce?: true
  /** Members of the request whose fields have another name. */
  readonly fieldNames?: Readonly<Record<string, string>>
  readonly render: (model: ResourceForm) => string
  /** Leads on after the change was stored. */
  readonly saved: (changed: Changed<R>, values: Values) => FastifyReply | Promise<FastifyReply>
}

/** The form, and where it is sent. */
export const formRoutes = <T, R>(
  path: string,
  editing: (visit: Visit) => Editing<T, R>,
): readonly PlaceRoute[] => [
  ['GET', path, (visit) => showForm(visit, editing(visit))],
  ['POST', path, (visit) => submitForm(visit, editing(visit))],
]

/** The form with what is stored. */
async function showForm<T, R>(visit: Visit, editing: Editing<T, R>): Promise<FastifyReply> {
  const { resource, render } = editing
  const found = await resource?.find()
  const values = found && resource ? resource.values(found.value) : editing.initial
  const hidden = {
    ...editing.hidden,
    ...(found ? seenFields(found, values) : {}),
    ...(editing.isOnce ? visit.onceField() : {}),
  }
  return visit.send(render({ ...modelOf(editing), hidden, values }))
}

function modelOf<T, R>({ path, cancel, hidden, fields, initial }: Editing<T, R>): ResourceForm {
  return { path, cancel, hidden, fields, values: initial, errors: {}, problem: null, changes: null }
}

async function submitForm<T, R>(visit: Visit, editing: Editing<T, R>): Promise<FastifyReply> {
  const { request, page } = visit
  const { fields, resource, save, saved, render } = editing
  const values = readValues(request, fields)
  const seen = seenIn(request, Object.keys(values))
  const changed = new Set(Object.keys(values).filter((name) => !seen.is(name, values[name] ?? '')))
  let outcome: Changed<R>
  try {
    const choice = { ...choiceOf(request), ifMatch: revisionOf(request) }
    const act = () => save(values, choice, changed)
    outcome = editing.isOnce ? await visit.once([editing.hidden, values, choice], act) : await act()
  } catch (error) {
    if (!(error instanceof AdminError) || error.problem === 'not-found') throw error
    const { status } = PROBLEMS[error.problem]
    const onceField = editing.isOnce ? visit.onceField() : {}
    if (error.problem === 'precondition-failed' && resource) {
      const found = await resource.find()
      const now = resource.values(found.value)
      const merged = Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, changed.has(name) ? value : (now[name] ?? '')]),
      )
      const hidden = { ...editing.hidden, ...seenFields(found, now), ...onceField }
      const changes = changesSince(seen, now, fields, page.words)
      return visit.send(render({ ...modelOf(editing), hidden, values: merged, changes }), status)
    }
    const again = { ...editing.hidden, ...(resource ? seen.fields : {}), ...onceField }
    const errors = Object.fromEntries(
      error.errors.map(({ field, message }) => [editing.fieldNames?.[field] ?? field, message]),
    )
    const shown = fields.some(({ name }) => Object.hasOwn(errors, name)) ? errors : {}
    const model = { ...modelOf(editing), hidden: again, values, errors: shown, problem: error.message }
    return visit.send(render({ ...model, fields: [...fields, ...insistence(error, page)] }), status)
  }
  return saved(outcome, values)
}

/** The box with which an administrator insists on what was refused. */
function insistence({ problem }: AdminError, { words }: Visit['page']): FormField[] {
  if (problem === 'unowned-scope')
    return [{ name: 'allow_unowned', label: words.common.allowUnowned, kind: 'check' }]
  if (problem === 'force-needed') return [{ name: 'force', label: words.common.force, kind: 'check' }]
  return []
}
