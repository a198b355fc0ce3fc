/**
 * What each kind of resource consists of in the document: which members it has, what one that is left out means, and when two values
 * are the same. Planning, printing and dumping follow from this table. Must not know the document or the server.
 */
import { isDeepStrictEqual } from 'node:util'
import { normalizeUsername } from '../../accounts/username.ts'
import { apiName, scopeText } from '../../oauth/api-rules.ts'
import { usesSecret } from '../../oauth/client-auth/index.ts'
import { AUTH_METHOD_WITH_KEYS, CLIENT_DEFAULTS } from '../../oauth/client-registration/client-defaults.ts'
import { parseClientJwks } from '../../oauth/client-registration/client-jwks.ts'
import { fapi2Defaults } from '../../oauth/client-registration/fapi2.ts'
import { clientName } from '../../oauth/client-registration/registration.ts'
import { RegistrationError } from '../../oauth/client-registration/registration-error.ts'
import { SIGNING_ALGS } from '../../oauth/client-registration/signing-algs.ts'
import { TLS_SUBJECT_MEMBERS } from '../../oauth/client-registration/tls-subject.ts'
import { resourceKey } from '../../resource-uri.ts'
import { prepareName } from '../../visible-text.ts'

export const KINDS = ['api', 'role', 'client', 'user'] as const
export type Kind = (typeof KINDS)[number]

/** The members of a resource, by their names in the HTTP API. */
export type Fields = Readonly<Record<string, unknown>>

interface FieldRule {
  /** Its value if it is left out. Without this, or if it is undefined, it then stays as it is on the server. */
  readonly byDefault?: (fields: Fields) => unknown
  /** Equal for values that mean the same. */
  readonly canonical?: (value: unknown) => unknown
  /** For a list, or a text that stands for one: its items. */
  readonly items?: (value: unknown) => readonly string[]
}

interface KindRule {
  /** Its section in the document, and the name in sentences. */
  readonly section: 'apis' | 'roles' | 'clients' | 'users'
  readonly noun: string
  /** The member that identifies it. */
  readonly id: string
  /** Equal for ids of the same resource. */
  readonly idKey: (id: string) => string
  readonly fields: Readonly<Record<string, FieldRule>>
}

const always = (value: unknown) => () => value

const sorted = (items: readonly string[]): readonly string[] => [...new Set(items)].sort()

/** A list whose order means nothing. */
const set = (byDefault?: () => unknown): FieldRule => ({
  ...(byDefault ? { byDefault } : {}),
  canonical: (value) => sorted(value as string[]),
  items: (value) => value as string[],
})

const words = (value: unknown): readonly string[] => String(value).split(' ').filter(Boolean)

/** A name as it is stored; one that is refused stays as it is, and the server says why. */
const name = (maxLength: number) => (value: unknown) =>
  typeof value === 'string' ? (prepareName(value, maxLength) ?? value) : value

const storedTexts = (value: unknown) =>
  Object.fromEntries(
    Object.entries(value as Record<string, string>).map(([scope, text]) => [scope, scopeText(text) ?? text]),
  )

/** The keys as they are stored: without what the server does not use. */
function storedKeys(value: unknown): unknown {
  if (value === null) return null
  try {
    return parseClientJwks(value)
  } catch (error) {
    if (error instanceof RegistrationError) return value
    throw error
  }
}

function profileDefaults({
  profile,
  token_endpoint_auth_method: method,
  dpop_bound_access_tokens: dpop,
  tls_client_certificate_bound_access_tokens: mtls,
}: Fields): { readonly requireDpop: boolean; readonly requireMtlsBound: boolean } {
  if (profile !== 'fapi2') return CLIENT_DEFAULTS
  return fapi2Defaults({
    authMethod: String(method),
    requireDpop: dpop as boolean | undefined,
    requireMtlsBound: mtls as boolean | undefined,
  })
}

