import t from 'tap'
import { type AuthorizationState, type NextStep, nextStep } from '../../src/oauth/authorize/next-step.ts'
import type { Prompt } from '../../src/oauth/authorize/request.ts'

const NOW = 1_800_000_000
const PROMPTS: readonly Prompt[][] = [
  [],
  ['none'],
  ['login'],
  ['consent'],
  ['select_account'],
  ['login', 'consent'],
  ['select_account', 'consent'],
  ['login', 'select_account', 'consent'],
]
const BOTH = [false, true]

/** Every possible state: the age of the sign-in and `max_age` around their limits, everything else exhaustively. */
function* situations(): Generator<AuthorizationState> {
  for (const prompts of PROMPTS)
    for (const maxAge of [undefined, 0, 60])
      for (const age of [undefined, -1, 0, 59, 60, 61])
        for (const expectedUser of [undefined, 'alice', 'bob'])
          for (const reauthenticated of BOTH)
            for (const required of BOTH)
              for (const hintNamesAnother of BOTH)
                for (const stepUpRequested of BOTH)
                  for (const enrolled of BOTH)
                    for (const used of BOTH)
                      for (const hasStoredConsent of BOTH)
                        for (const consentGivenNow of BOTH) {
                          // Without a session nothing can have been verified, allowed or used.
                          if (
                            age === undefined &&
                            (reauthenticated ||
                              used ||
                              hintNamesAnother ||
                              hasStoredConsent ||
                              consentGivenNow)
                          )
                            continue
                          yield {
                            request: { prompts: new Set(prompts), maxAge },
                            userSession: age === undefined ? null : { userId: 'alice', authTime: NOW - age },
                            reauthenticated,
                            expectedUser,
                            hintNamesAnother,
                            secondFactor: { required, stepUpRequested, enrolled, used },
                            hasStoredConsent,
                            consentGivenNow,
                            now: NOW,
                          }
                        }
}

const all = [...situations()].map((state) => ({ state, next: nextStep(state) }))
const outcome = (next: NextStep) => (next.step === 'refuse' ? next.error.code : next.step)

type Rule = readonly [
  title: string,
  applies: (s: AuthorizationState) => boolean,
  holds: (next: string, s: AuthorizationState) => boolean,
]

const isSilent = ({ request }: AuthorizationState) => request.prompts.has('none')
const isAnother = ({ expectedUser, userSession }: AuthorizationState) =>
  userSession !== null && expectedUser !== undefined && expectedUser !== userSession.userId
const isOld = ({ request, userSession, reauthenticated, now }: AuthorizationState) =>
  userSession !== null &&
  !reauthenticated &&
  request.maxAge !== undefined &&
  (now - userSession.authTime > request.maxAge || request.maxAge === 0)
const asksForLogin = ({ request }: AuthorizationState) =>
  request.prompts.has('login') || request.prompts.has('select_account')
const mustLogIn = (s: AuthorizationState) =>
  s.userSession === null || isOld(s) || isAnother(s) || (asksForLogin(s) && !s.reauthenticated)
const lacksFactor = ({ secondFactor: { required, stepUpRequested, enrolled, used } }: AuthorizationState) =>
  !used && (required || (stepUpRequested && enrolled))
const mustChoose = (s: AuthorizationState) =>
  s.hintNamesAnother && !s.reauthenticated && s.expectedUser === undefined
const mustAsk = (s: AuthorizationState) =>
  !s.consentGivenNow && (!s.hasStoredConsent || s.request.prompts.has('consent'))

