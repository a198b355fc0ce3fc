/** The JSON of APIs: validates requests, types both implementations, and makes the OpenAPI document. */
import { type Static, Type } from 'typebox'
import { MAX_ACCESS_TOKEN_TTL, MIN_ACCESS_TOKEN_TTL } from './access-token-ttl.ts'
import { orNull, Scopes, Seconds } from './schema.ts'

const Identifier = Type.String({
  minLength: 1,
  maxLength: 500,
  description: 'The `aud` of tokens for the API: an absolute URI.',
})
const DisplayName = Type.String({
  minLength: 1,
  maxLength: 800,
  description: 'What people are shown instead of the identifier.',
})
const TEXTS = 'What people are shown instead of a scope, by the name of the scope.'
const Text = Type.String({ minLength: 1, maxLength: 1200 })

/** null: the lifetime of the server. */
export const AccessTokenTtl = orNull(
  Type.Integer({
    minimum: MIN_ACCESS_TOKEN_TTL,
    maximum: MAX_ACCESS_TOKEN_TTL,
    description: 'Lifetime of access tokens in seconds; null for that of the server.',
  }),
)

/** Which names are algorithms is a rule of registration, so that the message lists them. */
export const SigningAlg = Type.String({
  minLength: 1,
  maxLength: 20,
  description: 'The algorithm of signatures, such as ES256; without it the default of the ring.',
})

export const Api = Type.Object(
  {
    identifier: Identifier,
    name: Type.Optional(DisplayName),
    scopes: Scopes,
    scope_texts: Type.Optional(Type.Record(Type.String(), Text, { description: TEXTS })),
    access_token_ttl: AccessTokenTtl,
    signing_alg: Type.Optional(SigningAlg),
    created_at: Seconds,
  },
  { $id: 'Api', additionalProperties: false },
)
export type ApiView = Static<typeof Api>

export const NewApi = Type.Object(
  {
    identifier: Identifier,
    name: Type.Optional(orNull(DisplayName)),
    scopes: Scopes,
    scope_texts: Type.Optional(Type.Record(Type.String(), Text, { description: TEXTS })),
    access_token_ttl: Type.Optional(AccessTokenTtl),
    signing_alg: Type.Optional(orNull(SigningAlg)),
  },
  { $id: 'NewApi', additionalProperties: false },
)
export type NewApiView = Static<typeof NewApi>

export const ApiChange = Type.Object(
  {
    name: Type.Optional(orNull(DisplayName)),
    scopes: Type.Optional(Scopes),
    scope_texts: Type.Optional(
      orNull(
        Type.Record(Type.String(), orNull(Text), {
          description: `${TEXTS} Texts that are not given stay; null removes one.`,
        }),
      ),
    ),
    access_token_ttl: Type.Optional(AccessTokenTtl),
    signing_alg: Type.Optional(orNull(SigningAlg)),
  },
  { $id: 'ApiChange', additionalProperties: false, description: 'A merge patch (RFC 7396).' },
)
export type ApiChangeView = Static<typeof ApiChange>
