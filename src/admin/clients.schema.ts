/** The JSON of clients, in the names of RFC 7591 §2: validates requests, types both implementations, and makes the OpenAPI document. */
import { type Static, type TSchema, Type } from 'typebox'
import { AccessTokenTtl, SigningAlg } from './apis.schema.ts'
import { Name, orNull, Seconds, shownOnce } from './schema.ts'

const Uri = Type.String({ minLength: 1, maxLength: 2000 })
const Uris = Type.Array(Uri, { maxItems: 1000 })
const Words = Type.Array(Type.String({ minLength: 1, maxLength: 2000 }), { maxItems: 1000 })
const Jwks = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown()), { maxItems: 100 }) },
  { description: 'A JWK Set with public keys (RFC 7517 §5).' },
)
const Flag = Type.Boolean()
const TlsSubject = Type.String({ minLength: 1, maxLength: 1000 })
const Secret = Type.String({ minLength: 1, maxLength: 200, description: 'A secret that you chose.' })
const ShownOnce = shownOnce('A generated secret.')
const SecretEnd = Type.Integer({
  minimum: 0,
  description: '0: the secret does not expire (RFC 7591 §3.2.1).',
})

/** The members that an administrator sets, except the name and those of create alone. */
const SETTABLE = {
  token_endpoint_auth_method: Type.String({ minLength: 1, maxLength: 100 }),
  grant_types: Words,
  redirect_uris: Uris,
  post_logout_redirect_uris: Uris,
  backchannel_logout_uri: Uri,
  scope: Type.String({ maxLength: 20_000, description: 'Scopes, separated by spaces.' }),
  jwks: Jwks,
  jwks_uri: Uri,
  logo_uri: Type.String({
    minLength: 1,
    maxLength: 2000,
    description: 'The server fetches the image now and keeps it: PNG, JPEG or WebP, at most 100 KB.',
  }),
  client_uri: Uri,
  policy_uri: Uri,
  tos_uri: Uri,
  pkce: Type.Union([Type.Literal('required'), Type.Literal('optional')]),
  require_pushed_authorization_requests: Flag,
  require_signed_request_object: Flag,
  first_party: Flag,
  require_second_factor: Flag,
  claims_in_id_token: Flag,
  roles_claim: Type.String({ minLength: 1, maxLength: 200 }),
  accept_endpoint_audience: Flag,
  introspects: Words,
  dpop_bound_access_tokens: Flag,
  tls_client_certificate_bound_access_tokens: Flag,
  tls_client_auth_subject_dn: TlsSubject,
  tls_client_auth_san_dns: TlsSubject,
  tls_client_auth_san_uri: TlsSubject,
  tls_client_auth_san_ip: TlsSubject,
  tls_client_auth_san_email: TlsSubject,
  id_token_signed_response_alg: SigningAlg,
  authorization_signed_response_alg: SigningAlg,
  introspection_signed_response_alg: SigningAlg,
  profile: Type.Literal('fapi2', { description: 'The FAPI 2.0 Security Profile: docs/fapi.md.' }),
} as const

type Settable = typeof SETTABLE
type OptionalOrNull = {
  [Name in keyof Settable]: ReturnType<typeof Type.Optional<ReturnType<typeof orNull<Settable[Name]>>>>
}
/** null, and at creation also no value, stand for the default. */
const settable = Object.fromEntries(
  Object.entries(SETTABLE).map(([name, schema]) => [name, Type.Optional(orNull(schema as TSchema))]),
) as unknown as OptionalOrNull

const ClientName = Type.String({ minLength: 1, maxLength: 800 })

