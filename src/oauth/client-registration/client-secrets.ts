/**
 * The rules about the secrets of a client. A client has at most two secrets that are good, so that the services that use the old one
 * can change to the new one, one after the other. Each function returns the changed list of secrets, for an update of the client
 * (store/contracts/update.ts). Must not know the store, or who changes a client.
 */
import type { Hashing } from '../../accounts/concurrency-limiter.ts'
import { isOutdated, preparePassword } from '../../accounts/password.ts'
import type { Client, ClientSecret } from '../../store/contracts/clients.ts'
import type { New } from '../../store/contracts/update.ts'
import type { EpochSeconds, Random, Seconds } from '../../system.ts'
import { usesSecret } from '../client-auth/index.ts'
import {
  generateSecret,
  hashGeneratedSecret,
  hashSuppliedSecret,
  isGood,
  isHashOfSuppliedSecret,
  prepareSecret,
} from '../client-auth/secret.ts'
import { ClientSecretRefused, RegistrationError } from './registration-error.ts'

/** How many secrets of a client can be good at once. */
const MAX_SECRETS = 2
/** An overlap ends: a forgotten old secret would otherwise be good for ever. */
export const MAX_OVERLAP: Seconds = 90 * 86_400

const MIN_SECRET_LENGTH = 16
const MAX_SECRET_LENGTH = 200

/** @throws {RegistrationError} if the secret is too short or too long, or has control characters */
export function checkUserSuppliedSecret(secret: string): void {
  const prepared = prepareSecret(secret)
  if (
    prepared.length < MIN_SECRET_LENGTH ||
    secret.length > MAX_SECRET_LENGTH ||
    /\p{C}/u.test(secret + prepared) ||
    preparePassword(prepared) === null
  ) {
    throw new RegistrationError(
      `secret must be ${MIN_SECRET_LENGTH} to ${MAX_SECRET_LENGTH} printable characters`,
    )
  }
}

export interface NewSecret {
  /** Chosen by an administrator; undefined to generate one. */
  readonly supplied?: string | undefined
  /** How long the old secret stays good; 0: it ends at once. */
  readonly overlap: Seconds
}

export interface SecretDeps {
  readonly random: Pick<Random, 'bytes' | 'id'>
  readonly now: EpochSeconds
  readonly hashing: Hashing
}

export interface RotatedSecrets {
  /** What is stored: the new secret is the last one. */
  readonly secrets: readonly ClientSecret[]
  readonly added: ClientSecret
  /** The secret itself, if it was generated. It is shown once; only the hash is stored. */
  readonly secret?: string
}

/**
 * Adds a secret that does not expire. The old one ends after the overlap.
 * @param client its revision is given if nothing else of it changes
 * @throws {ClientSecretRefused} if there would be three good secrets
 * @throws {RegistrationError} if the supplied one breaks a rule
 */
export async function addSecret(
  { secrets: current, revision }: Pick<Client, 'secrets'> & Partial<Pick<Client, 'revision'>>,
  { supplied, overlap }: NewSecret,
  { random, now, hashing }: SecretDeps,
): Promise<RotatedSecrets> {
  const old = overlap > 0 ? goodSecrets(current, now) : []
  const addedIn = old.length > 0 && revision !== undefined ? revision + 1 : null
  if (old.length >= MAX_SECRETS) {
    throw new ClientSecretRefused(
      `the client already has ${MAX_SECRETS} secrets that are good: end one of them first (${old.map(({ id }) => id).join(', ')})`,
    )
  }
  const kept = old.map((secret) => ({
    ...secret,
    expiresAt: Math.min(secret.expiresAt ?? Number.POSITIVE_INFINITY, now + overlap),
  }))
  const secret = supplied === undefined ? generateSecret(random) : undefined
  const hash =
    supplied === undefined ? hashGeneratedSecret(secret as string) : await hashBeside(supplied, old, hashing)
  const added = { id: `cs_${random.id()}`, hash, createdAt: now, expiresAt: null, addedIn }
  return { secrets: [...kept, added], added, ...(secret === undefined ? {} : { secret }) }
}

/**
 * Two supplied secrets of one client have one salt and the same parameters, so that one hash tells whether a sent secret is either of
 * them. Otherwise a wrong secret would take twice as long for this client as for others (user-supplied-secret.ts).
 */
async function hashBeside(supplied: string, old: readonly ClientSecret[], hashing: Hashing): Promise<string> {
  checkUserSuppliedSecret(supplied)
  const other = old.find(({ hash }) => isHashOfSuppliedSecret(hash))
  if (other && isOutdated(other.hash)) {
    throw new ClientSecretRefused(
      'the old secret was hashed with parameters that are no longer used, so it cannot overlap with another one that you supply',
    )
  }
  return hashSuppliedSecret(supplied, hashing, other?.hash)
}

/**
 * A client that is created or changed, with the secrets that it needs: the supplied one, those that it has, or a generated one if it
 * did not authenticate with a secret before. A client whose secrets were all ended gets no new one through another change.
 * @param before null if the client is created
 */
export async function withSecrets(
  before: New<Client> | null,
  client: New<Client>,
  supplied: string | undefined,
  deps: SecretDeps,
): Promise<{ readonly client: New<Client>; readonly secret?: string }> {
  if (!usesSecret(client.authMethod)) return { client: { ...client, secrets: [] } }
  const needsOne = before === null || !usesSecret(before.authMethod)
  if (supplied === undefined && !needsOne) return { client }
  const { secrets, secret } = await addSecret({ secrets: client.secrets }, { supplied, overlap: 0 }, deps)
  return { client: { ...client, secrets }, ...(secret === undefined ? {} : { secret }) }
}

/**
 * Ends a secret at once.
 * @returns null if the client has no such secret, or it has expired
 * @throws {ClientSecretRefused} if it is the last one that is good, unless `force` is set: no service could authenticate any more
 */
export function endSecret(
  current: readonly ClientSecret[],
  id: string,
  { now, force }: { readonly now: EpochSeconds; readonly force: boolean },
): readonly ClientSecret[] | null {
  const good = goodSecrets(current, now)
  if (!good.some((secret) => secret.id === id)) return null
  const rest = good.filter((secret) => secret.id !== id)
  if (rest.length > 0 || force) return rest
  throw new ClientSecretRefused(
    `${id} is the last secret of the client that is good: without it the client cannot authenticate`,
    true,
  )
}

/** Those that authenticate the client now. */
export const goodSecrets = (secrets: readonly ClientSecret[], now: EpochSeconds): readonly ClientSecret[] =>
  secrets.filter((secret) => isGood(secret, now))

/** The metadata of one secret. Never contains the secret or its hash. */
export function describeSecret({ id, createdAt, expiresAt }: ClientSecret, lastUsedAt: EpochSeconds | null) {
  return { secret_id: id, created_at: createdAt, expires_at: expiresAt, last_used_at: lastUsedAt }
}
