/** An old data key and what depends on it, as JSON and as a sentence. */
import type { OldDataKey } from '../keys/rotate-master-key.ts'
import { count, time } from './output.ts'

export const describeDataKey = (dataKey: OldDataKey) => ({
  number: dataKey.number,
  created_at: dataKey.createdAt,
  invalidated: dataKey.invalidated,
  sessions: dataKey.sessions,
  second_factors: dataKey.secondFactors,
  recovery_codes: dataKey.recoveryCodes,
  status_blocks: dataKey.statusBlocks,
  unused: dataKey.unused,
})

export function dataKeySentence(dataKey: OldDataKey): string {
  const dependents = [
    dataKey.sessions > 0 ? count(dataKey.sessions, 'session') : '',
    dataKey.recoveryCodes > 0 ? `recovery codes of ${count(dataKey.recoveryCodes, 'user')}` : '',
    dataKey.secondFactors > 0 ? count(dataKey.secondFactors, 'authenticator app') : '',
    dataKey.statusBlocks > 0 ? `${count(dataKey.statusBlocks, 'block')} of status indices` : '',
  ].filter(Boolean)
  const name = `The data key created at ${time(dataKey.createdAt)}${dataKey.invalidated ? ' is invalid and' : ''}`
  if (dependents.length > 0) return `${name} is kept for ${dependents.join(', ')}.`
  if (dataKey.unused) return `${name} is unused and will be deleted.`
  return `${name} is kept for requests that are in progress.`
}
