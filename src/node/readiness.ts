/** Whether this node can serve requests, for `/health/ready` and the metrics. Must not know HTTP. */
import type { Base } from './base.ts'

/** Why the node is not ready, for the log; null if it is ready. */
export type Readiness = () => Promise<string | null>

/** @param problem returns why the process cannot serve, apart from the store; null if it can */
export function createReadiness(
  { store, storeProblem }: Pick<Base, 'store' | 'storeProblem'>,
  problem: () => string | null,
): Readiness {
  return async () => {
    const reason = problem()
    if (reason !== null) return reason
    try {
      if ((await store.revisions.read()).ring === 0) return 'the store has no key ring'
    } catch {
      return 'the store does not respond'
    }
    return storeProblem()
  }
}
