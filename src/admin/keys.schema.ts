/** The JSON of the key ring, and of simulations of its changes. */
import { type Static, Type } from 'typebox'
import { ALGORITHM_NAMES } from '../algorithm-names.ts'
import { Count, oneOf, orNull, Seconds } from './schema.ts'

const Kid = Type.String({ description: 'The id of a key.' })
const Duration = Type.Integer({ minimum: 0, description: 'In seconds.' })

const Key = Type.Object(
  {
    kid: Kid,
    alg: Type.String(),
    state: oneOf(['next', 'active', 'retiring', 'retired', 'revoked']),
    created_at: Seconds,
    published_at: Seconds,
    signs_from: orNull(Seconds),
    stopped_at: orNull(Seconds),
    leaves_at: orNull(Seconds),
  },
  { $id: 'Key', additionalProperties: false },
)
export type KeyView = Static<typeof Key>

const Alg = oneOf(ALGORITHM_NAMES)

/** The keys of a lane that sign, will sign, and have signed. */
const LANE_KEYS = { alg: Type.String(), active: Kid, next: Kid, retiring: Type.Array(Kid) }

const LaneKeys = Type.Object(LANE_KEYS, { $id: 'LaneKeys', additionalProperties: false })

const Lane = Type.Object(
  {
    ...LANE_KEYS,
    safe: Type.Boolean({ description: 'The lane may rotate now.' }),
    safe_from: Type.Integer({
      minimum: 0,
      description: 'From then on no verifier can have a cached JWKS without the next key.',
    }),
    behind: Type.Array(Type.String(), {
      description: 'Expected verifiers that have not fetched the next key.',
    }),
    usable_from: Type.Integer({
      minimum: 0,
      description: 'From then on no verifier can have a cached JWKS without the active key.',
    }),
    next_rotation_at: orNull(Seconds),
  },
  { $id: 'Lane', additionalProperties: false },
)
export type LaneView = Static<typeof Lane>

const SETTINGS = {
  verifier_cache: Duration,
  key_rotation: orNull(Duration),
  jwks_max_age: Duration,
}

export const KeyRing = Type.Object(
  {
    ring_version: Count,
    now: Seconds,
    keys: Type.Array(Key, { description: 'The latest first.' }),
    active: Type.String({ description: 'The key that signs in the default lane.' }),
    next: Type.String({ description: 'The next key of the default lane.' }),
    default: Type.String({ description: 'The algorithm of the default lane.' }),
    lanes: Type.Array(Lane, { description: 'The default lane first.' }),
    safe: Type.Boolean({ description: 'All lanes may rotate now.' }),
    safe_from: Type.Integer({
      minimum: 0,
      description: 'From then on no verifier can have a cached JWKS without one of the next keys.',
    }),
    behind: Type.Array(Type.String(), {
      description: 'Expected verifiers that have not fetched one of the next keys.',
    }),
    next_rotation_at: orNull(Seconds),
    ...SETTINGS,
  },
  { $id: 'KeyRing', additionalProperties: false },
)
export type KeyRingView = Static<typeof KeyRing>

const Bits = Type.Optional(
  Type.Unsafe<number>({
    type: 'integer',
    enum: [2048, 3072, 4096],
    description: 'RSA key size of the new next key.',
  }),
)

export const Rotation = Type.Object(
  {
    force: Type.Optional(Type.Boolean({ description: 'Rotate even if it is not safe.' })),
    bits: Bits,
    lane: Type.Optional(Alg),
  },
  { $id: 'Rotation', additionalProperties: false },
)
export type RotationView = Static<typeof Rotation>

/** The keys of the default lane, and of all lanes. */
const RING_KEYS = {
  active: Kid,
  next: Kid,
  retiring: Type.Array(Kid),
  lanes: Type.Array(LaneKeys, { description: 'The default lane first.' }),
}

export const Rotated = Type.Object(RING_KEYS, { $id: 'Rotated', additionalProperties: false })
export type RotatedView = Static<typeof Rotated>

export const NewLane = Type.Object({ alg: Alg, bits: Bits }, { $id: 'NewLane', additionalProperties: false })
export type NewLaneView = Static<typeof NewLane>

