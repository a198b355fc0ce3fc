import type { AuditEventView } from '../../../admin/audit.schema.ts'
import { type LastHour, overviewPage, type ShownCount } from '../../../views/admin/overview.ts'
import { shownRing, verifiersOf } from './keys.ts'
import { type ConsoleRoute, routesOf, type Visit } from './visit.ts'

/** A row of the audit log stands for many events when there are many, so this is enough to count an hour. */
const MAX_ROWS = 1000

/** Numbers of the whole cluster. The metrics of a node know only its own, since its start. */
async function lastHour({ admin }: Visit): Promise<LastHour> {
  const count = async (event: AuditEventView['event']): Promise<ShownCount> => {
    const { items, next_cursor } = (await admin.audit.list({ since: '1h', event, limit: MAX_ROWS })).value
    return { count: items.reduce((sum, row) => sum + row.count, 0), more: next_cursor !== null }
  }
  const tokensIssued = await count('token.issued')
  const tokensRefused = await count('token.refused')
  const loginsSucceeded = await count('login.succeeded')
  const loginsFailed = await count('login.failed')
  return { tokensIssued, tokensRefused, loginsSucceeded, loginsFailed }
}

async function show(visit: Visit) {
  const { admin, page, send } = visit
  const ring = await admin.keys.find()
  const nodes = await admin.nodes.list({ limit: 100 })
  const { items: findings } = (await admin.findings.list()).value
  const audit = await admin.audit.list({ limit: 1 })
  const model = {
    ring: shownRing(ring.value),
    verifiers: await verifiersOf(admin),
    nodes: nodes.value.items.map(({ hostname, pid, version, state, behind, started_at, seen_at }) => ({
      name: `${hostname}:${pid}`,
      version,
      gone: state === 'gone',
      behind,
      startedAt: started_at,
      seenAt: seen_at,
    })),
    lastHour: await lastHour(visit),
    problems: findings.filter(({ ok }) => !ok),
    notes: audit.notes,
  }
  return send(overviewPage(model, page))
}

export const overviewRoutes: readonly ConsoleRoute[] = routesOf('overview', [['GET', '', show]])