const rules: readonly Rule[] = [
  [
    'prompt=none never shows a page (OpenID Connect Core §3.1.2.1)',
    isSilent,
    (next) => ['respond', 'login_required', 'consent_required', 'interaction_required'].includes(next),
  ],
  [
    'without prompt=none only a user other than the expected one is refused',
    (s) => !isSilent(s),
    (next, s) =>
      ['respond', 'login', 'choose-account', 'second-factor', 'enrol', 'consent'].includes(next) ||
      (isAnother(s) && s.reauthenticated && next === 'login_required'),
  ],
  [
    'there is no success without a user session',
    (s) => s.userSession === null,
    (next, s) => next === (isSilent(s) ? 'login_required' : 'login'),
  ],
  [
    'a sign-in older than max_age requires a new login',
    isOld,
    (next, s) => next === (isSilent(s) ? 'login_required' : 'login'),
  ],
  [
    'prompt=login requires one new login',
    (s) => asksForLogin(s) && !s.reauthenticated,
    (next) => next === 'login',
  ],
  [
    'a user who has just signed in is not asked to log in again',
    (s) => s.reauthenticated,
    (next) => next !== 'login',
  ],
  [
    'there is no success for a user other than the expected one',
    isAnother,
    (next) => next === 'login' || next === 'login_required',
  ],
  [
    'a required second factor is never skipped',
    (s) => s.secondFactor.required && !s.secondFactor.used,
    (next) => next !== 'respond' && next !== 'consent' && next !== 'consent_required',
  ],
  [
    'a requested second factor is skipped for a user who has none (OpenID Connect Core §3.1.2.1)',
    (s) => !s.secondFactor.required && !s.secondFactor.enrolled,
    (next) => next !== 'second-factor' && next !== 'enrol' && next !== 'interaction_required',
  ],
  [
    'a user with a second factor is never asked to enrol one',
    (s) => s.secondFactor.enrolled || s.secondFactor.used,
    (next) => next !== 'enrol' && next !== 'interaction_required',
  ],
  [
    'there is no success without consent',
    (s) => !s.hasStoredConsent && !s.consentGivenNow,
    (next) => next !== 'respond',
  ],
  [
    'prompt=consent asks again despite stored consent',
    (s) => s.request.prompts.has('consent') && !s.consentGivenNow,
    (next) => next !== 'respond',
  ],
  [
    'consent given to this request is not asked for again',
    (s) => s.consentGivenNow,
    (next) => next !== 'consent' && next !== 'consent_required',
  ],
  [
    'a user whom login_hint does not name is asked who to be, and never answered for (OpenID Connect Core §3.1.2.1)',
    mustChoose,
    (next, s) => (isSilent(s) ? !['respond', 'choose-account'].includes(next) : next !== 'respond'),
  ],
  [
    'without consent, prompt=none does not show whether login_hint names the user',
    (s) => isSilent(s) && mustChoose(s) && mustAsk(s),
    (next, s) => next === outcome(nextStep({ ...s, hintNamesAnother: false })),
  ],
  [
    'the steps come in order: login, choice of the account, second factor, consent, response',
    () => true,
    (next, s) => {
      const silent = isSilent(s)
      if (mustLogIn(s))
        return next === (silent || (isAnother(s) && s.reauthenticated) ? 'login_required' : 'login')
      if (mustChoose(s) && !silent) return next === 'choose-account'
      if (lacksFactor(s)) {
        return s.secondFactor.enrolled
          ? next === (silent ? 'login_required' : 'second-factor')
          : next === (silent ? 'interaction_required' : 'enrol')
      }
      if (mustAsk(s)) return next === (silent ? 'consent_required' : 'consent')
      if (mustChoose(s)) return next === 'login_required'
      return next === 'respond'
    },
  ],
]

for (const [title, applies, holds] of rules) {
  t.test(title, async (t) => {
    const concerned = all.filter(({ state }) => applies(state))
    t.ok(concerned.length > 100, `${concerned.length} situations`)
    const wrong = concerned.filter(({ state, next }) => !holds(outcome(next), state))
    t.same(
      wrong.slice(0, 3).map(({ state, next }) => ({ ...state, is: outcome(next) })),
      [],
    )
  })
}

t.test('every step is reached', async (t) => {
  const reached = new Set(all.map(({ next }) => outcome(next)))
  t.same([...reached].sort(), [
    'choose-account',
    'consent',
    'consent_required',
    'enrol',
    'interaction_required',
    'login',
    'login_required',
    'respond',
    'second-factor',
  ])
})

t.test(
  'max_age also applies to a user who signed in for this request if the pages were open too long (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const [plain] = all.filter(({ state }) => state.reauthenticated && state.consentGivenNow)
    const step = (age: number, maxAge: number) =>
      nextStep({
        ...(plain?.state as AuthorizationState),
        request: { prompts: new Set(), maxAge },
        userSession: { userId: 'alice', authTime: NOW - age },
        secondFactor: { required: false, stepUpRequested: false, enrolled: false, used: false },
        expectedUser: undefined,
      }).step
    t.same(
      [step(600, 0), step(601, 0), step(601, 700), step(701, 700)],
      ['respond', 'login', 'respond', 'login'],
    )
  },
)
