/** Pages of clients. Their members have the names of the JSON. */
import { dateTime } from '../dates.ts'
import { button, buttonLink, form, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type ShownSecret, secretsPanel } from './client-secrets.ts'
import { CLIENTS_PATH, clientUrl } from './client-url.ts'
import { type Asked, confirmPage, deletePage } from './confirm.ts'
import { formPage, type ResourceForm } from './form.ts'
import { type Listed, listPage } from './list.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { facts, names, panel } from './table.ts'

export interface ShownClient {
  readonly client_id: string
  readonly client_id_issued_at: number
  readonly client_name: string
  readonly token_endpoint_auth_method: string
  readonly grant_types: readonly string[]
  readonly scope: string
  readonly redirect_uris: readonly string[]
  readonly post_logout_redirect_uris: readonly string[]
  readonly backchannel_logout_uri?: string
  readonly jwks?: object
  readonly jwks_uri?: string
  readonly logo_uri?: string
  readonly client_uri?: string
  readonly policy_uri?: string
  readonly tos_uri?: string
  readonly pkce: string
  readonly require_pushed_authorization_requests: boolean
  readonly require_signed_request_object: boolean
  readonly first_party: boolean
  readonly require_second_factor: boolean
  readonly access_token_ttl: number | null
  readonly claims_in_id_token: boolean
  readonly roles_claim: string
  readonly accept_endpoint_audience: boolean
  readonly introspects: readonly string[]
  readonly dpop_bound_access_tokens: boolean
  readonly tls_client_certificate_bound_access_tokens: boolean
  readonly tls_client_auth_subject_dn?: string
  readonly tls_client_auth_san_dns?: string
  readonly tls_client_auth_san_uri?: string
  readonly tls_client_auth_san_ip?: string
  readonly tls_client_auth_san_email?: string
  readonly id_token_signed_response_alg?: string
  readonly authorization_signed_response_alg?: string
  readonly introspection_signed_response_alg?: string
  readonly profile?: string
  readonly disabled: boolean
}

const state = (disabled: boolean, { words }: ConsoleContext): Html =>
  disabled
    ? html`<span class="state bad">${words.clients.disabled}</span>`
    : html`<span class="state good">${words.clients.enabled}</span>`

export const clientsPage = (list: Listed<ShownClient>, page: ConsoleContext): string => {
  const { clients, common } = page.words
  return listPage(list, page, {
    place: 'clients',
    intro: clients.intro,
    actions: buttonLink(pageUrl(page, `${CLIENTS_PATH}/new`), clients.new, 'primary'),
    columns: [
      { label: clients.id },
      { label: clients.fields.grant_types, secondary: true },
      { label: clients.fields.scope, secondary: true },
      { label: clients.state },
      { label: clients.created, secondary: true },
    ],
    row: (client) => [
      html`<a href="${clientUrl(page, client.client_id)}"><bdi>${client.client_id}</bdi></a><br><bdi class="muted">${client.client_name}</bdi>`,
      names(client.grant_types, common.none),
      names(wordsOf(client.scope), common.none),
      state(client.disabled, page),
      dateTime(page, client.client_id_issued_at),
    ],
  })
}

const wordsOf = (text: string): string[] => text.split(' ').filter(Boolean)