export const KIND_RULES: Readonly<Record<Kind, KindRule>> = {
  api: {
    section: 'apis',
    noun: 'API',
    id: 'identifier',
    idKey: resourceKey,
    fields: {
      name: { byDefault: always(null), canonical: (value) => apiName(String(value)) ?? value },
      scopes: set(),
      scope_texts: { byDefault: always({}), canonical: storedTexts },
      access_token_ttl: { byDefault: always(null) },
      signing_alg: { byDefault: always(null) },
    },
  },
  role: {
    section: 'roles',
    noun: 'role',
    id: 'name',
    idKey: (id) => id,
    fields: {
      scopes: set(),
      require_second_factor: { byDefault: always(false) },
    },
  },
  client: {
    section: 'clients',
    noun: 'client',
    id: 'client_id',
    idKey: (id) => id,
    fields: {
      client_name: { canonical: (value) => clientName(String(value)) ?? value },
      token_endpoint_auth_method: {
        byDefault: ({ jwks, jwks_uri }) =>
          (jwks ?? jwks_uri ?? null) === null ? CLIENT_DEFAULTS.authMethod : AUTH_METHOD_WITH_KEYS,
      },
      grant_types: set(),
      scope: { byDefault: always(''), canonical: (value) => sorted(words(value)), items: words },
      redirect_uris: set(always([])),
      post_logout_redirect_uris: set(always([])),
      backchannel_logout_uri: { byDefault: always(null) },
      jwks: { byDefault: always(null), canonical: storedKeys },
      jwks_uri: { byDefault: always(null) },
      logo_uri: { byDefault: always(null) },
      client_uri: { byDefault: always(null) },
      policy_uri: { byDefault: always(null) },
      tos_uri: { byDefault: always(null) },
      profile: { byDefault: always(null) },
      pkce: {
        byDefault: ({ token_endpoint_auth_method: method, profile }) =>
          method === 'none' || profile === 'fapi2' ? 'required' : 'optional',
      },
      require_pushed_authorization_requests: { byDefault: ({ profile }) => profile === 'fapi2' },
      require_signed_request_object: { byDefault: always(false) },
      first_party: { byDefault: always(false) },
      require_second_factor: { byDefault: always(false) },
      access_token_ttl: { byDefault: always(null) },
      claims_in_id_token: { byDefault: always(true) },
      roles_claim: { byDefault: always(CLIENT_DEFAULTS.rolesClaim) },
      accept_endpoint_audience: { byDefault: always(false) },
      introspects: {
        byDefault: always([]),
        canonical: (value) => sorted((value as string[]).map(resourceKey)),
        items: (value) => value as string[],
      },
      dpop_bound_access_tokens: { byDefault: (fields) => profileDefaults(fields).requireDpop },
      tls_client_certificate_bound_access_tokens: {
        byDefault: (fields) => profileDefaults(fields).requireMtlsBound,
      },
      ...Object.fromEntries(
        Object.values(TLS_SUBJECT_MEMBERS).map((member) => [member, { byDefault: always(null) }]),
      ),
      // For a client with a profile, the server chooses the algorithm from its ring.
      ...Object.fromEntries(
        SIGNING_ALGS.map(([, member]) => [
          member,
          { byDefault: ({ profile }: Fields) => (profile === 'fapi2' ? undefined : null) },
        ]),
      ),
      // An administrator who stops a client at night must not find it started again by the next deployment.
      disabled: {},
    },
  },
  user: {
    section: 'users',
    noun: 'user',
    id: 'username',
    idKey: (id) => normalizeUsername(id) ?? id,
    fields: {
      name: { canonical: name(200) },
      email: {},
      roles: set(),
    },
  },
}

export const needsSecret = (fields: Fields): boolean => usesSecret(String(fields.token_endpoint_auth_method))

/** The value of a field of a resource of the server, which leaves out what is empty. */
export function current(kind: Kind, fields: Fields, field: string): unknown {
  const { byDefault = always(null) } = KIND_RULES[kind].fields[field] ?? {}
  return fields[field] ?? byDefault(fields) ?? null
}

export function isSame(kind: Kind, field: string, a: unknown, b: unknown): boolean {
  const { canonical = (value: unknown) => value } = KIND_RULES[kind].fields[field] ?? {}
  const form = (value: unknown) => (value === null ? null : canonical(value))
  return isDeepStrictEqual(form(a), form(b))
}

/** The members of a new resource that differ from what they would be if they were left out. */
export function withoutDefaults(kind: Kind, fields: Fields): Fields {
  const rules = KIND_RULES[kind].fields
  const entries = Object.entries(fields).filter(([field, value]) => {
    const { byDefault } = rules[field] ?? {}
    return (
      byDefault === undefined || !isSame(kind, field, value, byDefault({ ...fields, [field]: undefined }))
    )
  })
  return Object.fromEntries(entries)
}
