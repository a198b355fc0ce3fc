import t, { type Test } from 'tap'
import { ringProperty } from './ring-property.ts'

t.test(
  'at every instant each lane of the key ring has one active key, no change of a lane signs with what a verifier may lack, and the ring keeps keys of live tokens, erases private halves in time and respects caches (OpenID Connect Core §10.1.1; docs/security.md H92, Q10)',
  (t) => ringProperty(t as Test, { seed: 20_260_731, numRuns: 60 }),
)
