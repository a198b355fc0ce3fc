/**
 * What the holder of a one-time link can do: set a password or register a passkey, once. Afterwards all sessions of the user end.
 * The caller must have asked for a second factor before, if the user has one. Must not know pages.
 */
import type { Audit } from '../audit/events.ts'
import type { LinkPurpose, OneTimeLink, OneTimeLinkStore } from '../store/contracts/one-time-links.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Clock } from '../system.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { hashOfSecret } from './one-time-links.ts'
import { hashPassword } from './password.ts'
import type { PasswordProblem, PasswordRules } from './password-rules.ts'
import type { SecondFactors } from './second-factors.ts'
import type { RequestInfo, UserSessions } from './user-sessions.ts'

export interface OpenedLink {
  readonly link: OneTimeLink
  readonly user: User
}

/** `void`: the link was used or became void meanwhile. */
type LinkOutcome<Refusal> =
  | { readonly done: true }
  | { readonly done: false; readonly refused: Refusal | 'void' }

interface NewPasskey {
  readonly name: string
  /** The browser's response, and the state that `startPasskeyRegistration` returned. */
  readonly credential: string
  readonly challenge: string
}

export interface LinkUse {
  /** Uses nothing up, because mail scanners and previews open links too. null if the link is void. */
  open(purpose: LinkPurpose, secret: string): Promise<OpenedLink | null>
  /** @throws {Overloaded} if too many requests are waiting */
  setPassword(
    opened: OpenedLink,
    password: string,
    requestInfo: RequestInfo,
  ): Promise<LinkOutcome<PasswordProblem>>
  registerPasskey(
    opened: OpenedLink,
    passkey: NewPasskey,
    requestInfo: RequestInfo,
  ): Promise<LinkOutcome<'passkey'>>
}

export interface LinkUseDeps {
  readonly oneTimeLinks: OneTimeLinkStore
  readonly users: Pick<UserStore, 'find'>
  readonly passwordRules: Pick<PasswordRules, 'problemOf'>
  readonly hashingLimiter: ConcurrencyLimiter
  readonly secondFactors: Pick<SecondFactors, 'finishPasskeyRegistration'>
  readonly userSessions: Pick<UserSessions, 'endAll'>
  readonly clock: Clock
  readonly audit: Audit
}

export function createLinkUse(deps: LinkUseDeps): LinkUse {
  const { oneTimeLinks, users, passwordRules, hashingLimiter, secondFactors, userSessions, clock } = deps

  async function finish({ user }: OpenedLink, what: string, { ip, requestId }: RequestInfo): Promise<void> {
    const actor = `user:${user.id}`
    const action = `${what} by one-time link`
    deps.audit('user.changed', {
      actor,
      sub: user.id,
      target: user.username,
      action,
      ip,
      request_id: requestId,
    })
    await userSessions.endAll(user.id, action, actor)
  }

  return {
    async open(purpose, secret) {
      const hash = hashOfSecret(secret)
      const link = hash === null ? null : await oneTimeLinks.find(hash, purpose, clock.now())
      const user = link && (await users.find(link.userId))
      return user && !user.disabled ? { link, user } : null
    },

    async setPassword(opened, password, requestInfo) {
      const { link, user } = opened
      const problem = await passwordRules.problemOf(password, user)
      if (problem !== null) return { done: false, refused: problem }
      // A person who has the secret is not guessing, so the hash does not wait behind the guesses of strangers.
      const origin = { kind: 'password', ip: requestInfo.ip, knownLocation: true } as const
      const passwordHash = await hashingLimiter.run(() => hashPassword(password), origin)
      if (!(await oneTimeLinks.setPassword(link, passwordHash, clock.now())))
        return { done: false, refused: 'void' }
      await finish(opened, 'password set', requestInfo)
      return { done: true }
    },

    async registerPasskey(opened, { name, credential, challenge }, requestInfo) {
      const { link, user } = opened
      let consumed: boolean | undefined
      const passkey = await secondFactors.finishPasskeyRegistration(
        user,
        name,
        credential,
        challenge,
        requestInfo,
        'sign-in',
        async () => {
          consumed = await oneTimeLinks.consume(link, clock.now())
          return consumed
        },
      )
      if (!passkey) return { done: false, refused: consumed === false ? 'void' : 'passkey' }
      await finish(opened, 'passkey registered', requestInfo)
      return { done: true }
    },
  }
}