export function clientPage(
  client: ShownClient,
  secrets: readonly ShownSecret[],
  page: ConsoleContext,
): string {
  const { clients: words, common, places } = page.words
  const { client_id: id } = client
  const dash = html`<span class="muted">–</span>`
  const text = (value: string | undefined): Content =>
    value === undefined ? dash : html`<bdi>${value}</bdi>`
  const list = (values: readonly string[]): Content =>
    values.length === 0 ? dash : html`<ul>${values.map((value) => html`<li><bdi>${value}</bdi></li>`)}</ul>`
  const flag = (value: boolean) => (value ? common.yes : common.no)
  const { fields, groups } = words
  const group = (id: keyof typeof groups, pairs: readonly (readonly [string, Content])[]) =>
    panel({ id, title: groups[id], content: facts(pairs) })
  return consolePage(page, {
    place: 'clients',
    title: id,
    back: { href: pageUrl(page, CLIENTS_PATH), label: places.clients },
    actions: html`${buttonLink(clientUrl(page, id, 'change'), common.change)}${
      client.disabled
        ? form(page, {
            path: `${CLIENTS_PATH}/enable`,
            fields: { client: id },
            content: button({ label: words.enable, kind: 'secondary' }),
          })
        : buttonLink(clientUrl(page, id, 'disable'), words.disable)
    }${buttonLink(clientUrl(page, id, 'delete'), common.delete, 'danger')}`,
    content: html`<div class="grid">
${group('identity', [
  [fields.client_name, text(client.client_name)],
  [words.state, state(client.disabled, page)],
  [fields.token_endpoint_auth_method, html`<code>${client.token_endpoint_auth_method}</code>`],
  [fields.jwks_uri, text(client.jwks_uri)],
  [fields.jwks, client.jwks === undefined ? dash : common.yes],
  ...TLS_SUBJECTS.flatMap((name): [string, Content][] =>
    client[name] === undefined ? [] : [[fields[name], text(client[name])]],
  ),
  [words.created, dateTime(page, client.client_id_issued_at)],
])}
${group('grants', [
  [fields.grant_types, names(client.grant_types, common.none)],
  [fields.scope, names(wordsOf(client.scope), common.none)],
  [fields.introspects, list(client.introspects)],
])}
${group('addresses', [
  [fields.redirect_uris, list(client.redirect_uris)],
  [fields.post_logout_redirect_uris, list(client.post_logout_redirect_uris)],
  [fields.backchannel_logout_uri, text(client.backchannel_logout_uri)],
])}
${group('people', [
  [fields.logo_uri, text(client.logo_uri)],
  [fields.client_uri, text(client.client_uri)],
  [fields.policy_uri, text(client.policy_uri)],
  [fields.tos_uri, text(client.tos_uri)],
])}
</div>
${group('rules', [
  [fields.profile, client.profile === undefined ? dash : html`<code>${client.profile}</code>`],
  [fields.pkce, client.pkce],
  [
    fields.access_token_ttl,
    client.access_token_ttl === null ? page.words.apis.serverTtl : String(client.access_token_ttl),
  ],
  [fields.roles_claim, html`<code>${client.roles_claim}</code>`],
  ...ALGORITHMS.map((name): [string, Content] => [
    fields[name],
    client[name] === undefined ? words.ringAlgorithm : html`<code>${client[name]}</code>`,
  ]),
  ...FLAGS.map((name): [string, Content] => [fields[name], flag(client[name])]),
])}
${secretsPanel(id, secrets, page)}`,
  })
}

export const FLAGS = [
  'first_party',
  'require_second_factor',
  'claims_in_id_token',
  'require_pushed_authorization_requests',
  'require_signed_request_object',
  'accept_endpoint_audience',
  'dpop_bound_access_tokens',
  'tls_client_certificate_bound_access_tokens',
] as const

export const TLS_SUBJECTS = [
  'tls_client_auth_subject_dn',
  'tls_client_auth_san_dns',
  'tls_client_auth_san_uri',
  'tls_client_auth_san_ip',
  'tls_client_auth_san_email',
] as const

/** The algorithms with which the server signs for the client. */
export const ALGORITHMS = [
  'id_token_signed_response_alg',
  'authorization_signed_response_alg',
  'introspection_signed_response_alg',
] as const

/** @param id null for a new client */
export const clientFormPage = (model: ResourceForm, id: string | null, page: ConsoleContext): string => {
  const { clients, common, places } = page.words
  return formPage(model, page, {
    place: 'clients',
    title: id === null ? clients.newTitle : clients.changeTitle(id),
    subject: id ?? '',
    back:
      id === null
        ? { href: pageUrl(page, CLIENTS_PATH), label: places.clients }
        : { href: clientUrl(page, id), label: id },
    submit: id === null ? common.create : common.save,
  })
}

export const clientDisablePage = (
  asked: Asked,
  { client_id: id }: ShownClient,
  page: ConsoleContext,
): string => {
  const { clients } = page.words
  const back = { href: clientUrl(page, id), label: id }
  const follows = [clients.disableText]
  const about = { place: 'clients', title: clients.disableTitle(id), subject: id, back, follows } as const
  return confirmPage({ ...asked, ...about, path: `${CLIENTS_PATH}/disable`, submit: clients.disable }, page)
}

export const clientDeletePage = (
  asked: Asked,
  { client_id: id, client_name: name }: ShownClient,
  page: ConsoleContext,
): string => {
  const { deleteTitle, deleteText } = page.words.clients
  const about = { place: 'clients', title: deleteTitle(id, name), subject: id } as const
  return deletePage(asked, { ...about, shown: clientUrl(page, id), follows: deleteText }, page)
}
