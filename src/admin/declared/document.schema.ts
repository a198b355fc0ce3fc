/**
 * The schema of keyturn.yaml: the names of the HTTP API, with durations as people write them and secrets by reference. It is
 * docs/keyturn.schema.json too, for editors; a test compares. A new member of a client is a line here and a line in kinds.ts.
 */
import { type Static, type TSchema, Type } from 'typebox'
import { Name, Scope } from '../schema.ts'

const strict = { additionalProperties: false }

const Duration = Type.String({
  pattern: '^\\d{1,9}[smhd]$',
  description: 'A duration such as "30s", "5m", "12h" or "1d"',
})
const Uri = Type.String({ minLength: 1, maxLength: 2000, description: 'A URI' })
const EnvironmentVariable = Type.String({
  pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
  description: 'The name of an environment variable of the command',
})
const FileName = Type.String({
  minLength: 1,
  description: 'The name of a file, from the folder of the document',
})
const flag = (description: string) => Type.Optional(Type.Boolean({ description }))
const listOf = <T extends TSchema>(item: T, description: string) =>
  Type.Array(item, { maxItems: 1000, description })

const SigningAlg = Type.Optional(
  Type.String({ minLength: 1, description: 'An algorithm of signatures, such as ES256' }),
)

const Scopes = listOf(Scope, 'A list of scopes')

const DeclaredApi = Type.Object(
  {
    identifier: Type.String({ minLength: 1, description: 'The aud of its tokens' }),
    name: Type.Optional(Type.String({ description: 'What people read on the consent page' })),
    scopes: Type.Union(
      [
        Scopes,
        Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()], { description: 'A text' }), {
          description: 'Scopes with the texts of the consent page',
        }),
      ],
      { description: 'A list of scopes, or scopes with their texts for the consent page' },
    ),
    access_token_ttl: Type.Optional(Duration),
    signing_alg: SigningAlg,
  },
  strict,
)

const DeclaredRole = Type.Object(
  {
    name: Name,
    scopes: Scopes,
    require_second_factor: flag('Users with the role need a second factor'),
  },
  strict,
)

const Secret = Type.Union(
  [
    Type.Object({ from_file: FileName }, strict),
    Type.Object({ from_env: EnvironmentVariable }, strict),
    Type.Object({ generate: Type.Literal(true) }, strict),
  ],
  { description: 'One of { from_file: … }, { from_env: … } and { generate: true }' },
)

const DeclaredClient = Type.Object(
  {
    client_id: Name,
    client_name: Type.String({ minLength: 1 }),
    token_endpoint_auth_method: Type.Optional(Type.String({ minLength: 1 })),
    secret: Type.Optional(Secret),
    grant_types: listOf(Type.String(), 'A list of grants'),
    scope: Type.Optional(Type.String({ description: 'Scopes, separated by spaces' })),
    redirect_uris: Type.Optional(listOf(Uri, 'A list of URIs')),
    post_logout_redirect_uris: Type.Optional(listOf(Uri, 'A list of URIs')),
    backchannel_logout_uri: Type.Optional(Uri),
    jwks: Type.Optional(
      Type.Object(
        { keys: Type.Array(Type.Object({}), { description: 'A list of keys' }) },
        { description: 'A JWK Set with public keys' },
      ),
    ),
    jwks_uri: Type.Optional(Uri),
    logo_uri: Type.Optional(Uri),
    client_uri: Type.Optional(Uri),
    policy_uri: Type.Optional(Uri),
    tos_uri: Type.Optional(Uri),
    pkce: Type.Optional(Type.Enum(['required', 'optional'])),
    require_pushed_authorization_requests: flag('Authorization requests must be pushed (RFC 9126)'),
    require_signed_request_object: flag('Authorization requests must be signed (RFC 9101)'),
    first_party: flag('Users do not see the consent page'),
    require_second_factor: flag('Users must sign in with a second factor'),
    access_token_ttl: Type.Optional(Duration),
    claims_in_id_token: flag('ID tokens have the claims of profile, email and roles'),
    roles_claim: Type.Optional(Type.String({ minLength: 1 })),
    accept_endpoint_audience: flag('The aud of a client assertion may be the URL of an endpoint'),
    introspects: Type.Optional(listOf(Type.String(), 'A list of identifiers of APIs')),
    dpop_bound_access_tokens: flag('Token requests need a DPoP proof (RFC 9449)'),
    tls_client_certificate_bound_access_tokens: flag('Token requests need a client certificate (RFC 8705)'),
    tls_client_auth_subject_dn: Type.Optional(Type.String({ description: 'A distinguished name' })),
    tls_client_auth_san_dns: Type.Optional(Type.String({ description: 'A DNS name' })),
    tls_client_auth_san_uri: Type.Optional(Type.String({ description: 'A URI' })),
    tls_client_auth_san_ip: Type.Optional(Type.String({ description: 'An IP address' })),
    tls_client_auth_san_email: Type.Optional(Type.String({ description: 'An email address' })),
    id_token_signed_response_alg: SigningAlg,
    authorization_signed_response_alg: SigningAlg,
    introspection_signed_response_alg: SigningAlg,
    profile: Type.Optional(Type.Enum(['fapi2'])),
    disabled: flag('All requests of the client are refused; as it is on the server if left out'),
  },
  strict,
)

const DeclaredUser = Type.Object(
  {
    username: Name,
    name: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'A name, or null for none' }),
    ),
    email: Type.Optional(
      Type.Union([Type.String(), Type.Null()], {
        description: 'An email address, or null for none',
      }),
    ),
    roles: listOf(Type.String(), 'A list of roles'),
  },
  strict,
)

/** A section without entries may be empty, as it is when they are all comments. */
const section = <T extends TSchema>(entry: T, description: string) =>
  Type.Optional(Type.Union([Type.Array(entry), Type.Null()], { description }))

export const Document = Type.Object(
  {
    apis: section(DeclaredApi, 'A list of APIs'),
    roles: section(DeclaredRole, 'A list of roles'),
    clients: section(DeclaredClient, 'A list of clients'),
    users: section(DeclaredUser, 'A list of users'),
  },
  { ...strict, title: 'keyturn.yaml', description: 'The declared state of a Keyturn server: docs/apply.md' },
)

export type DocumentView = Static<typeof Document>
export type SecretReference = Static<typeof Secret>
