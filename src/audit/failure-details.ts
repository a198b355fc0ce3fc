/**
 * The exact causes of refused requests, for the audit trail and the log. A client gets one error for several of them. The list is
 * closed: one test compares it with docs/audit.md, another provokes each detail. Must not contain user input.
 */

/** Problems of a JWT that a client has signed. */
const clientJwt = {
  malformed: 'it is not a compact JWS with the required claims and types',
  wrong_type: '`typ` says that it is another kind of JWT',
  wrong_algorithm: 'clients may not sign with this `alg`',
  unknown_key: 'the client has no key with this `kid` and `alg`',
  wrong_signature: 'no key of the client made the signature',
  wrong_issuer: '`iss` is not the client',
  wrong_audience: '`aud` is not this server',
  missing_claim: 'a required claim is missing',
  expired: '`exp` is in the past',
  not_yet_valid: '`nbf` or `iat` is in the future',
  too_long_lived: '`exp` is too far in the future',
} as const

export type ClientJwtProblem = keyof typeof clientJwt

/** Problems of a DPoP proof (RFC 9449 §4.3). */
const dpopProof = {
  repeated: 'the request has more than one `DPoP` header',
  malformed: 'it is not a compact JWS of two JSON objects, or it is too long',
  wrong_type: '`typ` is not `dpop+jwt`',
  wrong_algorithm: '`alg` may not sign proofs',
  wrong_key: '`jwk` is missing, private, too small, malformed, or not for `alg`',
  wrong_signature: 'the key in `jwk` did not make the signature',
  missing_claim: '`jti`, `htm`, `htu` or `iat` is missing or has the wrong type',
  wrong_method: '`htm` is not the method of the request',
  wrong_uri: '`htu` is not the URL of the endpoint',
  expired: '`iat` is too old, or `exp` is in the past',
  not_yet_valid: '`iat` or `nbf` is in the future',
  wrong_token: '`ath` is not the hash of the access token',
  replayed: 'its `jti` was used before',
  no_nonce: 'it has no `nonce`, which the settings require',
  unknown_nonce: '`nonce` was not issued here, or it is too old',
} as const

export type DpopProblem = keyof typeof dpopProof

type Prefixed<P extends string, Problem extends string> = { readonly [K in Problem as `${P}_${K}`]: string }

function prefixed<P extends string, Problem extends string>(
  prefix: P,
  subject: string,
  problems: Readonly<Record<Problem, string>>,
): Prefixed<P, Problem> {
  return Object.fromEntries(
    Object.entries(problems).map(([name, meaning]) => [`${prefix}_${name}`, `${subject}: ${meaning}`]),
  ) as Prefixed<P, Problem>
}

export const failureDetails = {
  no_client_authentication: 'the request has no client authentication',
  malformed_credentials:
    'the client credentials cannot be decoded, or the client id has characters that no client id may have',
  unknown_client: 'no client has this id',
  client_disabled: 'the client is disabled',
  wrong_auth_method: 'the client is registered with another authentication method',
  wrong_secret: 'the client secret is wrong',
  public_client: 'the client is public, and the endpoint is for confidential clients only',
  client_keys_unavailable: 'the `jwks_uri` of the client cannot be fetched',
  ...prefixed('assertion', 'client assertion', clientJwt),
  assertion_replayed: 'client assertion: its `jti` was used before',
  ...prefixed('dpop', 'DPoP proof', dpopProof),
  dpop_required: 'the request has no DPoP proof, which the client or the access token needs',
  certificate_missing: 'the client authenticates with a certificate (RFC 8705), and the request has none',
  certificate_expired: 'the client certificate is not valid at this time',
  certificate_untrusted:
    'no authority in `KEYTURN_TLS_CLIENT_CA_FILE` has issued the client certificate, or it is not for TLS clients',
  certificate_mismatch: 'the client certificate is not one that the client has registered',
  certificate_required: 'the tokens of the client must be bound to a certificate, and the request has none',
  grant_not_registered: 'the client is not registered for the grant',
  other_client: 'the code, token or request belongs to another client',
  unknown_code: 'no such code was issued, or it was deleted after its retention',
  code_expired: 'the code has expired',
  code_replayed: 'the code was used before; the session that it started was revoked',
  code_revoked: 'the code was revoked, by an administrator or because the consent was withdrawn',
  code_guessed: 'too many wrong code verifiers were sent for the code',
  redirect_uri_mismatch: '`redirect_uri` is missing, or not the one of the authorization request',
  pkce_missing:
    '`code_verifier` is missing, or the code was requested without PKCE, which the client must use now',
  pkce_mismatch: '`code_verifier` does not match the challenge',
  signed_out: 'the user signed out after the code was issued',
  unknown_user: 'no user has this name',
  wrong_password: 'the password is wrong',
  user_disabled: 'the account is disabled, or was deleted',
  second_factor_required: 'the user must use a second factor',
  changed_meanwhile: 'the client or the account was changed or deleted during the request',
  unknown_token: 'the token was not issued here',
  refresh_expired: 'the session of the refresh token has expired',
  refresh_revoked: 'the session of the refresh token was revoked',
  refresh_replayed: 'the refresh token was used before; its session was revoked',
  sender_mismatch: 'the sender has not proven the key or certificate that the code or token is bound to',
  refresh_unknown_session: 'the session of the refresh token was deleted after its retention',
  refresh_ahead: 'the refresh token is newer than its session: the store was restored from a backup',
  scope_not_registered: 'the client is registered for none of the scopes',
  scope_not_in_roles: 'none of the user’s roles grants any of the scopes',
  scope_of_another_api: 'the scopes do not belong to the API of the resource',
  rights_withdrawn: 'the client or the user may no longer have any of the token’s scopes',
  api_deleted: 'the API of the code, token or session was deleted, and another one has its identifier now',
  token_expired: 'the access token has expired',
  token_revoked: 'the access token was revoked',
  bound_token_as_bearer: 'the access token is bound to a key, and was sent as a bearer token',
  token_not_bound: 'the access token is not bound to a key, and was sent with the scheme `DPoP`',
  session_ended: 'the session of the access token has ended',
  no_user: 'the access token was issued without a user (`client_credentials`)',
  audience_mismatch: 'the access token is for another API',
  scope_missing: 'the access token does not have the scope that the request needs',
  right_missing:
    'an administrator wanted to give a scope of the administration, or change who has it, without having it',
  role_missing: 'the user does not have the role that the console needs',
  openid_missing: 'the access token has no scope `openid`',
  unknown_request_uri: 'no such request was pushed, or it was deleted after its retention',
  request_uri_expired: 'the pushed request has expired',
  request_uri_used: 'the pushed request was used before',
  ...prefixed('request_object', 'request object', clientJwt),
  request_object_wrong_client: 'request object: `client_id` is another client',
  request_object_is_assertion: 'request object: `sub` is the client, as in a client assertion',
  request_object_wrong_parameters:
    'request object: a parameter is not allowed, or there are too many parameters',
  unknown_hint: '`id_token_hint` was not issued here',
  not_signed_in: 'the user is not signed in',
  sign_in_too_old: 'the user’s sign-in is older than `max_age`',
  other_user: 'the user who is signed in is not the requested one',
} as const satisfies Readonly<Record<string, string>>

export type FailureDetail = keyof typeof failureDetails
