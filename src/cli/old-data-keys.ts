/** What an old root is kept for, for people and for scripts. */
import type { OldRoot } from '../keys/rotate-master-key.ts'
import { count, time } from './output.ts'

export const describeRoot = (root: OldRoot) => ({
  number: root.number,
  made_at: root.madeAt,
  voided: root.voided,
  sessions: root.sessions,
  second_factors: root.secondFactors,
  recovery_codes: root.recoveryCodes,
  status_blocks: root.statusBlocks,
  over: root.over,
})

export function inWords(root: OldRoot): string {
  const what = [
    root.sessions > 0 ? count(root.sessions, 'session') : '',
    root.recoveryCodes > 0 ? `recovery codes of ${count(root.recoveryCodes, 'user')}` : '',
    root.secondFactors > 0 ? count(root.secondFactors, 'authenticator app') : '',
    root.statusBlocks > 0 ? count(root.statusBlocks, 'block') : '',
  ].filter(Boolean)
  const kept =
    what.length > 0 ? what.join(', ') : root.over ? 'nothing: it will be forgotten' : 'what is under way'
  return `The root of ${time(root.madeAt)}${root.voided ? ', void,' : ''} is kept for ${kept}.`
}
