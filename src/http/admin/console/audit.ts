import type { AuditEventView } from '../../../admin/audit.schema.ts'
import { AdminError, PROBLEMS } from '../../../admin/errors.ts'
import { AUDIT_EVENTS } from '../../../audit/events.ts'
import {
  AUDIT_FILTERS,
  type AuditFilters,
  auditPage,
  auditVerifyPage,
  type ShownEvent,
} from '../../../views/admin/audit.ts'
import { PAGE_SIZE } from './listing.ts'
import { type ConsoleRoute, routesOf, type Visit } from './visit.ts'

const KINDS = [...AUDIT_EVENTS].sort()

/** These have columns of their own. */
const SHOWN_ELSEWHERE = new Set(['actor', 'sub', 'client_id'])

const shownOf = ({
  seq,
  at,
  event,
  count,
  actor,
  sub,
  username,
  client_id,
  fields,
}: AuditEventView): ShownEvent => ({
  seq,
  at,
  event,
  count,
  // Readers know people by their names.
  actor: username !== null && actor === `user:${sub}` ? username : actor,
  user: username ?? sub,
  clientId: client_id,
  fields: Object.entries(fields)
    .filter(([name]) => !SHOWN_ELSEWHERE.has(name))
    .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
})

async function list({ request, admin, page, send }: Visit) {
  const { query } = request
  const filters: AuditFilters = {}
  for (const name of AUDIT_FILTERS) {
    const value = query.get(name)?.trim().slice(0, 200)
    if (value) filters[name] = value
  }
  const cursor = query.get('cursor')
  const model = { filters, kinds: KINDS, continued: cursor !== undefined }
  try {
    const { value, notes } = await admin.audit.list({ ...filters, cursor, limit: PAGE_SIZE })
    const events = value.items.map(shownOf)
    const whole = { ...model, events, nextCursor: value.next_cursor, notes, problem: null }
    return send(auditPage(whole, page))
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    const { status } = PROBLEMS[error.problem]
    const refused = { ...model, events: [], nextCursor: null, notes: [], problem: error.message }
    return send(auditPage(refused, page), status)
  }
}

/** By POST, because the whole log is read, and a link of another site must not cause that. */
async function verify({ request, admin, page, send }: Visit) {
  const anchor = request.form.get('anchor')?.trim() ?? ''
  try {
    const { value, notes } = await admin.audit.verify(anchor === '' ? undefined : anchor)
    const verdict = { ...value, prunedTo: value.pruned_to, notes }
    return send(auditVerifyPage({ verdict, anchor, problem: null }, page))
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    const { status } = PROBLEMS[error.problem]
    return send(auditVerifyPage({ verdict: null, anchor, problem: error.message }, page), status)
  }
}

const askVerify = async ({ page, send }: Visit) =>
  send(auditVerifyPage({ verdict: null, anchor: '', problem: null }, page))

export const auditRoutes: readonly ConsoleRoute[] = routesOf('audit', [
  ['GET', '', list],
  ['GET', '/verify', askVerify],
  ['POST', '/verify', verify],
])
