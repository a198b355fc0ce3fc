/** The secrets of clients: at most two are good, so that services can change to a new one without downtime. */
import { usesSecret } from '../oauth/client-auth/index.ts'
import {
  addSecret,
  describeSecret,
  endSecret,
  goodSecrets,
  MAX_OVERLAP,
  type SecretDeps,
} from '../oauth/client-registration/client-secrets.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import type { Store } from '../store/index.ts'
import type { AddedSecretView, ClientSecretView, NewSecretView } from './clients.schema.ts'
import { conflict, invalidValue, notFound } from './errors.ts'
import { refusing } from './refused.ts'
import { time } from './time-text.ts'
import type { Changed, Condition, Force, Found } from './verbs.ts'

export interface ClientSecretsAdmin {
  /** Those that are good, oldest first. The revision is that of the client. @throws {AdminError} */
  listSecrets(id: string): Promise<Found<readonly ClientSecretView[]>>
  /** The value has `client_secret` if it was generated; it cannot be read again. @throws {AdminError} */
  addSecret(id: string, secret?: NewSecretView, condition?: Condition): Promise<Changed<AddedSecretView>>
  /** Ends a secret at once; the last good one only with `force`. @throws {AdminError} */
  endSecret(
    id: string,
    secretId: string,
    choice?: Condition & Force,
  ): Promise<Changed<{ readonly ended: string }>>
}

interface ClientSecretsDeps {
  readonly store: { readonly clients: Pick<Store['clients'], 'secretUses'> }
  readonly secretDeps: () => SecretDeps
  /** @throws {AdminError} not-found */
  readonly found: (id: string) => Promise<Client>
  /** @throws {AdminError} unless the administrator may change the client */
  readonly update: (
    id: string,
    condition: Condition,
    change: (current: Client) => New<Client> | Promise<New<Client>>,
  ) => Promise<{ readonly after: Client }>
  readonly record: (id: string, action: string) => void
}

export function createClientSecretsAdmin(deps: ClientSecretsDeps): ClientSecretsAdmin {
  const { store, secretDeps, found, update, record } = deps
  return {
    async listSecrets(id) {
      const { secrets, revision } = await found(id)
      const uses = await store.clients.secretUses(id)
      const good = goodSecrets(secrets, secretDeps().now)
      return { value: good.map((secret) => describeSecret(secret, uses.get(secret.id) ?? null)), revision }
    },

    async addSecret(id, { client_secret: supplied, overlap_seconds: overlap = 0 } = {}, condition = {}) {
      if (!(Number.isInteger(overlap) && overlap >= 0 && overlap <= MAX_OVERLAP))
        throw invalidValue('overlap_seconds', `overlap_seconds must be 0 to ${MAX_OVERLAP}`)
      let secret: string | undefined
      const { after } = await update(id, condition, async (current) => {
        if (!usesSecret(current.authMethod))
          throw conflict(`${id} authenticates with ${current.authMethod} and has no secret`)
        const added = await refusing('client_secret', () =>
          addSecret(current, { supplied, overlap }, secretDeps()),
        )
        secret = added.secret
        return { ...current, secrets: added.secrets }
      })
      record(id, 'secret rotated')
      const value = {
        client_id: id,
        secret_id: after.secrets.at(-1)?.id ?? '',
        ...(secret === undefined ? {} : { client_secret: secret }),
        // RFC 7591 §3.2.1: 0 means that the secret does not expire.
        client_secret_expires_at: after.secrets.at(-1)?.expiresAt ?? 0,
      }
      const notes = after.secrets
        .slice(0, -1)
        .map(
          (old) =>
            `the old secret ${old.id} is accepted until ${old.expiresAt === null ? 'it is ended' : time(old.expiresAt)}`,
        )
      return { value, revision: after.revision, notes }
    },

    async endSecret(id, secretId, { force = false, ...condition } = {}) {
      const { after } = await update(id, condition, (current) => {
        const secrets = endSecret(current.secrets, secretId, { now: secretDeps().now, force })
        if (secrets === null) throw notFound(`the client ${id} has no secret ${secretId}`)
        return { ...current, secrets }
      })
      record(id, 'secret ended')
      const left = after.secrets.length
      const note =
        left === 0
          ? 'the client has no secret any more and can no longer authenticate'
          : `the client has ${left} secret${left === 1 ? '' : 's'} left`
      return { value: { ended: secretId }, revision: after.revision, notes: [note] }
    },
  }
}
