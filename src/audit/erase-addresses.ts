/** Finds and erases the addresses of a user in rows that name no user, such as refused requests. Must not know why. */
import { type AuditStore, usersOf } from '../store/contracts/audit.ts'
import { unsalted } from './personal.ts'

const PAGE = 1000
const BATCH = 200

/** The numbers of rows that name no user and have one of these addresses. Reads the whole log, in pages. */
export async function findAddresses(
  rows: Pick<AuditStore, 'page'>,
  addresses: ReadonlySet<string>,
): Promise<number[]> {
  const found: number[] = []
  if (addresses.size === 0) return found
  for (let after = 0; ; ) {
    const page = await rows.page(after, PAGE)
    for (const row of page) {
      if (row.ip !== null && usersOf(row).ip === null && addresses.has(unsalted(row.ip))) found.push(row.seq)
    }
    after = page.at(-1)?.seq ?? after
    if (page.length < PAGE) return found
  }
}

export async function eraseAddresses(
  rows: Pick<AuditStore, 'eraseAddresses'>,
  seqs: readonly number[],
): Promise<void> {
  for (let i = 0; i < seqs.length; i += BATCH) await rows.eraseAddresses(seqs.slice(i, i + BATCH))
}
