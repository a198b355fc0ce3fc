/**
 * Passkeys (WebAuthn Level 3): creates the options for the browser and verifies its response. A passkey that replaces the password
 * must have verified the user; a passkey that follows a password need not. Must not know rate limits, the audit trail, or
 * whether an account is disabled.
 */
import { isIP } from 'node:net'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { type FactorStore, MAX_PASSKEYS, type Passkey } from '../store/contracts/factors.ts'
import type { Clock, Random } from '../system.ts'
import { prepareName } from '../visible-text.ts'
import { ONE_TIME_STATE_TTL } from './lifetimes.ts'
import type { OneTimeState } from './one-time-state.ts'
import { parseAuthentication, parseRegistration, TRANSPORTS } from './webauthn-response.ts'

/** Loaded on first use: the library is large, and most commands and requests do not need it. */
const library = () => import('@simplewebauthn/server')

/** EdDSA, ES256, RS256 (RFC 9053, RFC 8812). Fixed here, because the library's default depends on the machine. */
const ALGORITHMS = [-8, -7, -257]
const CHALLENGE_BYTES = 32
const MAX_NAME_LENGTH = 100

export interface PasskeysDeps {
  readonly factors: FactorStore
  readonly oneTimeState: OneTimeState
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly issuer: string
  /** The name of this server in the browser's dialog. */
  readonly name: string
}

/** The user whose passkey is registered. */
interface PasskeyOwner {
  readonly id: string
  readonly username: string
}

/** `options` go to the browser. `challenge` is one-time state that the page sends back with the browser's response. */
interface PasskeyRegistration {
  readonly options: PublicKeyCredentialCreationOptionsJSON
  readonly challenge: string
}

/** What the user registers a passkey for. `sign-in`: it must be able to replace the password. */
export type PasskeyUse = 'second-factor' | 'sign-in'

export interface PasskeyRequest {
  readonly options: PublicKeyCredentialRequestOptionsJSON
  readonly challenge: string
}

export interface PasskeyProof {
  readonly userId: string
  readonly passkeyId: string
  readonly userVerified: boolean
  readonly backedUp: boolean
}

/** `expired`: the challenge has expired or was used. `cloned`: the counter did not grow, so there may be a copy of the passkey. */
type PasskeyRefusal = 'expired' | 'unknown' | 'invalid' | 'cloned'
export type PasskeyVerdict =
  | { readonly proof: PasskeyProof }
  | { readonly refused: PasskeyRefusal; readonly userId: string | null }

export interface Passkeys {
  /** False if the issuer's host is an IP address: browsers create passkeys for domain names only (WebAuthn §5.1.3). */
  readonly available: boolean
  /** null if the user has `MAX_PASSKEYS`. */
  startRegistration(owner: PasskeyOwner, use?: PasskeyUse): Promise<PasskeyRegistration | null>
  /**
   * null if the response is invalid, or if the challenge has expired, was used or belongs to another user.
   * @param confirm called once all else has been checked; if it returns false, the passkey is not stored
   */
  finishRegistration(
    owner: PasskeyOwner,
    name: string,
    credentialJson: string,
    challenge: string,
    use?: PasskeyUse,
    confirm?: () => Promise<boolean>,
  ): Promise<Passkey | null>
  /**
   * With a user id, the passkey is a second factor: null if the user has no passkey. With null, it replaces the password, and
   * any user can answer.
   */
  startAuthentication(userId: string | null): Promise<PasskeyRequest | null>
  finishAuthentication(
    credentialJson: string,
    challenge: string,
    userId: string | null,
  ): Promise<PasskeyVerdict>
}

