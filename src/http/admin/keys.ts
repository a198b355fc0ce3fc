import {
  KeyRing,
  Lanes,
  NewLane,
  Revocation,
  Revoked,
  Rotated,
  Rotation,
  Scenario,
  Simulation,
} from '../../admin/keys.schema.ts'
import { adminRoute } from './route.ts'

export const keyRoutes = [
  adminRoute('GET /keys', {
    scope: 'admin:read',
    operationId: 'getKeys',
    summary: 'Get the key ring, when it may rotate and when it will',
    response: KeyRing,
    revised: true,
    handler: ({ keys }) => keys.find(),
  }),
  adminRoute('POST /keys/rotate', {
    scope: 'admin:keys',
    operationId: 'rotateKeys',
    summary: 'Sign with the next key, and publish a new one; refused if a verifier may not have the next key',
    body: Rotation,
    response: Rotated,
    revised: true,
    handler: ({ keys }, { body, ifMatch }) => keys.rotate(body, { ifMatch }),
  }),
  adminRoute('POST /lanes', {
    scope: 'admin:keys',
    operationId: 'addLane',
    summary: 'Publish the keys of another algorithm; it may be used once no verifier can lack them',
    body: NewLane,
    response: Lanes,
    revised: true,
    handler: ({ keys }, { body, ifMatch }) => keys.addLane(body, { ifMatch }),
  }),
  adminRoute('POST /lanes/{alg}/default', {
    scope: 'admin:keys',
    operationId: 'setDefaultLane',
    summary: 'Sign with this algorithm what names no other; refused if a verifier may not have the key',
    response: Lanes,
    revised: true,
    handler: ({ keys }, { params, ifMatch }) => keys.setDefaultLane(params.alg ?? '', { ifMatch }),
  }),
  adminRoute('DELETE /lanes/{alg}', {
    scope: 'admin:keys',
    operationId: 'removeLane',
    summary:
      'Stop signing with an algorithm that nothing uses; its key stays in the JWKS while there are tokens',
    response: Lanes,
    revised: true,
    handler: ({ keys }, { params, ifMatch }) => keys.removeLane(params.alg ?? '', { ifMatch }),
  }),
  adminRoute('POST /keys/simulate', {
    scope: 'admin:read',
    operationId: 'simulateKeys',
    summary: 'Show what a change would do to the ring, and which verifiers would fail; changes nothing',
    body: Scenario,
    changesNothing: true,
    // A key that is not in the JWKS.
    problems: [404],
    response: Simulation,
    handler: ({ keys }, { body }) => keys.simulate(body),
  }),
  adminRoute('POST /keys/{kid}/revoke', {
    scope: 'admin:keys',
    operationId: 'revokeKey',
    summary: 'Remove a compromised key from the JWKS at once; the next key takes over',
    body: Revocation,
    response: Revoked,
    revised: true,
    handler: ({ keys }, { params, body, ifMatch }) => keys.revoke(params.kid ?? '', body, { ifMatch }),
  }),
]
