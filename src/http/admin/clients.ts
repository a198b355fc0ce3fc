import {
  AddedSecret,
  Client,
  ClientChange,
  ClientSecrets,
  EndedSecret,
  NewClient,
  NewSecret,
  RegisteredClient,
} from '../../admin/clients.schema.ts'
import { Deleted, pageOf } from '../../admin/schema.ts'
import { ForceQuery, ListQuery, ScopeAndForceQuery, ScopeQuery } from './query.ts'
import { adminRoute } from './route.ts'

const SECRETS = '/clients/{client_id}/secrets'

export const clientRoutes = [
  adminRoute('GET /clients', {
    scope: 'admin:read',
    operationId: 'listClients',
    summary: 'List clients, oldest first',
    query: ListQuery,
    response: pageOf(Client),
    handler: ({ clients }, { query }) => clients.list(query),
  }),
  adminRoute('POST /clients', {
    scope: 'admin:clients',
    operationId: 'createClient',
    summary: 'Register a client; only this response contains a generated secret',
    query: ScopeQuery,
    body: NewClient,
    response: RegisteredClient,
    status: 201,
    revised: true,
    location: ({ client_id }) => `/clients/${encodeURIComponent(client_id)}`,
    handler: ({ clients }, { query, body }) => clients.create(body, { allowUnowned: query.allow_unowned }),
  }),
  adminRoute('GET /clients/{client_id}', {
    scope: 'admin:read',
    operationId: 'getClient',
    summary: 'Get a client',
    response: Client,
    revised: true,
    handler: ({ clients }, { params }) => clients.find(params.client_id ?? ''),
  }),
  adminRoute('PATCH /clients/{client_id}', {
    scope: 'admin:clients',
    operationId: 'updateClient',
    summary: 'Change a client: null restores a default',
    query: ScopeAndForceQuery,
    body: ClientChange,
    response: RegisteredClient,
    revised: true,
    handler: ({ clients }, { params, query, body, ifMatch }) =>
      clients.update(params.client_id ?? '', body, {
        ifMatch,
        force: query.force,
        allowUnowned: query.allow_unowned,
      }),
  }),
  adminRoute('DELETE /clients/{client_id}', {
    scope: 'admin:clients',
    operationId: 'deleteClient',
    summary: 'Delete a client and its sessions',
    query: ForceQuery,
    response: Deleted,
    revised: true,
    handler: ({ clients }, { params, query, ifMatch }) =>
      clients.delete(params.client_id ?? '', { ifMatch, force: query.force }),
  }),
  adminRoute('POST /clients/{client_id}/disable', {
    scope: 'admin:clients',
    operationId: 'disableClient',
    summary: 'Refuse all requests of a client, and end its sessions',
    query: ForceQuery,
    response: Client,
    revised: true,
    handler: ({ clients }, { params, query, ifMatch }) =>
      clients.disable(params.client_id ?? '', { ifMatch, force: query.force }),
  }),
  adminRoute('POST /clients/{client_id}/enable', {
    scope: 'admin:clients',
    operationId: 'enableClient',
    summary: 'Enable a disabled client again',
    response: Client,
    revised: true,
    handler: ({ clients }, { params, ifMatch }) => clients.enable(params.client_id ?? '', { ifMatch }),
  }),
  adminRoute(`GET ${SECRETS}`, {
    scope: 'admin:read',
    operationId: 'listClientSecrets',
    summary: 'List the secrets of a client that are accepted, oldest first',
    response: ClientSecrets,
    revised: true,
    handler: async ({ clients }, { params }) => {
      const { value, revision } = await clients.listSecrets(params.client_id ?? '')
      return { value: [...value], revision }
    },
  }),
  adminRoute(`POST ${SECRETS}`, {
    scope: 'admin:clients',
    operationId: 'addClientSecret',
    summary: 'Give a client a new secret; the old one ends at once, or after an overlap',
    body: NewSecret,
    conditional: true,
    response: AddedSecret,
    status: 201,
    revised: true,
    location: ({ client_id, secret_id }) =>
      `/clients/${encodeURIComponent(client_id)}/secrets/${encodeURIComponent(secret_id)}`,
    handler: ({ clients }, { params, body, ifMatch }) =>
      clients.addSecret(params.client_id ?? '', body, { ifMatch }),
  }),
  adminRoute(`DELETE ${SECRETS}/{secret_id}`, {
    scope: 'admin:clients',
    operationId: 'endClientSecret',
    summary: 'End a secret at once; the last good one only with force',
    query: ForceQuery,
    response: EndedSecret,
    revised: true,
    handler: ({ clients }, { params, query, ifMatch }) =>
      clients.endSecret(params.client_id ?? '', params.secret_id ?? '', { ifMatch, force: query.force }),
  }),
]
