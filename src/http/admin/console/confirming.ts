/**
 * Acts that take something away: a page that says what follows, and the act. If the resource has changed since the page was opened,
 * the page comes again and shows what has changed. Must not know any resource.
 */
import type { FastifyReply } from 'fastify'
import { AdminError, PROBLEMS } from '../../../admin/errors.ts'
import type { Changed, Found } from '../../../admin/verbs.ts'
import type { Asked } from '../../../views/admin/confirm.ts'
import type { FormField, Values } from '../../../views/admin/form.ts'
import type { HiddenFields } from '../../../views/forms.ts'
import { changesSince, revisionOf, seenFields, seenIn } from './seen.ts'
import type { PlaceRoute, Visit } from './visit.ts'

/** @typeParam R what the act returns */
export interface Confirming<T, R = unknown> {
  readonly hidden: HiddenFields
  readonly find: () => Promise<Found<T>>
  /** What the page shows of the resource, to tell what others have changed. */
  readonly values: (value: T) => Values
  readonly labels: readonly FormField[]
  readonly render: (found: Found<T>, asked: Asked) => string | Promise<string>
  readonly act: (options: {
    readonly ifMatch: number | undefined
    readonly force: boolean
  }) => Promise<Changed<R>>
  /** The label of the box that insists, if it is not about administrators who would be locked out. */
  readonly insist?: string
  readonly acted: (changed: Changed<R>) => FastifyReply | Promise<FastifyReply>
}

/** The page that says what follows, and the act. */
export const confirmRoutes = <T, R>(
  path: string,
  confirming: (visit: Visit) => Confirming<T, R> | Promise<Confirming<T, R>>,
): readonly PlaceRoute[] => [
  ['GET', path, async (visit) => askFirst(visit, await confirming(visit))],
  ['POST', path, async (visit) => confirmed(visit, await confirming(visit))],
]

async function askFirst<T, R>(visit: Visit, confirming: Confirming<T, R>): Promise<FastifyReply> {
  const found = await confirming.find()
  return render(visit, confirming, found, { problem: null, insist: null, changes: null }, 200)
}

async function confirmed<T, R>(visit: Visit, confirming: Confirming<T, R>): Promise<FastifyReply> {
  const { request, page } = visit
  const { find, values, labels, act, acted } = confirming
  let outcome: Changed<R>
  try {
    outcome = await act({ ifMatch: revisionOf(request), force: request.form.get('force') === 'yes' })
  } catch (error) {
    if (!(error instanceof AdminError) || error.problem === 'not-found') throw error
    const { status } = PROBLEMS[error.problem]
    const found = await find()
    if (error.problem !== 'precondition-failed') {
      const insist = error.problem === 'force-needed' ? (confirming.insist ?? page.words.common.force) : null
      return render(visit, confirming, found, { problem: error.message, insist, changes: null }, status)
    }
    const now = values(found.value)
    const seen = seenIn(request, Object.keys(now))
    const changes = changesSince(seen, now, labels, page.words)
    return render(visit, confirming, found, { problem: null, insist: null, changes }, status)
  }
  return acted(outcome)
}

async function render<T, R>(
  { send }: Visit,
  confirming: Confirming<T, R>,
  found: Found<T>,
  asked: Omit<Asked, 'hidden'>,
  status: number,
): Promise<FastifyReply> {
  const hidden = { ...confirming.hidden, ...seenFields(found, confirming.values(found.value)) }
  return send(await confirming.render(found, { ...asked, hidden }), status)
}
