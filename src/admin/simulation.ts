/** What an administrator asks → a scenario of keys/simulate.ts → what it answers. Changes nothing. */
import { type Field, fields } from '../config/fields.ts'
import { durationText } from '../config/parsers.ts'
import type { Keys } from '../keys/index.ts'
import { behindAmong, namesOf } from '../keys/known-verifiers.ts'
import { EXPIRY_MARGIN } from '../keys/live-ring.ts'
import { type RingPolicy, safeFrom } from '../keys/ring.ts'
import { ensureRing, KeyNotFound, LaneNotFound } from '../keys/rotate.ts'
import { type Moment, type Scenario, type SimulatedAction, simulate } from '../keys/simulate.ts'
import { type Affected, withCache } from '../keys/simulated-verifiers.ts'
import { statusListLifetime } from '../status/status-list-signer.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { ListedVerifier } from '../store/contracts/verifiers.ts'
import { RETENTION } from '../store/retention.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import type { LocalDeps } from './deps.ts'
import { invalidValue, notFound } from './errors.ts'
import { describeKeys } from './key-view.ts'
import type { AffectedView, MomentView, ScenarioView, SimulationView } from './keys.schema.ts'
import { wholeKid } from './kid.ts'
import { eachRow } from './page.ts'

/** How many automatic rotations are shown: the next one, or enough to see a rhythm that was asked for. */
const AUTOMATIC = 1
const AUTOMATIC_AT_AGE = 3

/** How many verifiers a list has, and how many are warned of. Strangers choose names of verifiers. */
const MAX_LISTED = 1000
const MAX_WARNINGS = 100

type Deps = Pick<LocalDeps, 'store' | 'clock' | 'config'>

/** @throws {AdminError} */
export async function simulateScenario(
  deps: Deps,
  keys: Keys,
  scenario: ScenarioView,
): Promise<SimulationView> {
  const { store, clock } = deps
  const ring = await ensureRing(keys)
  const now = clock.now()
  const policy = policyOf(scenario, keys.policy)
  const known = await store.verifiers.list(now - RETENTION.verifiers.seconds)
  const { moments, failing, exposed, revokedTokens, ...end } = run({
    ring,
    policy,
    known,
    actions: (scenario.actions ?? []).map((action) => actionOf(action, ring)),
    tokenLifetime: await tokenLifetime(deps),
    automatic: scenario.key_rotation === undefined ? AUTOMATIC : AUTOMATIC_AT_AGE,
    now,
  })
  return {
    now,
    ok: failing.length === 0,
    safe_from: safeFrom(ring, policy),
    behind: namesOf(behindAmong(withCache(known, now, policy.verifierCache), ring)),
    verifier_cache: policy.verifierCache,
    key_rotation: policy.keyRotation,
    jwks_max_age: policy.jwksMaxAge,
    moments: moments.map(momentView),
    keys: describeKeys(end.ring),
    failing: failing.slice(0, MAX_LISTED).map(affectedView),
    accepting_revoked: exposed.slice(0, MAX_LISTED).map(affectedView),
    tokens_refused: [...revokedTokens],
    warnings: [
      ...leftOut(failing, 'would refuse good tokens'),
      ...leftOut(exposed, 'may accept a revoked key'),
      ...warningsOf(policy, keys, known, now),
    ],
    until: end.until,
  }
}

function run(scenario: Scenario) {
  try {
    return simulate(scenario)
  } catch (error) {
    throw error instanceof KeyNotFound || error instanceof LaneNotFound ? notFound(error.message) : error
  }
}

function policyOf(
  scenario: ScenarioView,
  { verifierCache, keyRotation, jwksMaxAge }: RingPolicy,
): RingPolicy {
  const { key_rotation: age, verifier_cache: cache, jwks_max_age: maxAge } = scenario
  return {
    verifierCache: cache === undefined ? verifierCache : valid('verifier_cache', fields.verifierCache, cache),
    keyRotation: age === undefined ? keyRotation : rotationOf(age),
    jwksMaxAge: maxAge === undefined ? jwksMaxAge : valid('jwks_max_age', fields.jwksMaxAge, maxAge),
  }
}

const rotationOf = (age: Seconds | null): Seconds | null =>
  age === null ? null : valid('key_rotation', fields.keyRotation, age)

/** What the setting accepts. */
function valid<T>(name: string, { parse }: Field<T>, value: Seconds): T {
  try {
    return parse(durationText(value))
  } catch (error) {
    throw invalidValue(name, `${name} ${(error as Error).message}`, error)
  }
}

const actionOf = (action: NonNullable<ScenarioView['actions']>[number], ring: Ring): SimulatedAction =>
  action.action === 'rotate'
    ? {
        do: 'rotate',
        force: action.force === true,
        ...(action.lane === undefined ? {} : { lane: action.lane }),
      }
    : { do: 'revoke', kid: wholeKid(ring, action.kid) }

/** How far `tokensUntil` of a key may be ahead: the longest lifetime of anything that is signed, and the margin of a node. */
async function tokenLifetime({ store, config }: Deps): Promise<Seconds> {
  let longest = Math.max(config.accessTokenTtl, statusListLifetime(config.statusTtl))
  const lists = [eachRow(store.apis.page), eachRow(store.clients.page)]
  for (const rows of lists)
    for await (const { accessTokenTtl } of rows) longest = Math.max(longest, accessTokenTtl ?? 0)
  return EXPIRY_MARGIN + longest
}

/** What contradicts the assumption that no verifier uses a JWKS for longer than `verifierCache`. */
function warningsOf(
  policy: RingPolicy,
  keys: Keys,
  known: readonly ListedVerifier[],
  now: EpochSeconds,
): string[] {
  const cache = durationText(policy.verifierCache)
  const quiet = withCache(known, now, keys.policy.verifierCache).filter(
    ({ seenAt }) => seenAt < now - policy.verifierCache,
  )
  const maxAge = durationText(policy.jwksMaxAge)
  return [
    ...(policy.jwksMaxAge > policy.verifierCache
      ? [`caches that follow Cache-Control may keep a JWKS for ${maxAge}, which is longer than ${cache}`]
      : []),
    ...namesOf(quiet)
      .slice(0, MAX_WARNINGS)
      .map(
        (name) =>
          `${name} has not fetched the JWKS for longer than ${cache}: unless it is switched off, it keeps a JWKS for longer`,
      ),
  ]
}

function leftOut(affected: readonly Affected[], what: string): string[] {
  const more = affected.length - MAX_LISTED
  return more > 0 ? [`${more} more ${what}, and are not listed`] : []
}

const affectedView = ({ verifier, kid, from, until }: Affected): AffectedView => ({
  verifier: verifier?.name ?? null,
  instance: verifier?.instance ?? null,
  kid,
  from,
  until,
})

const momentView = ({
  cacheControl,
  failing,
  exposed,
  published,
  signing,
  ...moment
}: Moment): MomentView => ({
  ...moment,
  signing: [...signing],
  published: [...published],
  cache_control: cacheControl,
  failing: failing.map(affectedView),
  accepting_revoked: exposed.map(affectedView),
})
