/** APIs: what access tokens are for, and who owns which scope. */
import {
  apiName,
  changedTexts,
  checkApi,
  checkNotIssuer,
  describeApi,
  isResourceUri,
} from '../oauth/api-rules.ts'
import { isSameResource } from '../resource-uri.ts'
import type { Api } from '../store/contracts/apis.ts'
import type { New } from '../store/contracts/update.ts'
import { checkAccessTokenTtl } from './access-token-ttl.ts'
import { type Actor, assertMayGrant } from './actor.ts'
import type { ApiChangeView, ApiView, NewApiView } from './apis.schema.ts'
import { isAdminScope } from './built-ins.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError, conflict, notFound } from './errors.ts'
import { assertLanesUsable } from './lanes.ts'
import { ageCursor, ageOf, eachRow, storedPage } from './page.ts'
import { refusing } from './refused.ts'
import { assertRevision } from './revision.ts'
import { scopeHolderNotes } from './scope-owners.ts'
import type { Changed, Condition, Found, Page, PageQuery } from './verbs.ts'

export interface ApisAdmin {
  /** Without the API of the administration. Oldest first. */
  list(query: PageQuery): Promise<Page<ApiView>>
  /** Any URI that names the API finds it, here and below. @throws {AdminError} not-found */
  find(identifier: string): Promise<Found<ApiView>>
  /** @throws {AdminError} */
  create(api: NewApiView): Promise<Changed<ApiView>>
  /** @param change null restores a default @throws {AdminError} */
  update(identifier: string, change: ApiChangeView, condition?: Condition): Promise<Changed<ApiView>>
  /** Its scopes then belong to no API. @throws {AdminError} */
  delete(identifier: string, condition?: Condition): Promise<Changed<{ readonly deleted: string }>>
}

