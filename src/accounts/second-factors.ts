/**
 * What pages ask about second factors: what a person has, setting up, proving, taking away. Each change and each
 * use is audited here, and guesses at codes are counted here. Must not know HTTP, or what a sign-in needs; whether
 * the account is disabled is for whoever signs in to ask.
 */
import type { Audit, AuditFields } from '../audit/events.ts'
import { createStorageCipher, createTransitCipher, type DataKeys, newestOf } from '../keys/data-keys.ts'
import type { FactorStore, FactorSummary, Passkey } from '../store/contracts/factors.ts'
import type { SingleUseStore } from '../store/contracts/single-use.ts'
import type { User } from '../store/contracts/users.ts'
import type { Clock, EpochSeconds, Random } from '../system.ts'
import { createOneTimeState } from './one-time-state.ts'
import { createPasskeys, type PasskeyProof, type Passkeys, type PasskeyVerdict } from './passkeys.ts'
import { CODE_LIMITS, RateLimited, type RateLimiter } from './rate-limiter.ts'
import { createRecoveryCodes } from './recovery-codes.ts'
import { asTotpCode, createTotp, TOTP_SECRETS } from './totp.ts'

export type FactorOwner = Pick<User, 'id' | 'username'>

/** The request that it came with. */
interface Origin {
  readonly ip: string
  readonly requestId: string
}

export interface TotpSetup {
  /** For the QR code. */
  readonly uri: string
  /** Base32, for typing. */
  readonly secret: string
  /** Carries the secret to `confirmTotp`; nothing is stored before. */
  readonly pending: string
}

/** `expired`: it has to be begun again; there is another by now, or this one is too old or was used. */
type TotpConfirmation = 'confirmed' | 'wrong' | 'expired'

export interface SecondFactors {
  readonly passkeysAvailable: boolean
  summary(userId: string): Promise<FactorSummary>

  beginTotp(user: FactorOwner): TotpSetup
  /** The same setup again, for the page that says the code was wrong; null if it is too old. */
  resumeTotp(user: FactorOwner, pending: string): TotpSetup | null
  confirmTotp(user: FactorOwner, pending: string, code: string, from: Origin): Promise<TotpConfirmation>
  /** Since when the person has an app; null: there is none. */
  totpSince(userId: string): Promise<EpochSeconds | null>
  /** False if there is none. */
  removeTotp(user: FactorOwner, from: Origin): Promise<boolean>

  /**
   * A code from the app or from paper, by how it is written; null if it is not good. Either counts once.
   * @throws {RateLimited} after too many guesses; nothing was checked
   */
  checkCode(user: FactorOwner, code: string, from: Origin): Promise<'totp' | 'recovery' | null>
  /** A new set; the old one is void. To be shown now: they cannot be read again. */
  newRecoveryCodes(user: FactorOwner, from: Origin): Promise<string[]>

  listPasskeys(userId: string): Promise<Passkey[]>
  beginPasskeyRegistration: Passkeys['beginRegistration']
  /** null if it is not good, too late, used, or one too many. */
  finishPasskeyRegistration(
    user: FactorOwner,
    name: string,
    credentialJson: string,
    challenge: string,
    from: Origin,
  ): Promise<Passkey | null>
  beginPasskeyAuthentication: Passkeys['beginAuthentication']
  /**
   * With a user, a second factor: that user's passkey. With null it stands alone: anybody's, and it must have
   * verified who holds it. The challenge must have been made for the same.
   */
  finishPasskeyAuthentication(
    credentialJson: string,
    challenge: string,
    userId: string | null,
    from: Origin,
  ): Promise<PasskeyProof | null>
  /** False if the user has no such passkey. */
  removePasskey(user: FactorOwner, id: string, from: Origin): Promise<boolean>
}

const ONE_TIME_STATE = { purpose: 'keyturn/one-time-state/v1', what: 'the one-time state' } as const

export interface SecondFactorsDeps {
  readonly factors: FactorStore
  readonly singleUse: SingleUseStore
  readonly rateLimiter: RateLimiter
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly audit: Audit
  readonly dataKeys: DataKeys
  readonly issuer: string
  /** What authenticator apps and browsers call us. */
  readonly name: string
}