export const Lanes = Type.Object(
  { default: Type.String({ description: 'The algorithm of the default lane.' }), ...RING_KEYS },
  { $id: 'Lanes', additionalProperties: false },
)
export type LanesView = Static<typeof Lanes>

export const Revocation = Type.Object({ bits: Bits }, { $id: 'Revocation', additionalProperties: false })
export type RevocationView = Static<typeof Revocation>

export const Revoked = Type.Object(
  {
    revoked: Kid,
    active: Kid,
    next: Kid,
    exposed_until: Type.Integer({ minimum: 0, description: 'Until then a cache may have the revoked key.' }),
    held_by: Type.Array(
      Type.Object(
        { name: Type.String(), instance: Type.String(), until: Seconds },
        { additionalProperties: false },
      ),
      { description: 'Known verifiers that have it.' },
    ),
  },
  { $id: 'Revoked', additionalProperties: false },
)
export type RevokedView = Static<typeof Revoked>

export const Scenario = Type.Object(
  {
    actions: Type.Optional(
      Type.Array(
        Type.Union([
          Type.Object(
            {
              action: Type.Literal('rotate'),
              force: Type.Optional(Type.Boolean()),
              lane: Type.Optional(Alg),
            },
            { additionalProperties: false },
          ),
          Type.Object({ action: Type.Literal('revoke'), kid: Kid }, { additionalProperties: false }),
        ]),
        { maxItems: 20, description: 'What is done now, in this order.' },
      ),
    ),
    key_rotation: Type.Optional(SETTINGS.key_rotation),
    verifier_cache: Type.Optional(Duration),
    jwks_max_age: Type.Optional(Duration),
  },
  { $id: 'Scenario', additionalProperties: false },
)
export type ScenarioView = Static<typeof Scenario>

const Affected = Type.Object(
  {
    verifier: orNull(Type.String({ description: 'null for unknown verifiers.' })),
    instance: orNull(Type.String()),
    kid: Kid,
    from: Seconds,
    until: Seconds,
  },
  { $id: 'AffectedVerifier', additionalProperties: false },
)
export type AffectedView = Static<typeof Affected>

const Moment = Type.Object(
  {
    at: Seconds,
    event: oneOf([
      'start',
      'rotation_waits',
      'rotated',
      'revoked',
      'retired',
      'accepted_everywhere',
      'exposure_ended',
    ]),
    kid: Type.Optional(Kid),
    reason: Type.Optional(oneOf(['requested', 'forced', 'automatic'])),
    until: Type.Optional(Seconds),
    behind: Type.Optional(Type.Array(Type.String())),
    active: Type.String({ description: 'The key that signs in the default lane.' }),
    next: Type.String({ description: 'The next key of the default lane.' }),
    signing: Type.Array(Kid, { description: 'The active keys of all lanes, the default lane first.' }),
    published: Type.Array(Kid),
    cache_control: Type.String(),
    failing: Type.Array(Affected, { description: 'Verifiers that refuse good tokens; at most 100.' }),
    accepting_revoked: Type.Array(Affected, {
      description: 'Verifiers that still accept a revoked key; at most 100.',
    }),
  },
  { $id: 'Moment', additionalProperties: false },
)
export type MomentView = Static<typeof Moment>

export const Simulation = Type.Object(
  {
    now: Seconds,
    ok: Type.Boolean({ description: 'No verifier would refuse a good token.' }),
    safe_from: Seconds,
    behind: Type.Array(Type.String()),
    ...SETTINGS,
    moments: Type.Array(Moment),
    keys: Type.Array(Key, {
      description: 'The ring at the end. Keys that do not exist yet are called new-1, new-2 and so on.',
    }),
    failing: Type.Array(Affected, { description: 'At most 1000, the expected ones first.' }),
    accepting_revoked: Type.Array(Affected, { description: 'At most 1000, the expected ones first.' }),
    tokens_refused: Type.Array(
      Type.Object({ kid: Kid, from: Seconds, until: Seconds }, { additionalProperties: false }),
      { description: 'Tokens of revoked keys, which are meant to be refused.' },
    ),
    warnings: Type.Array(Type.String()),
    until: Seconds,
  },
  { $id: 'Simulation', additionalProperties: false },
)
export type SimulationView = Static<typeof Simulation>
