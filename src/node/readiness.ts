/** Whether this node can do its work now: what `/health/ready` and the metrics say. Must not know HTTP. */
import type { Base } from './base.ts'

/** The reason why the node is not ready, for the log; null if it is. */
export type Readiness = () => Promise<string | null>

/** @param problem why the process cannot serve, whatever the store says */
export function createReadiness(
  { store, storeProblem }: Pick<Base, 'store' | 'storeProblem'>,
  problem: () => string | null,
): Readiness {
  return async () => {
    const reason = problem()
    if (reason !== null) return reason
    try {
      if ((await store.revisions.read()).ring === 0) return 'the key ring is gone'
    } catch {
      return 'the store does not answer'
    }
    return storeProblem()
  }
}
