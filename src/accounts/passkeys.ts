/**
 * Passkeys (WebAuthn Level 3): what the browser is asked, and whether its answer is good. A passkey that stands
 * alone must have verified who holds it; one that follows a password need not. Must not know who guesses, what is
 * audited, or whether an account is disabled.
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
import { ONE_TIME_STATE_TTL } from './lifetimes.ts'
import type { OneTimeState } from './one-time-state.ts'
import { parseAuthentication, parseRegistration, TRANSPORTS } from './webauthn-response.ts'

/** Loaded when it is needed: it is large, and most commands and requests have no use for it. */
const library = () => import('@simplewebauthn/server')

/** EdDSA, ES256, RS256 (RFC 9053, RFC 8812): a list of ours, so that it does not change with the machine. */
const ALGORITHMS = [-8, -7, -257]
const CHALLENGE_BYTES = 32
const MAX_NAME_LENGTH = 100

export interface PasskeysDeps {
  readonly factors: FactorStore
  readonly handles: OneTimeState
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly issuer: string
  /** What the browser calls us. */
  readonly name: string
}

/** Whose passkey it is made for. */
interface PasskeyOwner {
  readonly id: string
  readonly username: string
}

/** The options are for the browser; the challenge comes back with its answer. */
interface PasskeyRegistration {
  readonly options: PublicKeyCredentialCreationOptionsJSON
  readonly challenge: string
}

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

/** `stale`: the challenge is too old or was used. `copied`: the counter went back, so there may be two of it. */
type PasskeyRefusal = 'stale' | 'unknown' | 'invalid' | 'copied'
export type PasskeyVerdict =
  | { readonly proof: PasskeyProof }
  | { readonly refused: PasskeyRefusal; readonly userId: string | null }

export interface Passkeys {
  /** Browsers make passkeys for names only, not for an issuer at a bare address (WebAuthn §5.1.3). */
  readonly available: boolean
  /** null if there are as many as there may be. */
  beginRegistration(owner: PasskeyOwner): Promise<PasskeyRegistration | null>
  /** null if it is not good, or nobody's challenge any more. */
  finishRegistration(
    owner: PasskeyOwner,
    name: string,
    credentialJson: string,
    challenge: string,
  ): Promise<Passkey | null>
  /** For one user, as a second factor: null if there is no passkey. For `null`: whoever has one here. */
  beginAuthentication(userId: string | null): Promise<PasskeyRequest | null>
  finishAuthentication(
    credentialJson: string,
    challenge: string,
    userId: string | null,
  ): Promise<PasskeyVerdict>
}

