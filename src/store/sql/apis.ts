import { resourceKey } from '../../resource-uri.ts'
import type { Api, ApiStore } from '../contracts/apis.ts'
import type { New } from '../contracts/update.ts'
import { type Db, falseOnConflict, type Param, type Step } from '../db.ts'
import { FIRST_REVISION_SQL, registryChanged, registryRowDeleted } from './revisions.ts'
import { updateRow } from './update.ts'

interface ApiRow {
  identifier: string
  name: string | null
  access_token_ttl: number | null
  signing_alg: string | null
  created_at: number
  revision: number
  scope: string | null
  text: string | null
}

const MAX_PARAMS = 400

export function createApiStore(db: Db): ApiStore {
  async function select(where: string, params: Param[]): Promise<Api[]> {
    const rows = await db.query<ApiRow>(
      `SELECT a.identifier, a.name, a.access_token_ttl, a.signing_alg, a.created_at, a.revision, s.scope, s.text
         FROM apis a LEFT JOIN api_scopes s ON s.api = a.identifier
        ${where} ORDER BY a.created_at, a.identifier, s.position`,
      params,
    )
    return group(rows)
  }

  async function find(identifier: string): Promise<Api | null> {
    const [api] = await select('WHERE a.resource_key = $1', [resourceKey(identifier)])
    return api ?? null
  }

  function write(after: Api, { revision }: Api): Promise<boolean> {
    return db.batch([
      {
        sql: `UPDATE apis SET name = $2, access_token_ttl = $3, signing_alg = $4, revision = revision + 1
               WHERE identifier = $1 AND revision = $5`,
        params: [after.identifier, after.name, after.accessTokenTtl, after.signingAlg, revision],
        expectRows: 1,
      },
      { sql: 'DELETE FROM api_scopes WHERE api = $1', params: [after.identifier] },
      ...insertScopes(after),
      registryChanged,
    ])
  }

  return {
    find,

    list: () => select('', []),

    page: (after, limit) =>
      select(
        `WHERE a.identifier IN
           (SELECT identifier FROM apis WHERE (created_at, identifier) > ($1, $2) ORDER BY created_at, identifier LIMIT $3)`,
        [after?.createdAt ?? -1, after?.identifier ?? '', limit],
      ),

    async owners(scopes) {
      const owners = new Map<string, string>()
      // Engines limit the parameters of a statement.
      for (let at = 0; at < scopes.length; at += MAX_PARAMS) {
        const part = scopes.slice(at, at + MAX_PARAMS)
        const rows = await db.query<{ scope: string; api: string }>(
          `SELECT scope, api FROM api_scopes WHERE scope IN (${part.map((_, i) => `$${i + 1}`).join(', ')})`,
          part,
        )
        for (const { scope, api } of rows) owners.set(scope, api)
      }
      return owners
    },

    insert(api) {
      return falseOnConflict(
        db.batch([
          {
            sql: `INSERT INTO apis (identifier, resource_key, name, access_token_ttl, signing_alg, created_at, revision)
                  VALUES ($1, $2, $3, $4, $5, $6, ${FIRST_REVISION_SQL}) ON CONFLICT DO NOTHING`,
            params: [
              api.identifier,
              resourceKey(api.identifier),
              api.name,
              api.accessTokenTtl,
              api.signingAlg,
              api.createdAt,
            ],
            expectRows: 1,
          },
          ...insertScopes(api),
          // A node that did not know yet that an earlier API was deleted may have stored a consent for it afterwards.
          deleteConsents(api.identifier),
          registryChanged,
        ]),
      )
    },

    update(identifier, change) {
      return updateRow({ find: () => find(identifier), keep, write }, change)
    },

    delete(identifier, revision) {
      return db.batch([
        // A user has agreed to this API, and not to another one that gets its identifier later.
        {
          sql: 'DELETE FROM consents WHERE audience = (SELECT identifier FROM apis WHERE resource_key = $1)',
          params: [resourceKey(identifier)],
        },
        revision === undefined
          ? {
              sql: 'DELETE FROM apis WHERE resource_key = $1',
              params: [resourceKey(identifier)],
              expectRows: 1,
            }
          : {
              sql: 'DELETE FROM apis WHERE resource_key = $1 AND revision = $2',
              params: [resourceKey(identifier), revision],
              expectRows: 1,
            },
        registryRowDeleted,
        registryChanged,
      ])
    },
  }
}

const keep = (changed: New<Api>, { identifier, createdAt }: Api): New<Api> => ({
  ...changed,
  scopeTexts: Object.fromEntries(
    Object.entries(changed.scopeTexts).filter(([scope]) => changed.scopes.includes(scope)),
  ),
  identifier,
  createdAt,
})

/** A user has agreed to one API, and not to a later one with the same identifier. */
const deleteConsents = (identifier: string): Step => ({
  sql: 'DELETE FROM consents WHERE audience = $1',
  params: [identifier],
})

function insertScopes(api: New<Api>): Step[] {
  return api.scopes.map((scope, position) => ({
    sql: 'INSERT INTO api_scopes (scope, api, position, text) VALUES ($1, $2, $3, $4)',
    params: [scope, api.identifier, position, textOf(api, scope)],
  }))
}

const textOf = ({ scopeTexts }: New<Api>, scope: string): string | null =>
  Object.hasOwn(scopeTexts, scope) ? (scopeTexts[scope] ?? null) : null

function group(rows: readonly ApiRow[]): Api[] {
  const apis = new Map<string, Api & { scopes: string[]; scopeTexts: Record<string, string> }>()
  for (const row of rows) {
    let api = apis.get(row.identifier)
    if (!api) {
      api = {
        identifier: row.identifier,
        name: row.name,
        scopes: [],
        scopeTexts: {},
        accessTokenTtl: row.access_token_ttl,
        signingAlg: row.signing_alg,
        createdAt: row.created_at,
        revision: row.revision,
      }
      apis.set(row.identifier, api)
    }
    if (row.scope === null) continue
    api.scopes.push(row.scope)
    if (row.text !== null) setText(api.scopeTexts, row.scope, row.text)
  }
  return [...apis.values()]
}

/** Also for a scope such as `__proto__`, to which an assignment would not add a member. */
function setText(texts: Record<string, string>, scope: string, value: string): void {
  Object.defineProperty(texts, scope, { value, enumerable: true, configurable: true, writable: true })
}