export function createApisAdmin(deps: LocalDeps, actor: Actor): ApisAdmin {
  const { store, config, clock, audit } = deps
  const record = (target: string, action: string) =>
    audit('api.changed', { actor: actor.name, target, action })

  async function found(identifier: string): Promise<Api> {
    const api = await store.apis.find(identifier)
    if (!api) throw unknown(identifier)
    return api
  }

  /** @throws {AdminError} if the access tokens of the API cannot be signed with its algorithm yet */
  async function assertUsable(before: New<Api> | null, { signingAlg: alg }: New<Api>): Promise<void> {
    if (alg !== null && alg !== before?.signingAlg)
      await assertLanesUsable(deps, [{ alg, field: 'signing_alg' }])
  }

  async function scopeTaken(api: Pick<Api, 'identifier' | 'scopes'>): Promise<AdminError> {
    for (const [taken, owner] of await store.apis.owners(api.scopes)) {
      if (owner === api.identifier) continue
      const message = `the scope ${taken} belongs to ${owner}: a scope can belong to only one API`
      return new AdminError('conflict', message, { errors: [{ field: 'scopes', message }] })
    }
    return conflict('the APIs were changed by another command at the same time: try again')
  }

  async function introspectingNotes(identifier: string): Promise<string[]> {
    const notes: string[] = []
    for await (const { id, introspects } of eachRow(store.clients.page)) {
      if (introspects.some((one) => isSameResource(one, identifier)))
        notes.push(`client ${id} can no longer introspect the tokens of ${identifier}`)
    }
    return notes
  }

  return {
    async list(query) {
      const page = await storedPage(
        {
          read: store.apis.page,
          cursor: ({ createdAt, identifier }: Api) => ageCursor({ createdAt, id: identifier }),
          placeOf(cursor) {
            const { createdAt, id } = ageOf(cursor)
            return { createdAt, identifier: id }
          },
          texts: ({ identifier, name, scopes }) => [identifier, name, ...scopes],
          isListed: (api) => !isBuiltIn(api),
        },
        query,
      )
      return { ...page, items: page.items.map(viewOf) }
    },

    async find(identifier) {
      const api = await found(identifier)
      return { value: viewOf(api), revision: api.revision }
    },

    async create({
      identifier,
      name = null,
      scopes,
      scope_texts = {},
      access_token_ttl = null,
      signing_alg = null,
    }) {
      checkAccessTokenTtl(access_token_ttl)
      const blank = { identifier, name: nameOf(name), scopes: unique(scopes), scopeTexts: {} }
      const scopeTexts = changedTexts(blank, new Map(Object.entries(scope_texts)))
      const api = {
        ...blank,
        scopeTexts,
        accessTokenTtl: access_token_ttl,
        signingAlg: signing_alg,
        createdAt: clock.now(),
      }
      await refusing('identifier', () => {
        checkApi(api)
        checkNotIssuer(identifier, config.issuer)
      })
      assertNotBuiltIn(api)
      await assertUsable(null, api)
      if (!(await store.apis.insert(api))) {
        const existing = await store.apis.find(identifier)
        if (existing) throw conflict(`the API ${existing.identifier} already exists`)
        await assertUsable(null, api)
        throw await scopeTaken(api)
      }
      record(identifier, 'created')
      const stored = await store.apis.find(identifier)
      return { value: viewOf(api), revision: stored?.revision ?? null, notes: identifierNotes(identifier) }
    },

    async update(identifier, change, { ifMatch } = {}) {
      const { access_token_ttl: ttl } = change
      if (ttl !== undefined) checkAccessTokenTtl(ttl)
      let wanted: New<Api> | undefined
      const outcome = await store.apis.update(identifier, async (current) => {
        assertNotBuiltIn(current)
        assertRevision(current.revision, ifMatch, `the API ${current.identifier}`)
        wanted = changed(current, change)
        const api = wanted
        await refusing('scopes', () => checkApi(api))
        assertNotBuiltIn(api)
        await assertUsable(current, api)
        return api
      })
      if (!outcome.updated) {
        const current = await found(identifier)
        if (wanted) await assertUsable(current, wanted)
        const { identifier: own } = current
        throw await scopeTaken({ identifier: own, scopes: wanted?.scopes ?? [] })
      }
      const { before, after } = outcome
      if (before !== after) record(after.identifier, 'updated')
      const given = before.scopes.filter((scope) => !after.scopes.includes(scope))
      return { value: viewOf(after), revision: after.revision, notes: await scopeHolderNotes(deps, given) }
    },

    async delete(named, { ifMatch } = {}) {
      const api = await found(named)
      const { identifier } = api
      assertNotBuiltIn(api)
      assertRevision(api.revision, ifMatch, `the API ${identifier}`)
      if (!(await store.apis.delete(identifier, ifMatch))) {
        const left = await store.apis.find(identifier)
        if (left) assertRevision(left.revision, ifMatch, `the API ${identifier}`)
        throw unknown(named)
      }
      record(identifier, 'deleted')
      const notes = [...(await scopeHolderNotes(deps, api.scopes)), ...(await introspectingNotes(identifier))]
      return { value: { deleted: identifier }, revision: null, notes }
    },
  }

  function changed(current: Api, change: ApiChangeView): New<Api> {
    const { name, scopes, scope_texts: texts, access_token_ttl: ttl, signing_alg: alg } = change
    const api = {
      ...current,
      name: name === undefined ? current.name : nameOf(name),
      scopes: scopes === undefined ? current.scopes : unique(scopes),
      accessTokenTtl: ttl === undefined ? current.accessTokenTtl : ttl,
      signingAlg: alg === undefined ? current.signingAlg : alg,
    }
    const scopeTexts =
      texts === undefined
        ? changedTexts(api, new Map())
        : texts === null
          ? {}
          : changedTexts(api, new Map(Object.entries(texts)))
    return { ...api, scopeTexts }
  }

  /** If another API owned a scope of the administration, tokens with that scope would be issued for its audience. */
  function assertNotBuiltIn(api: Pick<Api, 'scopes'>): void {
    if (!isBuiltIn(api)) return
    assertMayGrant(actor, api.scopes, 'the API')
    throw new AdminError('built-in', 'the administration API and its scopes are built in')
  }
}

const unknown = (identifier: string): AdminError => notFound(`there is no API ${identifier}`)

const isBuiltIn = ({ scopes }: Pick<Api, 'scopes'>): boolean => scopes.some(isAdminScope)

const unique = (scopes: readonly string[]): string[] => [...new Set(scopes)]

const nameOf = (name: string | null): string | null => (name === null ? null : (apiName(name) ?? name))

/** Clients cannot name an identifier that is not a URI (RFC 8707 §2). */
const identifierNotes = (identifier: string): string[] =>
  isResourceUri(identifier)
    ? []
    : [
        `${identifier} is not an absolute URI such as https://orders.example: tokens for the API have it as aud, but clients cannot name it in resource (RFC 8707 §2)`,
      ]

const viewOf = (api: New<Api>): ApiView => describeApi(api) as ApiView
