/** The audit log: what has happened, and whether someone has tampered with its copy in the store. */
import type { Anchor } from '../audit/anchor.ts'
import { fieldsOf } from '../audit/personal.ts'
import { type VerifyResult, verifyLog } from '../audit/verify.ts'
import { auditKeys } from '../keys/audit-keys.ts'
import { type SingleFlightByKey, singleFlightByKey } from '../single-flight.ts'
import type { AuditRow } from '../store/contracts/audit.ts'
import type { Store } from '../store/index.ts'
import { findRemains } from '../store/remains.ts'
import type { AuditEventView, AuditFiltersView, AuditVerdictView } from './audit.schema.ts'
import { createFilter } from './audit-filter.ts'
import type { LocalDeps } from './deps.ts'
import { conflict, invalidValue } from './errors.ts'
import { cursorOf, DEFAULT_LIMIT, keyOf } from './page.ts'
import type { Noted, Page, PageQuery } from './verbs.ts'

interface AuditQuery extends AuditFiltersView, Pick<PageQuery, 'limit' | 'cursor'> {}

export interface AuditAdmin {
  /** The newest first. @throws {AdminError} invalid-value; not-found, if no user or client of the name is known */
  list(query: AuditQuery): Promise<Noted<Page<AuditEventView>>>
  /** @param anchor an earlier end of the log, `<seq>:<hash>` @throws {AdminError} */
  verify(anchor?: string): Promise<Noted<AuditVerdictView>>
}

export function createAuditAdmin(deps: LocalDeps): AuditAdmin {
  const { store, config } = deps
  return {
    async list({ limit = DEFAULT_LIMIT, cursor, ...wanted }) {
      const filter = await createFilter(deps, wanted)
      await writePending(deps)
      const before = cursor === undefined ? {} : { before: positionOf(cursor) }
      const rows = await store.auditRows.find({ ...filter, ...before }, limit + 1)
      const shown = rows.slice(0, limit)
      const last = shown.at(-1)
      const names = await usernames(store, shown)
      return {
        value: {
          items: shown.map((row) => describe(row, names)),
          next_cursor: rows.length > limit && last ? cursorOf(`${last.at}:${last.seq}`) : null,
        },
        revision: null,
        notes:
          config.auditRetention === null
            ? ['KEYTURN_AUDIT_RETENTION is off: events are only in the server log']
            : [],
      }
    },

    async verify(text) {
      const anchor = text === undefined ? undefined : parseAnchor(text)
      if (anchor === null) throw invalidValue('anchor', 'anchor must be <seq>:<hash>')
      const { rows, head, prunedTo, signed, findings } = await inspectOnce(deps, anchor)
      return {
        value: {
          intact: findings.length === 0,
          rows,
          head,
          pruned_to: prunedTo,
          signed,
          findings: [...findings],
        },
        revision: null,
        notes: signed === null && rows > 0 ? ['the store has no key ring yet, so the log is not signed'] : [],
      }
    },
  }
}

/** null if the text is not `<seq>:<hash>`. */
export function parseAnchor(text: string): Anchor | null {
  const [, seq, hash] = /^(\d{1,15}):([\w-]{43})$/.exec(text) ?? []
  return seq === undefined || hash === undefined ? null : { seq: Number(seq), hash }
}

/** The end of a part of the list. */
function positionOf(cursor: string): { at: number; seq: number } {
  const [, at, seq] = /^(\d{1,15}):(\d{1,15})$/.exec(keyOf(cursor)) ?? []
  if (at === undefined || seq === undefined)
    throw invalidValue('cursor', 'the cursor does not belong to this list')
  return { at: Number(at), seq: Number(seq) }
}

/** An administrator expects to see what was done a moment ago. If that fails, the events remain in the queue, and are in the log. */
const writePending = ({ auditLog }: LocalDeps): Promise<void> => auditLog.flush().catch(() => {})

async function usernames(
  { users }: Pick<Store, 'users'>,
  rows: readonly AuditRow[],
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>()
  for (const sub of new Set(rows.map((row) => row.sub))) {
    const user = sub === null ? null : await users.find(sub)
    if (user) names.set(user.id, user.username)
  }
  return names
}

const describe = (row: AuditRow, names: ReadonlyMap<string, string>): AuditEventView => ({
  seq: row.seq,
  since: row.since,
  at: row.at,
  event: row.event,
  count: row.count,
  actor: row.actor,
  sub: row.sub,
  username: names.get(row.sub ?? '') ?? null,
  client_id: row.clientId,
  fields: fieldsOf(row),
  hash: row.hash,
})

export type InspectDeps = Pick<LocalDeps, 'config' | 'store' | 'record'>

/** The whole log is read, so concurrent requests share the work. */
const running = new WeakMap<Store, SingleFlightByKey<string, VerifyResult>>()

function inspectOnce(deps: InspectDeps, anchor: Anchor | undefined): Promise<VerifyResult> {
  const once = running.get(deps.store) ?? singleFlightByKey<string, VerifyResult>()
  running.set(deps.store, once)
  return once(anchor ? `${anchor.seq}:${anchor.hash}` : '', () => inspect(deps, anchor))
}

/** @throws {AdminError} conflict, if the signature cannot be checked */
export async function inspect(
  { config, store, record }: InspectDeps,
  anchor?: Anchor,
): Promise<VerifyResult> {
  // The record is read before the log, because a server may continue to write the log.
  const kept = record.recorded()?.audit
  const keys = await auditKeys(config, store)()
  const verdict = await verifyLog({
    rows: store.auditRows,
    keys,
    hasRing: (await store.revisions.read()).ring > 0,
    remains: await findRemains(store),
    ...(anchor ? { anchor } : {}),
    ...(kept ? { kept: { anchor: kept, file: `${record.file}` } } : {}),
  })
  if (!keys && verdict.signed === false)
    throw conflict('the master key is missing, so the signature of the log cannot be checked')
  return verdict
}
