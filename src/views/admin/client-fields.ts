/** The fields of the form of a client. Must not know how they become a request. */

import { ALGORITHMS, FLAGS, type ShownClient, TLS_SUBJECTS } from './clients.ts'
import type { FormField, Values } from './form.ts'
import type { ConsoleContext } from './page.ts'

export interface ClientChoices {
  readonly methods: readonly string[]
  readonly grants: readonly string[]
  readonly algorithms: readonly string[]
}

/** Each grant is a checkbox: its name is the prefix and the grant. */
export const GRANT_PREFIX = 'grant.'

/** The members of a client whose field is a line of text, and may be empty. */
export const TEXTS = [
  'backchannel_logout_uri',
  'jwks_uri',
  'logo_uri',
  'client_uri',
  'policy_uri',
  'tos_uri',
  'roles_claim',
  ...TLS_SUBJECTS,
] as const
/** The members whose field has an item on each line. */
export const LISTS = ['redirect_uris', 'post_logout_redirect_uris', 'introspects'] as const

/** @param isNew the id of a client cannot be changed */
export function clientFields(
  { words }: Pick<ConsoleContext, 'words'>,
  { methods, grants, algorithms }: ClientChoices,
  isNew: boolean,
): FormField[] {
  const { clients, common } = words
  const labels = clients.fields
  const text = (name: (typeof TEXTS)[number] | 'client_name', hint?: string): FormField => ({
    name,
    label: labels[name],
    kind: 'text',
    ...(hint === undefined ? {} : { hint }),
    required: name === 'client_name',
  })
  const lines = (name: (typeof LISTS)[number] | 'scope'): FormField => ({
    name,
    label: labels[name],
    kind: 'lines',
    hint: common.onePerLine,
  })
  const choice = (name: 'token_endpoint_auth_method' | 'pkce', values: readonly string[]): FormField => ({
    name,
    label: labels[name],
    kind: 'choice',
    options: values.map((value) => ({ value, label: value })),
  })
  /** The first choice is that nothing is registered. */
  const optional = (
    name: (typeof ALGORITHMS)[number] | 'profile',
    none: string,
    values: readonly string[],
  ): FormField => ({
    name,
    label: labels[name],
    kind: 'choice',
    options: [{ value: '', label: none }, ...values.map((value) => ({ value, label: value }))],
  })
  const { groups } = clients
  return [
    ...(isNew
      ? [{ name: 'client_id', label: clients.id, kind: 'text', hint: clients.generated } as const]
      : []),
    text('client_name'),
    choice('token_endpoint_auth_method', methods),
    ...grants.map(
      (grant, index): FormField => ({
        name: GRANT_PREFIX + grant,
        label: grant,
        kind: 'check',
        ...(index === 0 ? { group: labels.grant_types } : {}),
      }),
    ),
    lines('scope'),
    { ...lines('redirect_uris'), group: groups.addresses },
    lines('post_logout_redirect_uris'),
    text('backchannel_logout_uri'),
    text('jwks_uri'),
    { name: 'jwks', label: labels.jwks, kind: 'lines' },
    ...TLS_SUBJECTS.map((name) => text(name)),
    { ...text('logo_uri', clients.logoHint), group: groups.people },
    text('client_uri'),
    text('policy_uri'),
    text('tos_uri'),
    { ...choice('pkce', ['required', 'optional']), group: groups.rules },
    { name: 'access_token_ttl', label: labels.access_token_ttl, kind: 'text', hint: clients.ttlHint },
    text('roles_claim'),
    lines('introspects'),
    optional('profile', common.none, ['fapi2']),
    ...ALGORITHMS.map((name) => optional(name, clients.ringAlgorithm, algorithms)),
    ...FLAGS.map((name): FormField => ({ name, label: labels[name], kind: 'check' })),
  ]
}

export const clientValues = (client: ShownClient, { grants }: ClientChoices): Values => ({
  client_name: client.client_name,
  ...Object.fromEntries(TEXTS.map((name) => [name, client[name] ?? ''])),
  ...Object.fromEntries(LISTS.map((name) => [name, client[name].join('\n')])),
  ...Object.fromEntries(FLAGS.map((name) => [name, client[name] ? 'yes' : ''])),
  ...Object.fromEntries(
    grants.map((grant) => [GRANT_PREFIX + grant, client.grant_types.includes(grant) ? 'yes' : '']),
  ),
  scope: client.scope.split(' ').filter(Boolean).join('\n'),
  token_endpoint_auth_method: client.token_endpoint_auth_method,
  ...Object.fromEntries([...ALGORITHMS, 'profile' as const].map((name) => [name, client[name] ?? ''])),
  pkce: client.pkce,
  jwks: client.jwks === undefined ? '' : JSON.stringify(client.jwks, null, 2),
  access_token_ttl: client.access_token_ttl === null ? '' : String(client.access_token_ttl),
})
