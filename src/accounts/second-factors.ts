/**
 * Second factors of users: lists, sets up, checks and removes them. Audits each change and each use, and rate-limits guesses at
 * codes. Must not know HTTP, or when a sign-in needs a second factor. The caller checks whether the account is disabled.
 */
import type { Audit, AuditFields } from '../audit/events.ts'
import { createStorageCipher, createTransitCipher, type DataKeys, newestOf } from '../keys/data-keys.ts'
import type { FactorStore, FactorSummary, Passkey } from '../store/contracts/factors.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { User } from '../store/contracts/users.ts'
import type { Clock, EpochSeconds, Random } from '../system.ts'
import { createOneTimeState } from './one-time-state.ts'
import {
  createPasskeys,
  type PasskeyProof,
  type Passkeys,
  type PasskeyUse,
  type PasskeyVerdict,
} from './passkeys.ts'
import { CODE_LIMITS, RateLimited, type RateLimiter } from './rate-limiter.ts'
import { createRecoveryCodes } from './recovery-codes.ts'
import { createTotp, parseTotpCode, TOTP_SECRETS } from './totp.ts'
import type { RequestInfo } from './user-sessions.ts'
import type { WriteLimiter } from './write-limiter.ts'

export type FactorOwner = Pick<User, 'id' | 'username'>

type RequestSource = Pick<RequestInfo, 'ip' | 'requestId'>

export interface TotpSetup {
  /** The content of the QR code. */
  readonly uri: string
  /** The secret in base32, for users who type it. */
  readonly secret: string
  /** One-time state with the secret, for `confirmTotpSetup`. Until the setup is confirmed, nothing is stored. */
  readonly pending: string
}

/** `expired`: the setup has expired or was used, or the user has meanwhile set up another app. The user must start again. */
type TotpConfirmation = 'confirmed' | 'wrong' | 'expired'

export interface SecondFactors {
  readonly passkeysAvailable: boolean
  summary(userId: string): Promise<FactorSummary>

  startTotpSetup(user: FactorOwner): TotpSetup
  /** Restores a setup after a wrong code, from its `pending` state. null if the setup has expired. */
  resumeTotpSetup(user: FactorOwner, pending: string): TotpSetup | null
  confirmTotpSetup(
    user: FactorOwner,
    pending: string,
    code: string,
    from: RequestSource,
  ): Promise<TotpConfirmation>
  /** null if the user has no authenticator app. */
  totpEnrolledAt(userId: string): Promise<EpochSeconds | null>
  /** Returns false if the user has no authenticator app. */
  removeTotp(user: FactorOwner, from: RequestSource): Promise<boolean>

  /**
   * Checks and consumes a TOTP code or a recovery code, which differ in form. Returns null if the code is wrong or was used.
   * @throws {RateLimited} after too many guesses; nothing was checked
   */
  checkCode(user: FactorOwner, code: string, from: RequestSource): Promise<'totp' | 'recovery' | null>
  /** Replaces the user's set, which makes the old codes invalid. Only this call returns the codes; the store has only digests. */
  replaceRecoveryCodes(user: FactorOwner, from: RequestSource): Promise<string[]>

  listPasskeys(userId: string): Promise<Passkey[]>
  startPasskeyRegistration: Passkeys['startRegistration']
  /**
   * null if the response is invalid, the challenge has expired or was used, or the user has `MAX_PASSKEYS`. `use` and `confirm` are
   * those of `Passkeys.finishRegistration`.
   */
  finishPasskeyRegistration(
    user: FactorOwner,
    name: string,
    credentialJson: string,
    challenge: string,
    from: RequestSource,
    use?: PasskeyUse,
    confirm?: () => Promise<boolean>,
  ): Promise<Passkey | null>
  startPasskeyAuthentication: Passkeys['startAuthentication']
  /**
   * With a user id, the passkey is a second factor and must belong to that user. With null, the passkey replaces the password: it
   * may belong to any user and must have verified the user. `startPasskeyAuthentication` must have been called with the same id.
   */
  finishPasskeyAuthentication(
    credentialJson: string,
    challenge: string,
    userId: string | null,
    from: RequestSource,
  ): Promise<PasskeyProof | null>
  /** Returns false if the user has no such passkey. */
  removePasskey(user: FactorOwner, id: string, from: RequestSource): Promise<boolean>
}

