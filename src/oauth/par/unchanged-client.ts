import type { Client } from '../../store/contracts/clients.ts'

/**
 * Whether nothing has changed since the client had this revision, except that secrets were added beside the old ones: a rotation with
 * an overlap must not fail any request. There are at most two secrets, so the loop is short.
 */
export function isUnchangedSince({ secrets, revision }: Client, since: number): boolean {
  if (since > revision || revision - since > secrets.length) return false
  for (let step = since + 1; step <= revision; step += 1) {
    if (!secrets.some(({ addedIn }) => addedIn === step)) return false
  }
  return true
}
