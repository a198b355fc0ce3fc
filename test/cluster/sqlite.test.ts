/** Three processes on one SQLite file: the races of three nodes on PostgreSQL, with fewer concurrent requests. */
import t, { type Test } from 'tap'
import { startCluster } from '../support/processes/cluster.ts'
import {
  assertionRace,
  codeRace,
  fill,
  refreshRace,
  rotationRace,
} from '../support/processes/cluster-races.ts'

const cluster = await startCluster(t, { fill })

t.test(
  'three concurrent rotation commands make one rotation, which all nodes follow (docs/security.md Q9)',
  (t) => rotationRace(t as Test, cluster, 3),
)

t.test(
  'one refresh token used concurrently on three processes has one successor, and a replay revokes it everywhere (RFC 9700 §4.14.2; docs/security.md F68, F69, F75)',
  (t) => refreshRace(t as Test, cluster, 18),
)

t.test(
  'one code used concurrently on three processes is redeemed once, and its tokens are revoked (RFC 6749 §4.1.2)',
  (t) => codeRace(t as Test, cluster, 18),
)

t.test(
  'one client assertion used concurrently on three processes is accepted once (RFC 7523 §3; docs/security.md B23)',
  (t) => assertionRace(t as Test, cluster, 5),
)