const ONE_TIME_STATE = { purpose: 'keyturn/one-time-state/v1', what: 'the one-time state' } as const

export interface SecondFactorsDeps {
  readonly factors: FactorStore
  readonly singleUse: SingleUseStore
  readonly rateLimiter: RateLimiter
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly audit: Audit
  readonly dataKeys: DataKeys
  readonly issuer: string
  /** The name of this server in authenticator apps and browsers. */
  readonly name: string
}

export function createSecondFactors(deps: SecondFactorsDeps): SecondFactors {
  const { factors, singleUse, rateLimiter, writeLimiter, clock, random, audit, dataKeys } = deps
  const oneTimeState = createOneTimeState({
    cipher: createTransitCipher(dataKeys, random, ONE_TIME_STATE),
    singleUse,
    writeLimiter,
    clock,
  })
  const cipher = createStorageCipher(dataKeys, random, TOTP_SECRETS)
  const totp = createTotp({ cipher, clock, random, name: deps.name })
  const recovery = createRecoveryCodes({ dataKeys, random })
  const passkeys = createPasskeys({ ...deps, oneTimeState })

  const auditFields = (userId: string, { ip, requestId }: RequestSource): AuditFields => ({
    actor: `user:${userId}`,
    sub: userId,
    ip,
    request_id: requestId,
  })

  const toSetup = (user: FactorOwner, secret: string, pending: string): TotpSetup => ({
    uri: totp.uri(secret, user.username),
    secret,
    pending,
  })

  /** Another node may have used a data key that this node has not read yet. */
  async function syncDataKeys(dataKey: number): Promise<void> {
    if (dataKey > newestOf(dataKeys).number) await dataKeys.sync()
  }

  async function useTotp(userId: string, code: string): Promise<boolean> {
    for (;;) {
      const row = await factors.findTotp(userId)
      if (!row) return false
      await syncDataKeys(row.dataKey)
      const step = totp.stepOf(totp.decrypt(userId, row.encryptedSecret), code)
      if (step === null) return false
      if (await factors.consumeTotpStep(userId, row.encryptedSecret, step)) return true
      // The code was used, unless the secret was re-encrypted concurrently. In that case, check again with the new ciphertext.
      if ((await factors.findTotp(userId))?.encryptedSecret === row.encryptedSecret) return false
    }
  }

  async function useRecoveryCode(userId: string, code: string): Promise<boolean> {
    const dataKey = await factors.recoveryCodesKey(userId)
    if (dataKey === null) return false
    await syncDataKeys(dataKey)
    const hash = recovery.digest(userId, code, dataKey)
    return hash !== null && factors.consumeRecoveryCode(userId, hash)
  }

  function auditPasskey(verdict: PasskeyVerdict, from: RequestSource): void {
    if ('proof' in verdict) {
      const { userId, passkeyId } = verdict.proof
      audit('factor.used', { ...auditFields(userId, from), action: 'passkey', target: passkeyId })
    } else {
      // No `actor`: the user is not authenticated. `sub` is at most the owner of the passkey that was presented.
      const { refused, userId } = verdict
      const sub = userId === null ? {} : { sub: userId }
      const { ip, requestId } = from
      audit('factor.failed', { ...sub, ip, request_id: requestId, action: 'passkey', reason: refused })
    }
  }

  return {
    passkeysAvailable: passkeys.available,
    summary: factors.summary,

    startTotpSetup(user) {
      const secret = totp.createSecret()
      return toSetup(user, secret, oneTimeState.create('totp-setup', user.id, secret))
    },

    resumeTotpSetup(user, pending) {
      const state = oneTimeState.read('totp-setup', user.id, pending)
      return state && toSetup(user, state.value, pending)
    },

    async confirmTotpSetup(user, pending, code, from) {
      const state = oneTimeState.read('totp-setup', user.id, pending)
      if (!state) return 'expired'
      const step = totp.stepOf(state.value, code)
      if (step === null) return 'wrong'
      if (!(await state.consume(user.id))) return 'expired'
      // The code that confirms the setup is consumed too.
      const row = { userId: user.id, lastStep: step, createdAt: clock.now() }
      const added = await factors.addTotp({
        ...row,
        dataKey: newestOf(dataKeys).number,
        encryptedSecret: totp.encrypt(user.id, state.value),
      })
      if (!added) return 'expired'
      audit('factor.enrolled', { ...auditFields(user.id, from), action: 'totp' })
      return 'confirmed'
    },

    totpEnrolledAt: async (userId) => (await factors.findTotp(userId))?.createdAt ?? null,

    async removeTotp(user, from) {
      if (!(await factors.removeTotp(user.id))) return false
      audit('factor.removed', { ...auditFields(user.id, from), action: 'totp' })
      return true
    },

    async checkCode(user, code, from) {
      const kind = parseTotpCode(code) === null ? 'recovery' : 'totp'
      const failed = { sub: user.id, ip: from.ip, request_id: from.requestId, action: kind }
      // Counted separately from passwords: a user who gets here has entered the correct password.
      const guess = await rateLimiter.prepare(`otp:${user.id}`, from.ip, CODE_LIMITS)
      const retryAfter = 'retryAfter' in guess ? guess.retryAfter : await guess.count()
      if ('retryAfter' in guess || retryAfter > 0) {
        audit('factor.failed', { ...failed, reason: 'rate_limited' })
        throw new RateLimited(retryAfter)
      }
      const correct = await (kind === 'totp' ? useTotp(user.id, code) : useRecoveryCode(user.id, code))
      if (!correct) {
        audit('factor.failed', { ...failed, reason: 'wrong or used' })
        return null
      }
      await guess.succeeded()
      audit('factor.used', { ...auditFields(user.id, from), action: kind })
      return kind
    },

    async replaceRecoveryCodes(user, from) {
      const codes = recovery.create()
      const { hashes, dataKey } = recovery.digests(user.id, codes)
      if (!(await factors.replaceRecoveryCodes(user.id, hashes, dataKey))) return []
      audit('factor.enrolled', { ...auditFields(user.id, from), action: 'recovery' })
      return codes
    },

    listPasskeys: factors.listPasskeys,
    startPasskeyRegistration: passkeys.startRegistration,

    async finishPasskeyRegistration(user, name, credentialJson, challenge, from, use, confirm) {
      const passkey = await passkeys.finishRegistration(user, name, credentialJson, challenge, use, confirm)
      if (passkey)
        audit('factor.enrolled', { ...auditFields(user.id, from), action: 'passkey', target: passkey.id })
      return passkey
    },

    startPasskeyAuthentication: passkeys.startAuthentication,

    async finishPasskeyAuthentication(credentialJson, challenge, userId, from) {
      const verdict = await passkeys.finishAuthentication(credentialJson, challenge, userId)
      auditPasskey(verdict, from)
      return 'proof' in verdict ? verdict.proof : null
    },

    async removePasskey(user, id, from) {
      if (!(await factors.removePasskey(user.id, id))) return false
      audit('factor.removed', { ...auditFields(user.id, from), action: 'passkey', target: id })
      return true
    },
  }
}

/**
 * Removes all second factors of a user who has lost them, after an administrator has verified the user's identity. Needs no keys.
 * @returns what was removed
 */
export async function resetSecondFactors(
  { factors, audit }: Pick<SecondFactorsDeps, 'factors' | 'audit'>,
  user: FactorOwner,
  actor: string,
): Promise<FactorSummary> {
  const removed = await factors.summary(user.id)
  if (await factors.reset(user.id)) {
    audit('factor.removed', { actor, sub: user.id, target: user.username, action: 'all' })
  }
  return removed
}
