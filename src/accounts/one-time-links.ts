/**
 * Links that an administrator hands over to a user who has no password yet, or has forgotten it. The link contains a secret, and the
 * store its SHA-256. Must not know how a link is handed over, or what its page looks like.
 */
import { createHash } from 'node:crypto'
import type { Audit } from '../audit/events.ts'
import { issuerBase } from '../issuer-path.ts'
import type { LinkPurpose, OneTimeLinkStore } from '../store/contracts/one-time-links.ts'
import type { User } from '../store/contracts/users.ts'
import type { Clock, EpochSeconds, Random } from '../system.ts'
import { ONE_TIME_LINK_TTL } from './lifetimes.ts'
import { AccountConflict } from './users.ts'

/** The page of each purpose, below the issuer. */
export const LINK_PAGES = {
  invite: '/account/invitation',
  reset: '/account/reset',
} as const satisfies Record<LinkPurpose, string>

export interface HandedOverLink {
  /** Contains the secret, which is not stored. */
  readonly link: string
  readonly expiresAt: EpochSeconds
}

export interface OneTimeLinksDeps {
  readonly store: { readonly oneTimeLinks: Pick<OneTimeLinkStore, 'replace'> }
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly audit: Audit
  readonly config: { readonly issuer: string }
}

const SECRET_BYTES = 32
const SECRET = /^[\w-]{43}$/

/** null if the text cannot be a secret. */
export const hashOfSecret = (secret: string): string | null =>
  SECRET.test(secret) ? createHash('sha256').update(secret).digest('base64url') : null

const ACTIONS = { invite: 'invitation created', reset: 'reset link created' } as const

/**
 * Creates a link, which makes the user's earlier link for the same purpose void.
 * @param actor the `actor` of the audit event
 * @throws {AccountConflict} if the user cannot have a link for this purpose
 */
export async function createOneTimeLink(
  { store, clock, random, audit, config }: OneTimeLinksDeps,
  user: Pick<User, 'id' | 'username' | 'passwordHash' | 'disabled'>,
  purpose: LinkPurpose,
  actor: string,
): Promise<HandedOverLink> {
  assertPurpose(user, purpose)
  const secret = random.bytes(SECRET_BYTES).toString('base64url')
  const now = clock.now()
  const expiresAt = now + ONE_TIME_LINK_TTL
  const hash = hashOfSecret(secret) as string
  const stored = await store.oneTimeLinks.replace({
    userId: user.id,
    purpose,
    hash,
    createdAt: now,
    expiresAt,
  })
  if (!stored) throw new AccountConflict(`${user.username} is disabled`)
  audit('user.changed', { actor, sub: user.id, target: user.username, action: ACTIONS[purpose] })
  return { link: `${issuerBase(config.issuer)}${LINK_PAGES[purpose]}?secret=${secret}`, expiresAt }
}

function assertPurpose(
  { username, passwordHash, disabled }: Pick<User, 'username' | 'passwordHash' | 'disabled'>,
  purpose: LinkPurpose,
): void {
  if (disabled) throw new AccountConflict(`${username} is disabled`)
  if (purpose === 'invite' && passwordHash !== null)
    throw new AccountConflict(`${username} has a password: users reset-link makes a link to set another one`)
  if (purpose === 'reset' && passwordHash === null)
    throw new AccountConflict(`${username} has no password yet: users invite makes a link to set one`)
}
