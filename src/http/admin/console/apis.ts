import type { ApiChangeView, ApiView } from '../../../admin/apis.schema.ts'
import { ALGORITHM_NAMES } from '../../../algorithm-names.ts'
import {
  APIS_PATH,
  apiDeletePage,
  apiFields,
  apiFormPage,
  apiPage,
  apisPage,
  apiValues,
} from '../../../views/admin/apis.ts'
import type { Values } from '../../../views/admin/form.ts'
import { pageUrl } from '../../../views/forms.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type Editing, formRoutes, linesOf, numberOf, textOf } from './editing.ts'
import { listPage } from './listing.ts'
import { type ConsoleRoute, given, routesOf, type Visit } from './visit.ts'

const list = listPage({
  list: ({ apis }, query) => apis.list(query),
  shown: (one) => one,
  render: apisPage,
})

const show = async (visit: Visit) => {
  const { value } = await visit.admin.apis.find(given(visit, 'identifier'))
  return visit.send(apiPage(value, visit.page))
}

/** `orders:read = See your orders`: names of scopes contain no spaces, so the first one ends the name. */
const textsOf = (text: string | undefined): Record<string, string> =>
  Object.fromEntries(
    linesOf(text).map((line) => {
      const end = line.search(/[\s=]/)
      if (end <= 0) return [line, '']
      const rest = line.slice(end).trimStart()
      return [line.slice(0, end), (rest.startsWith('=') ? rest.slice(1) : rest).trim()]
    }),
  )

/** @param seen the texts that are not there any more are removed */
function textChanges(values: Values, seen: Readonly<Record<string, string>>): Record<string, string | null> {
  const texts = textsOf(values.scope_texts)
  const removed = Object.keys(seen).filter((scope) => !Object.hasOwn(texts, scope))
  return { ...Object.fromEntries(removed.map((scope) => [scope, null])), ...texts }
}

function creating({ admin, page, leave }: Visit): Editing<ApiView> {
  return {
    path: `${APIS_PATH}/new`,
    cancel: pageUrl(page, APIS_PATH),
    hidden: {},
    fields: apiFields(page, ALGORITHM_NAMES, true),
    initial: {},
    resource: null,
    save: (values) =>
      admin.apis.create({
        identifier: values.identifier ?? '',
        name: textOf(values.name),
        scopes: linesOf(values.scopes),
        scope_texts: textsOf(values.scope_texts),
        access_token_ttl: numberOf('access_token_ttl', values.access_token_ttl),
        signing_alg: textOf(values.signing_alg),
      }),
    render: (model) => apiFormPage(model, null, page),
    saved: ({ notes }, { identifier = '' }) => {
      const done = { place: 'apis', act: 'created', subject: identifier, notes } as const
      return leave(`${APIS_PATH}/show`, { identifier }, done)
    },
  }
}

function changing(visit: Visit): Editing<ApiView> {
  const { admin, page, leave } = visit
  const identifier = given(visit, 'identifier')
  return {
    path: `${APIS_PATH}/change`,
    cancel: pageUrl(page, `${APIS_PATH}/show`, { identifier }),
    hidden: { identifier },
    fields: apiFields(page, ALGORITHM_NAMES, false),
    initial: {},
    resource: { find: () => admin.apis.find(identifier), values: apiValues },
    async save(values, { ifMatch }, changed) {
      const current = await admin.apis.find(identifier)
      const change: ApiChangeView = {
        ...(changed.has('name') ? { name: textOf(values.name) } : {}),
        ...(changed.has('scopes') ? { scopes: linesOf(values.scopes) } : {}),
        ...(changed.has('scope_texts')
          ? { scope_texts: textChanges(values, current.value.scope_texts ?? {}) }
          : {}),
        ...(changed.has('access_token_ttl')
          ? { access_token_ttl: numberOf('access_token_ttl', values.access_token_ttl) }
          : {}),
        ...(changed.has('signing_alg') ? { signing_alg: textOf(values.signing_alg) } : {}),
      }
      return admin.apis.update(identifier, change, { ifMatch })
    },
    render: (model) => apiFormPage(model, identifier, page),
    saved: ({ notes }) => {
      const done = { place: 'apis', act: 'changed', subject: identifier, notes } as const
      return leave(`${APIS_PATH}/show`, { identifier }, done)
    },
  }
}

function deleting(visit: Visit): Confirming<ApiView> {
  const { admin, page, leave } = visit
  const identifier = given(visit, 'identifier')
  return {
    hidden: { identifier },
    find: () => admin.apis.find(identifier),
    values: apiValues,
    labels: apiFields(page, ALGORITHM_NAMES, false),
    render: (_found, asked) => apiDeletePage(asked, identifier, page),
    act: ({ ifMatch }) => admin.apis.delete(identifier, { ifMatch }),
    acted: ({ notes }) => leave(APIS_PATH, {}, { place: 'apis', act: 'deleted', subject: identifier, notes }),
  }
}

export const apiRoutes: readonly ConsoleRoute[] = routesOf('apis', [
  ['GET', '', list],
  ['GET', '/show', show],
  ...formRoutes('/new', creating),
  ...formRoutes('/change', changing),
  ...confirmRoutes('/delete', deleting),
])
