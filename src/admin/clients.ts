/** Clients: the applications that may request tokens, and their secrets. */
import { usesSecret } from '../oauth/client-auth/index.ts'
import { newClient } from '../oauth/client-registration/client-defaults.ts'
import { fetchLogo } from '../oauth/client-registration/client-logo.ts'
import { withSecrets } from '../oauth/client-registration/client-secrets.ts'
import { withProfile } from '../oauth/client-registration/fapi2.ts'
import {
  checkRegistration,
  createClientId,
  describeClient,
} from '../oauth/client-registration/registration.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import { ConstraintViolation } from '../store/db.ts'
import { checkAccessTokenTtl } from './access-token-ttl.ts'
import { type Actor, assertMayGrant } from './actor.ts'
import { COMMAND_LINE_CLIENT, isAdminScope } from './built-ins.ts'
import { applyChange, chosenMembers, keysLeftOut } from './client-change.ts'
import { changeNotes } from './client-notes.ts'
import { profileLanes, profileNotes } from './client-profile.ts'
import { type ClientSecretsAdmin, createClientSecretsAdmin } from './client-secrets.ts'
import type { ClientChangeView, ClientView, NewClientView, RegisteredClientView } from './clients.schema.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError, conflict, invalidValue, notFound } from './errors.ts'
import { assertLanesUsable, newLanes } from './lanes.ts'
import { ageCursor, ageOf, storedPage } from './page.ts'
import { refusing } from './refused.ts'
import { assertRevision } from './revision.ts'
import { assertOwned, unownedNotes } from './scope-owners.ts'
import type { Changed, Condition, Force, Found, Page, PageQuery, ScopeChoice } from './verbs.ts'

type ChangeChoice = ScopeChoice & Condition & Force

export interface ClientsAdmin extends ClientSecretsAdmin {
  /** Without the built-in client of the command line. Oldest first. */
  list(query: PageQuery): Promise<Page<ClientView>>
  /** @throws {AdminError} not-found */
  find(id: string): Promise<Found<ClientView>>
  /** The value has `client_secret` if one was generated; it cannot be read again. @throws {AdminError} */
  create(client: NewClientView, choice?: ScopeChoice): Promise<Changed<RegisteredClientView>>
  /** @param change null restores a default @throws {AdminError} */
  update(id: string, change: ClientChangeView, choice?: ChangeChoice): Promise<Changed<RegisteredClientView>>
  /** Refuses all its requests, and ends its sessions and tokens. @throws {AdminError} */
  disable(id: string, choice?: Condition & Force): Promise<Changed<ClientView>>
  /** @throws {AdminError} */
  enable(id: string, condition?: Condition): Promise<Changed<ClientView>>
  /** Its sessions end. @throws {AdminError} */
  delete(id: string, choice?: Condition & Force): Promise<Changed<{ readonly deleted: string }>>
}