export function createPasskeys({
  factors,
  oneTimeState,
  clock,
  random,
  issuer,
  name,
}: PasskeysDeps): Passkeys {
  const { hostname: rpID, origin } = new URL(issuer)
  const createChallenge = () => random.bytes(CHALLENGE_BYTES).toString('base64url')
  const descriptor = ({ id, transports }: Passkey) => ({ id, transports: [...transports] })

  return {
    available: isIP(rpID.replaceAll(/[[\]]/g, '')) === 0,

    async startRegistration(owner, use = 'second-factor') {
      const existing = await factors.listPasskeys(owner.id)
      if (existing.length >= MAX_PASSKEYS) return null
      const challenge = createChallenge()
      const { generateRegistrationOptions } = await library()
      const options = await generateRegistrationOptions({
        rpName: name,
        rpID,
        // Identifies the user at a sign-in without a username. Contains no personal data (WebAuthn §14.6.1).
        userID: new Uint8Array(Buffer.from(owner.id)),
        userName: owner.username,
        userDisplayName: owner.username,
        challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
        timeout: ONE_TIME_STATE_TTL['passkey-registration'] * 1000,
        attestationType: 'none',
        excludeCredentials: existing.map(descriptor),
        // A second factor need not have these properties: an older security key is still a good one.
        authenticatorSelection:
          use === 'sign-in'
            ? { residentKey: 'required', userVerification: 'required' }
            : { residentKey: 'preferred', userVerification: 'preferred' },
        supportedAlgorithmIDs: ALGORITHMS,
      })
      return { options, challenge: oneTimeState.create('passkey-registration', owner.id, challenge) }
    },

    async finishRegistration(
      owner,
      passkeyName,
      credentialJson,
      challenge,
      use = 'second-factor',
      confirm = async () => true,
    ) {
      const state = oneTimeState.read('passkey-registration', owner.id, challenge)
      const response = await parseRegistration(credentialJson)
      if (!state || !response) return null
      const credential = await verifyRegistration(response, state.value, use)
      if (!credential || !(await confirm()) || !(await state.consume(owner.id))) return null
      const passkey = {
        ...credential,
        userId: owner.id,
        name: normalizeName(passkeyName),
        createdAt: clock.now(),
        lastUsedAt: null,
      }
      return (await factors.addPasskey(passkey)) ? passkey : null
    },

    async startAuthentication(userId) {
      const existing = userId === null ? [] : await factors.listPasskeys(userId)
      if (userId !== null && existing.length === 0) return null
      const challenge = createChallenge()
      const { generateAuthenticationOptions } = await library()
      const options = await generateAuthenticationOptions({
        rpID,
        challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
        timeout: ONE_TIME_STATE_TTL['passkey-sign-in'] * 1000,
        allowCredentials: existing.map(descriptor),
        userVerification: userId === null ? 'required' : 'preferred',
      })
      return { options, challenge: oneTimeState.create('passkey-sign-in', userId, challenge) }
    },

    async finishAuthentication(credentialJson, challenge, userId) {
      const refuse = (refused: PasskeyRefusal, ownerId = userId) => ({ refused, userId: ownerId })
      const state = oneTimeState.read('passkey-sign-in', userId, challenge)
      if (!state) return refuse('expired')
      const response = parseAuthentication(credentialJson)
      if (!response) return refuse('invalid')
      const passkey = await factors.findPasskey(response.id)
      if (!passkey || !belongsTo(passkey, response, userId)) return refuse('unknown')
      const authentication = await verifyAuthentication(passkey, response, state.value, userId === null)
      if (!authentication) return refuse('invalid', passkey.userId)
      if (!(await state.consume(passkey.userId))) return refuse('expired', passkey.userId)
      const { counter, userVerified, backedUp } = authentication
      const passkeyUse = { id: passkey.id, userId: passkey.userId, counter, backedUp }
      if (!(await factors.recordPasskeyUse(passkeyUse, clock.now()))) return refuse('cloned', passkey.userId)
      return { proof: { userId: passkey.userId, passkeyId: passkey.id, userVerified, backedUp } }
    },
  }

  async function verifyRegistration(
    response: RegistrationResponseJSON,
    expectedChallenge: string,
    use: PasskeyUse,
  ) {
    const { verifyRegistrationResponse } = await library()
    const { registrationInfo } = await emptyOnError(() =>
      verifyRegistrationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: use === 'sign-in',
        supportedAlgorithmIDs: ALGORITHMS,
      }),
    )
    if (!registrationInfo) return null
    const { credential, credentialBackedUp } = registrationInfo
    return {
      id: credential.id,
      publicKey: Buffer.from(credential.publicKey).toString('base64url'),
      counter: credential.counter,
      transports: TRANSPORTS.filter((known) => credential.transports?.includes(known)),
      backedUp: credentialBackedUp,
    }
  }

  async function verifyAuthentication(
    passkey: Passkey,
    response: AuthenticationResponseJSON,
    expectedChallenge: string,
    requireUserVerification: boolean,
  ) {
    const { verifyAuthenticationResponse } = await library()
    const { verified: ok, authenticationInfo: info } = await emptyOnError(() =>
      verifyAuthenticationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: requireUserVerification,
        credential: {
          id: passkey.id,
          publicKey: new Uint8Array(Buffer.from(passkey.publicKey, 'base64url')),
          // Any counter passes here. The store checks atomically that the counter grew.
          counter: -1,
        },
      }),
    )
    if (!ok || !info) return null
    return { counter: info.newCounter, userVerified: info.userVerified, backedUp: info.credentialBackedUp }
  }
}

/** The library throws if a response is invalid. Returns an empty object then. */
async function emptyOnError<T extends object>(verify: () => Promise<T>): Promise<Partial<T>> {
  try {
    return await verify()
  } catch {
    return {}
  }
}

/**
 * WebAuthn §7.2 step 6: a user who is already identified must own the passkey. Otherwise the user handle identifies the user and
 * must be present.
 */
function belongsTo(passkey: Passkey, response: AuthenticationResponseJSON, userId: string | null): boolean {
  const { userHandle } = response.response
  const ownerId = userHandle === undefined ? userId : Buffer.from(userHandle, 'base64url').toString()
  return ownerId === passkey.userId && (userId === null || userId === passkey.userId)
}

/** A page has checked the name already. Here it is not refused, because the passkey exists: what people cannot see becomes a space. */
function normalizeName(name: string): string {
  const prepared = prepareName(name, MAX_NAME_LENGTH)
  if (prepared !== null) return prepared
  const text = name
    .normalize('NFC')
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return [...text].slice(0, MAX_NAME_LENGTH).join('') || 'Passkey'
}