export function createPasskeys({ factors, handles, clock, random, issuer, name }: PasskeysDeps): Passkeys {
  const { hostname: rpID, origin } = new URL(issuer)
  const newChallenge = () => random.bytes(CHALLENGE_BYTES).toString('base64url')
  const descriptor = ({ id, transports }: Passkey) => ({ id, transports: [...transports] })

  return {
    available: isIP(rpID.replaceAll(/[[\]]/g, '')) === 0,

    async beginRegistration(owner) {
      const existing = await factors.listPasskeys(owner.id)
      if (existing.length >= MAX_PASSKEYS) return null
      const challenge = newChallenge()
      const { generateRegistrationOptions } = await library()
      const options = await generateRegistrationOptions({
        rpName: name,
        rpID,
        // Comes back when somebody signs in without a user name; says nothing of the person (§14.6.1).
        userID: new Uint8Array(Buffer.from(owner.id)),
        userName: owner.username,
        userDisplayName: owner.username,
        challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
        timeout: ONE_TIME_STATE_TTL['passkey-registration'] * 1000,
        attestationType: 'none',
        excludeCredentials: existing.map(descriptor),
        // Preferred, not required: an old security key is still a good second factor.
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
        supportedAlgorithmIDs: ALGORITHMS,
      })
      return { options, challenge: handles.write('passkey-registration', owner.id, challenge) }
    },

    async finishRegistration(owner, passkeyName, credentialJson, challenge) {
      const carried = handles.read('passkey-registration', owner.id, challenge)
      const response = await parseRegistration(credentialJson)
      if (!carried || !response) return null
      const credential = await registered(response, carried.value)
      if (!credential || !(await carried.spend())) return null
      const passkey = {
        ...credential,
        userId: owner.id,
        name: tidy(passkeyName),
        createdAt: clock.now(),
        lastUsedAt: null,
      }
      return (await factors.addPasskey(passkey)) ? passkey : null
    },

    async beginAuthentication(userId) {
      const existing = userId === null ? [] : await factors.listPasskeys(userId)
      if (userId !== null && existing.length === 0) return null
      const challenge = newChallenge()
      const { generateAuthenticationOptions } = await library()
      const options = await generateAuthenticationOptions({
        rpID,
        challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
        timeout: ONE_TIME_STATE_TTL['passkey-sign-in'] * 1000,
        allowCredentials: existing.map(descriptor),
        userVerification: userId === null ? 'required' : 'preferred',
      })
      return { options, challenge: handles.write('passkey-sign-in', userId, challenge) }
    },

    async finishAuthentication(credentialJson, challenge, userId) {
      const refuse = (refused: PasskeyRefusal, whose = userId) => ({ refused, userId: whose })
      const carried = handles.read('passkey-sign-in', userId, challenge)
      if (!carried) return refuse('stale')
      const response = parseAuthentication(credentialJson)
      if (!response) return refuse('invalid')
      const passkey = await factors.findPasskey(response.id)
      if (!passkey || !isOf(passkey, response, userId)) return refuse('unknown')
      const used = await verified(passkey, response, carried.value, userId === null)
      if (!used) return refuse('invalid', passkey.userId)
      if (!(await carried.spend())) return refuse('stale', passkey.userId)
      const { counter, userVerified, backedUp } = used
      const use = { id: passkey.id, userId: passkey.userId, counter, backedUp }
      if (!(await factors.recordPasskeyUse(use, clock.now()))) return refuse('copied', passkey.userId)
      return { proof: { userId: passkey.userId, passkeyId: passkey.id, userVerified, backedUp } }
    },
  }

  async function registered(response: RegistrationResponseJSON, expectedChallenge: string) {
    const { verifyRegistrationResponse } = await library()
    const { registrationInfo } = await orRefused(() =>
      verifyRegistrationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: false,
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

  async function verified(
    passkey: Passkey,
    response: AuthenticationResponseJSON,
    expectedChallenge: string,
    alone: boolean,
  ) {
    const { verifyAuthenticationResponse } = await library()
    const { verified: ok, authenticationInfo: info } = await orRefused(() =>
      verifyAuthenticationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: alone,
        credential: {
          id: passkey.id,
          publicKey: new Uint8Array(Buffer.from(passkey.publicKey, 'base64url')),
          // Any counter passes here: whether it grew is asked of the store, once and for all who ask at once.
          counter: -1,
        },
      }),
    )
    if (!ok || !info) return null
    return { counter: info.newCounter, userVerified: info.userVerified, backedUp: info.credentialBackedUp }
  }
}

/** The library throws for whatever is wrong with an answer; that is an answer too. */
async function orRefused<T extends object>(verify: () => Promise<T>): Promise<Partial<T>> {
  try {
    return await verify()
  } catch {
    return {}
  }
}

/** WebAuthn §7.2, step 6: who is known must own it; who is not is named by the user handle, which must be there. */
function isOf(passkey: Passkey, response: AuthenticationResponseJSON, userId: string | null): boolean {
  const { userHandle } = response.response
  const named = userHandle === undefined ? userId : Buffer.from(userHandle, 'base64url').toString()
  return named === passkey.userId && (userId === null || userId === passkey.userId)
}

function tidy(name: string): string {
  const text = name
    .normalize('NFC')
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return [...text].slice(0, MAX_NAME_LENGTH).join('') || 'Passkey'
}