export function createClientsAdmin(deps: LocalDeps, actor: Actor): ClientsAdmin {
  const { store, clock, random, audit, hashing } = deps
  const secretDeps = () => ({ random, now: clock.now(), hashing })
  const record = (id: string, action: string) =>
    audit('client.changed', { actor: actor.name, client_id: id, target: id, action })

  async function found(id: string): Promise<Client> {
    const client = await store.clients.find(id)
    if (!client) throw unknown(id)
    return client
  }

  /** @throws {AdminError} unless the administrator may change this client, as it is now */
  function assertChangeable(client: Client, { ifMatch }: Condition): void {
    const { id, scopes, revision } = client
    if (id === COMMAND_LINE_CLIENT)
      throw new AdminError('built-in', `the client ${id} is built in and cannot be changed`)
    assertMayGrant(actor, scopes, `the client ${id}`)
    assertRevision(revision, ifMatch, `the client ${id}`)
  }

  function assertForced(id: string, what: string, { force }: Force): void {
    if (force || actor.name !== `client:${id}`) return
    throw new AdminError('force-needed', `${what} is the client that you use yourself`)
  }

  async function update(
    id: string,
    condition: Condition,
    change: (current: Client) => New<Client> | Promise<New<Client>>,
  ): Promise<{ before: Client; after: Client }> {
    const outcome = await store.clients.update(id, (current) => {
      assertChangeable(current, condition)
      return refusing('client_id', () => change(current))
    })
    if (!outcome.updated) throw outcome.reason === 'not_found' ? unknown(id) : removedMeanwhile()
    return outcome
  }

  /** The APIs as they are registered, since a URI with or without a final slash may name one. @throws {AdminError} */
  async function registered(uris: readonly string[], known: readonly string[]): Promise<string[]> {
    const found = uris.map(async (uri) => {
      if (known.includes(uri)) return uri
      const api = await store.apis.find(uri)
      if (api) return api.identifier
      const message = `there is no API ${uri}`
      throw new AdminError('conflict', message, { errors: [{ field: 'introspects', message }] })
    })
    return [...new Set(await Promise.all(found))]
  }

  /** @param before null if the client is created @throws {AdminError} */
  async function checked(
    before: Client | null,
    blank: New<Client>,
    change: ClientChangeView,
    choice: ScopeChoice,
  ): Promise<New<Client>> {
    if (change.access_token_ttl !== undefined) checkAccessTokenTtl(change.access_token_ttl)
    const applied = await refusing('client_id', () => applyChange(blank, change))
    const draft = withProfile(applied, chosenMembers(change), await profileLanes(deps, applied))
    await refusing('client_id', () => checkRegistration(draft))
    const introspects = await registered(draft.introspects, before?.introspects ?? [])
    if (change.client_secret !== undefined && !usesSecret(draft.authMethod)) {
      const message = `a client that authenticates with ${draft.authMethod} has no secret`
      throw invalidValue('client_secret', message)
    }
    assertMayGrant(actor, draft.scopes, `the client ${draft.id}`)
    const earlier = before?.scopes ?? []
    await assertOwned(
      deps,
      draft.scopes.filter((scope) => !earlier.includes(scope)),
      choice,
    )
    await assertLanesUsable(deps, newLanes(before, draft))
    return { ...draft, introspects }
  }

  /** Fetches and stores the logo that a change names. @throws {AdminError} */
  async function logoOf({ logo_uri: uri }: ClientChangeView): Promise<Partial<Pick<Client, 'logo'>>> {
    if (uri === undefined) return {}
    if (uri === null) return { logo: null }
    const logo = await refusing('logo_uri', () => fetchLogo(uri, actor.scopes === null))
    await store.clientLogos.put({ ...logo, createdAt: clock.now() })
    return { logo: logo.hash }
  }

  const secrets = createClientSecretsAdmin({ store, secretDeps, found, update, record })

  return {
    ...secrets,

    async list(query) {
      const page = await storedPage(
        {
          read: store.clients.page,
          cursor: ageCursor,
          placeOf: ageOf,
          texts: ({ id, name }: Client) => [id, name],
          isListed: ({ id }) => id !== COMMAND_LINE_CLIENT,
        },
        query,
      )
      return { ...page, items: page.items.map(viewOf) }
    },

    async find(id) {
      const client = await found(id)
      return { value: viewOf(client), revision: client.revision }
    },

    async create({ client_id: id = createClientId(random), client_secret, ...given }, choice = {}) {
      const blank = newClient({ id, name: given.client_name, createdAt: clock.now() })
      const change = { ...given, ...(client_secret === undefined ? {} : { client_secret }) }
      const draft = { ...(await checked(null, blank, change, choice)), ...(await logoOf(change)) }
      const { client, secret } = await refusing('client_secret', () =>
        withSecrets(null, draft, client_secret, secretDeps()),
      )
      const inserted = await store.clients.insert(client).catch((error) => {
        throw error instanceof ConstraintViolation ? removedMeanwhile() : error
      })
      if (!inserted) throw conflict(`the client ${id} already exists`)
      record(id, 'created')
      const stored = await store.clients.find(id)
      const notes = [
        ...leftOutNotes(change, client),
        ...(await unownedNotes(deps, client.scopes)),
        ...(await profileNotes(deps, client)),
      ]
      return { value: registeredView(client, secret), revision: stored?.revision ?? null, notes }
    },

    async update(id, change, { ifMatch, force, ...choice } = {}) {
      const first = await found(id)
      assertChangeable(first, { ifMatch })
      await checked(first, first, change, choice)
      const logo = await logoOf(change)
      let secret: string | undefined
      const { before, after } = await update(id, { ifMatch }, async (current) => {
        const draft = { ...(await checked(current, current, change, choice)), ...logo }
        const lost = current.scopes.filter((scope) => isAdminScope(scope) && !draft.scopes.includes(scope))
        if (lost.length > 0) assertForced(id, id, { force })
        const complete = await refusing('client_secret', () =>
          withSecrets(current, draft, change.client_secret, secretDeps()),
        )
        secret = complete.secret
        return complete.client
      })
      if (before !== after) record(id, 'updated')
      const added = after.scopes.filter((scope) => !before.scopes.includes(scope))
      const notes = [
        ...leftOutNotes(change, after),
        ...changeNotes(before, after),
        ...(await unownedNotes(deps, added)),
        ...(await profileNotes(deps, after)),
      ]
      return { value: registeredView(after, secret), revision: after.revision, notes }
    },

    async disable(id, { ifMatch, force } = {}) {
      const { before, after } = await update(id, { ifMatch }, (current) => {
        assertForced(id, id, { force })
        return { ...current, disabled: true }
      })
      // The client is disabled before its sessions and tokens are revoked, so that none can be issued in between.
      await store.clientSessions.revokeMatching({ clientId: id }, clock.now(), 'client disabled')
      await store.status.revokeClient(id)
      if (before !== after) record(id, 'disabled')
      return { value: viewOf(after), revision: after.revision, notes: [] }
    },

    async enable(id, { ifMatch } = {}) {
      const { before, after } = await update(id, { ifMatch }, (current) => ({ ...current, disabled: false }))
      if (before !== after) record(id, 'enabled')
      return { value: viewOf(after), revision: after.revision, notes: [] }
    },

    async delete(id, { ifMatch, force } = {}) {
      assertChangeable(await found(id), { ifMatch })
      assertForced(id, id, { force })
      const now = clock.now()
      const sessions = await store.clientSessions.revokeMatching({ clientId: id }, now, 'client deleted')
      if (!(await store.clients.delete(id, ifMatch))) {
        const left = await store.clients.find(id)
        if (left) assertRevision(left.revision, ifMatch, `the client ${id}`)
        throw unknown(id)
      }
      record(id, 'deleted')
      const count = `${sessions.length} session${sessions.length === 1 ? '' : 's'}`
      const notes = sessions.length > 0 ? [`${count} of the client ended`] : []
      return { value: { deleted: id }, revision: null, notes }
    },
  }
}

const removedMeanwhile = (): AdminError =>
  conflict('the logo, or a lane of the key ring, was removed at the same time: try again')

const unknown = (id: string): AdminError => notFound(`there is no client ${id}`)

const viewOf = (client: New<Client>): ClientView => describeClient(client) as ClientView

/** @param secret one that was generated just now. Only its hash is stored, so it cannot be shown later. */
function registeredView(client: New<Client>, secret: string | undefined): RegisteredClientView {
  const { client_id, ...rest } = viewOf(client)
  // RFC 7591 §3.2.1: 0 means that the secret does not expire. The new one is the last.
  const client_secret_expires_at = client.secrets.at(-1)?.expiresAt ?? 0
  const issued = secret === undefined ? {} : { client_secret: secret, client_secret_expires_at }
  return { client_id, ...issued, ...rest }
}

function leftOutNotes(change: ClientChangeView, client: New<Client>): string[] {
  const count = keysLeftOut(change, client)
  if (count === 0) return []
  return [
    `${count} ${count === 1 ? 'key' : 'keys'} of another kind in the JWK Set ${count === 1 ? 'was' : 'were'} left out`,
  ]
}
