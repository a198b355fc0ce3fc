import type { ClientView, RegisteredClientView } from '../../../admin/clients.schema.ts'
import type { Changed } from '../../../admin/verbs.ts'
import { ALGORITHM_NAMES } from '../../../algorithm-names.ts'
import { METHOD_NAMES } from '../../../oauth/client-auth/index.ts'
import { GRANT_NAMES } from '../../../oauth/grants/index.ts'
import { clientFields, clientValues, GRANT_PREFIX } from '../../../views/admin/client-fields.ts'
import { clientSecretPage } from '../../../views/admin/client-secrets.ts'
import { CLIENTS_PATH, clientUrl } from '../../../views/admin/client-url.ts'
import {
  clientDeletePage,
  clientDisablePage,
  clientFormPage,
  clientPage,
  clientsPage,
} from '../../../views/admin/clients.ts'
import { pageUrl } from '../../../views/forms.ts'
import { clientChange } from './client-change.ts'
import { clientSecretRoutes } from './client-secrets.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type Editing, formRoutes } from './editing.ts'
import { listPage } from './listing.ts'
import { type ConsoleRoute, given, routesOf, type Visit } from './visit.ts'

const CHOICES = { methods: METHOD_NAMES, grants: GRANT_NAMES, algorithms: ALGORITHM_NAMES }

/** What a new client most often is: an application that signs users in. */
const NEW = {
  token_endpoint_auth_method: 'client_secret_basic',
  [`${GRANT_PREFIX}authorization_code`]: 'yes',
  [`${GRANT_PREFIX}refresh_token`]: 'yes',
  claims_in_id_token: 'yes',
  pkce: 'required',
  roles_claim: 'roles',
}

const list = listPage({
  list: ({ clients }, query) => clients.list(query),
  shown: (one) => one,
  render: clientsPage,
})

const show = async (visit: Visit) => {
  const { admin, page, send } = visit
  const id = given(visit, 'client')
  const { value } = await admin.clients.find(id)
  const secrets = await admin.clients.listSecrets(id)
  return send(clientPage(value, secrets.value, page))
}

/** A secret is in this response and in no other. */
function saved({ page, leave, send }: Visit, act: 'created' | 'changed') {
  return ({ value, notes }: Changed<RegisteredClientView>) => {
    const { client_id: id, client_secret: secret } = value
    if (secret === undefined)
      return leave(`${CLIENTS_PATH}/show`, { client: id }, { place: 'clients', act, subject: id, notes })
    return send(clientSecretPage({ act, id, secret, secretId: null, notes }, page))
  }
}

function creating(visit: Visit): Editing<ClientView, RegisteredClientView> {
  const { admin, page } = visit
  return {
    path: `${CLIENTS_PATH}/new`,
    cancel: pageUrl(page, CLIENTS_PATH),
    hidden: {},
    fields: clientFields(page, CHOICES, true),
    initial: NEW,
    resource: null,
    isOnce: true,
    save(values, choice) {
      const { client_name = '', ...change } = clientChange(values, new Set(Object.keys(values)))
      const id = values.client_id ? { client_id: values.client_id } : {}
      return admin.clients.create({ ...change, ...id, client_name }, choice)
    },
    render: (model) => clientFormPage(model, null, page),
    saved: saved(visit, 'created'),
  }
}

function changing(visit: Visit): Editing<ClientView, RegisteredClientView> {
  const { admin, page } = visit
  const id = given(visit, 'client')
  return {
    path: `${CLIENTS_PATH}/change`,
    cancel: clientUrl(page, id),
    hidden: { client: id },
    fields: clientFields(page, CHOICES, false),
    initial: {},
    isOnce: true,
    resource: { find: () => admin.clients.find(id), values: (client) => clientValues(client, CHOICES) },
    save: (values, choice, changed) => admin.clients.update(id, clientChange(values, changed), choice),
    render: (model) => clientFormPage(model, id, page),
    saved: saved(visit, 'changed'),
  }
}

const resourceOf = (visit: Visit) => {
  const id = given(visit, 'client')
  return {
    hidden: { client: id },
    insist: visit.page.words.clients.lockOut,
    find: () => visit.admin.clients.find(id),
    values: (client: ClientView) => clientValues(client, CHOICES),
    labels: clientFields(visit.page, CHOICES, false),
  }
}

function disabling(visit: Visit): Confirming<ClientView> {
  const { admin, page, leave } = visit
  const id = given(visit, 'client')
  return {
    ...resourceOf(visit),
    render: ({ value }, asked) => clientDisablePage(asked, value, page),
    act: (choice) => admin.clients.disable(id, choice),
    acted: ({ notes }) =>
      leave(
        `${CLIENTS_PATH}/show`,
        { client: id },
        { place: 'clients', act: 'disabled', subject: id, notes },
      ),
  }
}

function deleting(visit: Visit): Confirming<ClientView> {
  const { admin, page, leave } = visit
  const id = given(visit, 'client')
  return {
    ...resourceOf(visit),
    render: ({ value }, asked) => clientDeletePage(asked, value, page),
    act: (choice) => admin.clients.delete(id, choice),
    acted: ({ notes }) => leave(CLIENTS_PATH, {}, { place: 'clients', act: 'deleted', subject: id, notes }),
  }
}

const enable = async (visit: Visit) => {
  const id = given(visit, 'client')
  const { notes } = await visit.admin.clients.enable(id)
  const done = { place: 'clients', act: 'enabled', subject: id, notes } as const
  return visit.leave(`${CLIENTS_PATH}/show`, { client: id }, done)
}

export const clientRoutes: readonly ConsoleRoute[] = routesOf('clients', [
  ['GET', '', list],
  ['GET', '/show', show],
  ...formRoutes('/new', creating),
  ...formRoutes('/change', changing),
  ...confirmRoutes('/disable', disabling),
  ['POST', '/enable', enable],
  ...confirmRoutes('/delete', deleting),
  ...clientSecretRoutes,
])
