/**
 * The profile `fapi2`: what the FAPI 2.0 Security Profile (final) asks of a client, as a table. Registration fills in what is left open,
 * and refuses what contradicts a rule; the checks that all clients pass then enforce it at run time, because it is in the members of the
 * client. The few rules without a member are the functions at the end. Pure; must not know the ring or who registers a client.
 */
import { commandLine } from '../../command-line.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { New } from '../../store/contracts/update.ts'
import { pkcePolicyOf } from '../pkce.ts'
import { RegistrationError } from './registration-error.ts'
import { SIGNING_ALGS } from './signing-algs.ts'

/** §5.4.1-1. `Ed25519` is the same algorithm under its newer name (RFC 9864 §2.2). */
const ALGORITHMS: readonly string[] = ['PS256', 'ES256', 'EdDSA', 'Ed25519']

/** §5.3.2.1-6. */
const METHODS = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'] as const

type Registered = Omit<Client, 'secrets' | 'disabled' | 'createdAt' | 'revision'>

interface ProfileRule {
  /** Of the FAPI 2.0 Security Profile. */
  readonly section: string
  readonly isBroken: (client: Registered) => boolean
  readonly message: string
  /** The member that the rule is about. */
  readonly field: string
}

const RULES: readonly ProfileRule[] = [
  {
    section: '5.3.2.1-2',
    isBroken: ({ grants }) => grants.includes('password'),
    message: 'the grant password is not allowed',
    field: 'grant_types',
  },
  {
    section: '5.3.2.1-3',
    isBroken: ({ authMethod }) => authMethod === 'none',
    message: 'a public client is not allowed',
    field: 'token_endpoint_auth_method',
  },
  {
    section: '5.3.2.1-6',
    isBroken: ({ authMethod }) => !METHODS.some((method) => method === authMethod),
    message: `the authentication method must be one of ${METHODS.join(', ')}`,
    field: 'token_endpoint_auth_method',
  },
  {
    section: '5.3.2.1-4',
    isBroken: ({ requireDpop, requireMtlsBound }) => !requireDpop && !requireMtlsBound,
    message: 'access tokens must be bound to a key (DPoP) or to a client certificate',
    field: 'dpop_bound_access_tokens',
  },
  {
    section: '5.3.2.1-8',
    isBroken: ({ acceptEndpointAudience }) => acceptEndpointAudience,
    message: 'the audience of a client assertion can only be the issuer',
    field: 'accept_endpoint_audience',
  },
  {
    section: '5.3.2.2-3',
    isBroken: ({ requirePushedRequests }) => !requirePushedRequests,
    message: 'authorization requests must be pushed',
    field: 'require_pushed_authorization_requests',
  },
  {
    section: '5.3.2.2-5',
    isBroken: (client) => pkcePolicyOf(client) !== 'required',
    message: 'PKCE must be required',
    field: 'pkce',
  },
  {
    section: '5.3.2.2-8',
    isBroken: ({ redirectUris }) => !redirectUris.every((uri) => /^https:/i.test(uri)),
    message: 'redirect URIs must begin with https:',
    field: 'redirect_uris',
  },
  {
    section: '5.4.1-1',
    isBroken: ({ authMethod, requireSignedRequests, jwks }) =>
      (authMethod === 'private_key_jwt' || requireSignedRequests) &&
      (jwks?.keys.every(({ alg }) => alg !== undefined && !isFapi2Algorithm(alg)) ?? false),
    message: `the client needs a key for ${named(ALGORITHMS)}`,
    field: 'jwks',
  },
  ...SIGNING_ALGS.map(
    ([member, field]): ProfileRule => ({
      section: '5.4.1-1',
      isBroken: (client) => !isFapi2Algorithm(client[member]),
      message: `${field} must be one of PS256, ES256, EdDSA, and the ring must have a lane for it, which ${commandLine('keys lanes add ES256')} adds`,
      field,
    }),
  ),
]

function named(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

export const isFapi2Algorithm = (alg: unknown): boolean => ALGORITHMS.some((name) => name === alg)

/** @throws {RegistrationError} for the first rule that the client contradicts */
export function checkFapi2(client: Registered): void {
  for (const { section, isBroken, message, field } of RULES) {
    if (!isBroken(client)) continue
    const text = `the profile fapi2 does not permit this: ${message} (FAPI 2.0 Security Profile §${section})`
    throw new RegistrationError(text, 'invalid_client_metadata', undefined, field)
  }
}

/** The members of the profile that can be left open, for a client with this authentication method. */
export function fapi2Defaults({
  authMethod,
  requireDpop,
  requireMtlsBound,
}: {
  readonly authMethod: string
  /** undefined if they are left open. */
  readonly requireDpop: boolean | undefined
  readonly requireMtlsBound: boolean | undefined
}) {
  // The key that authenticates a client with a certificate binds its tokens too. Any other client has a key for DPoP.
  const hasCertificate = authMethod !== 'private_key_jwt'
  return {
    requirePushedRequests: true,
    pkce: 'required',
    requireDpop: requireDpop ?? (!hasCertificate && requireMtlsBound !== true),
    requireMtlsBound: requireMtlsBound ?? (hasCertificate && requireDpop !== true),
  } as const
}

/**
 * The client with what its profile sets: every member of the profile that is not chosen.
 * @param chosen the members that this registration or change gives. What contradicts the profile is left for the rules to refuse.
 * @param lanes the algorithms of the ring, of which the first that is permitted signs
 */
export function withProfile<C extends New<Client>>(
  client: C,
  chosen: ReadonlySet<keyof Client>,
  lanes: readonly string[],
): C {
  if (client.profile !== 'fapi2') return client
  const given = (member: 'requireDpop' | 'requireMtlsBound') =>
    chosen.has(member) || client[member] ? client[member] : undefined
  const defaults = fapi2Defaults({
    authMethod: client.authMethod,
    requireDpop: given('requireDpop'),
    requireMtlsBound: given('requireMtlsBound'),
  })
  const alg = lanes.find(isFapi2Algorithm) ?? null
  return {
    ...client,
    ...defaults,
    ...(chosen.has('requirePushedRequests') ? { requirePushedRequests: client.requirePushedRequests } : {}),
    ...(chosen.has('pkce') && client.pkce !== null ? { pkce: client.pkce } : {}),
    ...Object.fromEntries(SIGNING_ALGS.map(([member]) => [member, client[member] ?? alg])),
  }
}

type WithProfile = Pick<Client, 'profile'>

/** Of those with which a client may sign, the algorithms that its profile permits (§5.4.1-1). */
export const permittedAlgorithms = ({ profile }: WithProfile, all: readonly string[]): readonly string[] =>
  profile === 'fapi2' ? all.filter(isFapi2Algorithm) : all

/**
 * §5.3.2.1-9: the refresh tokens of a client with the profile stay as they are. They are bound to the client by its key, so a replay is
 * no sign of a thief.
 */
export const rotatesRefreshTokens = ({ profile }: WithProfile): boolean => profile !== 'fapi2'

/** §5.3.2.2-6: the redirect URI must be in every request, even if only one is registered. */
export const mayOmitRedirectUri = ({ profile }: WithProfile): boolean => profile !== 'fapi2'

/** FAPI 2.0 Message Signing §5.3.1-3: a request object says from when to when it is valid, which is at most an hour. */
export const needsRequestPeriod = ({ profile }: WithProfile): boolean => profile === 'fapi2'
