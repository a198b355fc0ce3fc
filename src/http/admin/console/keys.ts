import type { Admin } from '../../../admin/admin.ts'
import { AdminError, PROBLEMS } from '../../../admin/errors.ts'
import type { KeyRingView, RotatedView, SimulationView } from '../../../admin/keys.schema.ts'
import type { VerifierView } from '../../../admin/verifiers.schema.ts'
import {
  forgetPage,
  KEYS_PATH,
  type KeysModel,
  keysPage,
  revokePage,
  ringLabels,
  ringValues,
  rotatePage,
  type ShownAffected,
  type ShownVerifier,
} from '../../../views/admin/keys.ts'
import { type ShownRing, shortKid } from '../../../views/admin/ring-picture.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type ConsoleRoute, given, routesOf, type Visit } from './visit.ts'

/** More than a page can show. */
const MAX_VERIFIERS = 200

export const shownRing = (ring: KeyRingView): ShownRing => ({
  keys: ring.keys.map((key) => ({
    kid: key.kid,
    alg: key.alg,
    state: key.state,
    publishedAt: key.published_at,
    signsFrom: key.signs_from,
    stoppedAt: key.stopped_at,
    leavesAt: key.leaves_at,
  })),
  now: ring.now,
  active: ring.active,
  next: ring.next,
  safe: ring.safe,
  safeFrom: ring.safe_from,
  behind: ring.behind,
  nextRotationAt: ring.next_rotation_at,
  verifierCache: ring.verifier_cache,
})

const shownVerifier = ({ name, instance, expected, seen_at, behind }: VerifierView): ShownVerifier => ({
  name,
  instance,
  expected,
  seenAt: seen_at,
  behind,
})

export const verifiersOf = async ({ verifiers }: Admin): Promise<ShownVerifier[]> =>
  (await verifiers.list({ limit: MAX_VERIFIERS })).items.map(shownVerifier)

const shownAffected = ({ verifier, from, until }: SimulationView['failing'][number]): ShownAffected => ({
  verifier,
  from,
  until,
})

async function show({ admin, page, send }: Visit, refused: KeysModel['refused'], status = 200) {
  const ring = shownRing((await admin.keys.find()).value)
  const model = { ring, verifiers: await verifiersOf(admin), refused }
  return send(keysPage(model, page), status)
}

const ringResource = ({ admin, page }: Visit) => ({
  find: () => admin.keys.find(),
  values: (ring: KeyRingView) => ringValues(shownRing(ring)),
  labels: ringLabels(page),
})

function rotating(visit: Visit): Confirming<KeyRingView, RotatedView> {
  const { admin, page, leave } = visit
  return {
    ...ringResource(visit),
    hidden: {},
    async render({ value }, asked) {
      const ring = shownRing(value)
      // The simulation says who would refuse good tokens, which matters only if the rotation is not safe.
      const { value: simulated } = ring.safe
        ? { value: null }
        : await admin.keys.simulate({ actions: [{ action: 'rotate', force: true }] })
      const failing = (simulated?.failing ?? []).map(shownAffected)
      return rotatePage(asked, { ring, failing }, page)
    },
    act: ({ ifMatch, force }) => admin.keys.rotate({ force }, { ifMatch }),
    acted: ({ value, notes }) =>
      leave(KEYS_PATH, {}, { place: 'keys', act: 'rotated', subject: shortKid(value.active), notes }),
  }
}

function revoking(visit: Visit): Confirming<KeyRingView> {
  const { admin, page, leave } = visit
  const kid = given(visit, 'kid')
  return {
    ...ringResource(visit),
    hidden: { kid },
    async render({ value }, asked) {
      const ring = shownRing(value)
      const { value: simulated } = await admin.keys.simulate({ actions: [{ action: 'revoke', kid }] })
      const refusals = simulated.tokens_refused.filter((one) => one.kid === kid).map(({ until }) => until)
      const model = {
        ring,
        kid,
        exposedUntil: ring.now + ring.verifierCache,
        holders: simulated.accepting_revoked.filter(({ verifier }) => verifier !== null).map(shownAffected),
        failing: simulated.failing.map(shownAffected),
        tokensUntil: refusals.length === 0 ? null : Math.max(...refusals),
      }
      return revokePage(asked, model, page)
    },
    act: ({ ifMatch }) => admin.keys.revoke(kid, {}, { ifMatch }),
    acted: ({ notes }) =>
      leave(KEYS_PATH, {}, { place: 'keys', act: 'revoked', subject: shortKid(kid), notes }),
  }
}

async function expect(visit: Visit) {
  const { admin, leave } = visit
  const name = given(visit, 'verifier')
  try {
    const { notes } = await admin.verifiers.expect(name)
    return leave(KEYS_PATH, {}, { place: 'keys', act: 'expected', subject: name, notes })
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    return show(visit, { name, message: error.message }, PROBLEMS[error.problem].status)
  }
}

function forgetting(visit: Visit): Confirming<null> {
  const { admin, page, leave } = visit
  const verifier = given(visit, 'verifier')
  return {
    hidden: { verifier },
    find: async () => ({ value: null, revision: null }),
    values: () => ({}),
    labels: [],
    render: (_found, asked) => forgetPage(asked, verifier, page),
    act: () => admin.verifiers.forget(verifier),
    acted: ({ notes }) => leave(KEYS_PATH, {}, { place: 'keys', act: 'forgotten', subject: verifier, notes }),
  }
}

export const keyRoutes: readonly ConsoleRoute[] = routesOf('keys', [
  ['GET', '', (visit) => show(visit, null)],
  ...confirmRoutes('/rotate', rotating),
  ...confirmRoutes('/revoke', revoking),
  ['POST', '/verifiers/expect', expect],
  ...confirmRoutes('/verifiers/forget', forgetting),
])