export function createSecondFactors(deps: SecondFactorsDeps): SecondFactors {
  const { factors, singleUse, rateLimiter, clock, random, audit, dataKeys } = deps
  const handles = createOneTimeState({
    cipher: createTransitCipher(dataKeys, random, ONE_TIME_STATE),
    singleUse,
    clock,
  })
  const cipher = createStorageCipher(dataKeys, random, TOTP_SECRETS)
  const totp = createTotp({ cipher, clock, random, name: deps.name })
  const recovery = createRecoveryCodes({ dataKeys, random })
  const passkeys = createPasskeys({ ...deps, handles })

  const by = (userId: string, { ip, requestId }: Origin): AuditFields => ({
    actor: `user:${userId}`,
    sub: userId,
    ip,
    request_id: requestId,
  })

  const setup = (user: FactorOwner, secret: string, pending: string): TotpSetup => ({
    uri: totp.uri(secret, user.username),
    secret,
    pending,
  })

  /** Another node may have used a data key that this node has not read yet. */
  async function learn(dataKey: number): Promise<void> {
    if (dataKey > newestOf(dataKeys).number) await dataKeys.sync()
  }

  async function useTotp(userId: string, code: string): Promise<boolean> {
    for (;;) {
      const row = await factors.findTotp(userId)
      if (!row) return false
      await learn(row.dataKey)
      const step = totp.stepOf(totp.decrypt(userId, row.encryptedSecret), code)
      if (step === null) return false
      if (await factors.consumeTotpStep(userId, row.encryptedSecret, step)) return true
      // The code was used, unless the secret was encrypted again in the meantime. Then it is tried again.
      if ((await factors.findTotp(userId))?.encryptedSecret === row.encryptedSecret) return false
    }
  }

  async function useRecoveryCode(userId: string, code: string): Promise<boolean> {
    const dataKey = await factors.recoveryCodesKey(userId)
    if (dataKey === null) return false
    await learn(dataKey)
    const hash = recovery.digest(userId, code, dataKey)
    return hash !== null && factors.consumeRecoveryCode(userId, hash)
  }

  function auditPasskey(verdict: PasskeyVerdict, from: Origin): void {
    if ('proof' in verdict) {
      const { userId, passkeyId } = verdict.proof
      audit('factor.used', { ...by(userId, from), action: 'passkey', target: passkeyId })
    } else {
      // Nobody acted in a name that is his yet; whose passkey it claims to be is known at most.
      const { refused, userId } = verdict
      const sub = userId === null ? {} : { sub: userId }
      const { ip, requestId } = from
      audit('factor.failed', { ...sub, ip, request_id: requestId, action: 'passkey', reason: refused })
    }
  }

  return {
    passkeysAvailable: passkeys.available,
    summary: factors.summary,

    beginTotp(user) {
      const secret = totp.makeSecret()
      return setup(user, secret, handles.write('totp-setup', user.id, secret))
    },

    resumeTotp(user, pending) {
      const carried = handles.read('totp-setup', user.id, pending)
      return carried && setup(user, carried.value, pending)
    },

    async confirmTotp(user, pending, code, from) {
      const carried = handles.read('totp-setup', user.id, pending)
      if (!carried) return 'expired'
      const step = totp.stepOf(carried.value, code)
      if (step === null) return 'wrong'
      if (!(await carried.spend())) return 'expired'
      // The code that confirms is spent too.
      const row = { userId: user.id, lastStep: step, createdAt: clock.now() }
      const added = await factors.addTotp({
        ...row,
        dataKey: newestOf(dataKeys).number,
        encryptedSecret: totp.encrypt(user.id, carried.value),
      })
      if (!added) return 'expired'
      audit('factor.enrolled', { ...by(user.id, from), action: 'totp' })
      return 'confirmed'
    },

    totpSince: async (userId) => (await factors.findTotp(userId))?.createdAt ?? null,

    async removeTotp(user, from) {
      if (!(await factors.removeTotp(user.id))) return false
      audit('factor.removed', { ...by(user.id, from), action: 'totp' })
      return true
    },

    async checkCode(user, code, from) {
      const kind = asTotpCode(code) === null ? 'recovery' : 'totp'
      const failed = { sub: user.id, ip: from.ip, request_id: from.requestId, action: kind }
      // Counted apart from passwords: whoever guesses codes has the password already.
      const counted = await rateLimiter.attempt(`otp:${user.id}`, from.ip, CODE_LIMITS)
      if (counted.wait > 0) {
        audit('factor.failed', { ...failed, reason: 'rate_limited' })
        throw new RateLimited(counted.wait)
      }
      const right = await (kind === 'totp' ? useTotp(user.id, code) : useRecoveryCode(user.id, code))
      if (!right) {
        audit('factor.failed', { ...failed, reason: 'wrong or used' })
        return null
      }
      await counted.succeeded()
      audit('factor.used', { ...by(user.id, from), action: kind })
      return kind
    },

    async newRecoveryCodes(user, from) {
      const codes = recovery.make()
      const { hashes, dataKey } = recovery.digests(user.id, codes)
      if (!(await factors.replaceRecoveryCodes(user.id, hashes, dataKey))) return []
      audit('factor.enrolled', { ...by(user.id, from), action: 'recovery' })
      return codes
    },

    listPasskeys: factors.listPasskeys,
    beginPasskeyRegistration: passkeys.beginRegistration,

    async finishPasskeyRegistration(user, name, credentialJson, challenge, from) {
      const passkey = await passkeys.finishRegistration(user, name, credentialJson, challenge)
      if (passkey) audit('factor.enrolled', { ...by(user.id, from), action: 'passkey', target: passkey.id })
      return passkey
    },

    beginPasskeyAuthentication: passkeys.beginAuthentication,

    async finishPasskeyAuthentication(credentialJson, challenge, userId, from) {
      const verdict = await passkeys.finishAuthentication(credentialJson, challenge, userId)
      auditPasskey(verdict, from)
      return 'proof' in verdict ? verdict.proof : null
    },

    async removePasskey(user, id, from) {
      if (!(await factors.removePasskey(user.id, id))) return false
      audit('factor.removed', { ...by(user.id, from), action: 'passkey', target: id })
      return true
    },
  }
}

/**
 * Takes all of them, for somebody who lost them; the operator has made sure who asks. Needs no key.
 * @returns what there was
 */
export async function resetSecondFactors(
  { factors, audit }: Pick<SecondFactorsDeps, 'factors' | 'audit'>,
  user: FactorOwner,
  actor: string,
): Promise<FactorSummary> {
  const had = await factors.summary(user.id)
  if (await factors.reset(user.id)) {
    audit('factor.removed', { actor, sub: user.id, target: user.username, action: 'all' })
  }
  return had
}