const CLIENT = {
  client_id: Name,
  client_id_issued_at: Seconds,
  client_name: ClientName,
  token_endpoint_auth_method: SETTABLE.token_endpoint_auth_method,
  grant_types: Words,
  response_types: Type.Optional(Words),
  redirect_uris: Uris,
  post_logout_redirect_uris: Uris,
  backchannel_logout_uri: Type.Optional(Uri),
  backchannel_logout_session_required: Type.Optional(Flag),
  scope: SETTABLE.scope,
  jwks: Type.Optional(Jwks),
  jwks_uri: Type.Optional(Uri),
  logo_uri: Type.Optional(Uri),
  client_uri: Type.Optional(Uri),
  policy_uri: Type.Optional(Uri),
  tos_uri: Type.Optional(Uri),
  pkce: SETTABLE.pkce,
  require_pushed_authorization_requests: Flag,
  require_signed_request_object: Flag,
  first_party: Flag,
  require_second_factor: Flag,
  access_token_ttl: AccessTokenTtl,
  claims_in_id_token: Flag,
  roles_claim: SETTABLE.roles_claim,
  accept_endpoint_audience: Flag,
  introspects: Words,
  dpop_bound_access_tokens: Flag,
  tls_client_certificate_bound_access_tokens: Flag,
  tls_client_auth_subject_dn: Type.Optional(TlsSubject),
  tls_client_auth_san_dns: Type.Optional(TlsSubject),
  tls_client_auth_san_uri: Type.Optional(TlsSubject),
  tls_client_auth_san_ip: Type.Optional(TlsSubject),
  tls_client_auth_san_email: Type.Optional(TlsSubject),
  id_token_signed_response_alg: Type.Optional(SigningAlg),
  authorization_signed_response_alg: Type.Optional(SigningAlg),
  introspection_signed_response_alg: Type.Optional(SigningAlg),
  profile: Type.Optional(SETTABLE.profile),
  disabled: Flag,
} as const

export const Client = Type.Object(CLIENT, { $id: 'Client', additionalProperties: false })
export type ClientView = Static<typeof Client>

/** A client after a change that may have given it a secret. */
export const RegisteredClient = Type.Object(
  {
    ...CLIENT,
    client_secret: ShownOnce,
    client_secret_expires_at: Type.Optional(SecretEnd),
  },
  { $id: 'RegisteredClient', additionalProperties: false },
)
export type RegisteredClientView = Static<typeof RegisteredClient>

export const NewClient = Type.Object(
  {
    client_id: Type.Optional(Name),
    client_name: ClientName,
    client_secret: Type.Optional(Secret),
    ...settable,
    access_token_ttl: Type.Optional(AccessTokenTtl),
  },
  { $id: 'NewClient', additionalProperties: false },
)
export type NewClientView = Static<typeof NewClient>

export const ClientChange = Type.Object(
  {
    client_name: Type.Optional(ClientName),
    client_secret: Type.Optional(Secret),
    ...settable,
    access_token_ttl: Type.Optional(AccessTokenTtl),
  },
  { $id: 'ClientChange', additionalProperties: false, description: 'A merge patch (RFC 7396).' },
)
export type ClientChangeView = Static<typeof ClientChange>

const ClientSecret = Type.Object(
  {
    secret_id: Type.String(),
    created_at: Seconds,
    expires_at: orNull(Seconds),
    last_used_at: orNull(Seconds),
  },
  { $id: 'ClientSecret', additionalProperties: false },
)
export type ClientSecretView = Static<typeof ClientSecret>
export const ClientSecrets = Type.Array(ClientSecret)

export const NewSecret = Type.Object(
  {
    client_secret: Type.Optional(Secret),
    overlap_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 7_776_000,
        description: 'How long the old secret is still accepted. 0 or no value: it ends at once.',
      }),
    ),
  },
  { $id: 'NewSecret', additionalProperties: false },
)
export type NewSecretView = Static<typeof NewSecret>

export const AddedSecret = Type.Object(
  {
    client_id: Name,
    secret_id: Type.String(),
    client_secret: ShownOnce,
    client_secret_expires_at: SecretEnd,
  },
  { $id: 'AddedSecret', additionalProperties: false },
)
export type AddedSecretView = Static<typeof AddedSecret>

export const EndedSecret = Type.Object(
  { ended: Type.String() },
  { $id: 'EndedSecret', additionalProperties: false },
)
