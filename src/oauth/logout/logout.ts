/**
 * Evaluates a logout request (OpenID Connect RP-Initiated Logout §2, §3): whether the user must confirm, and where the browser
 * goes afterwards. Changes nothing; must not know HTTP.
 */
import type { Signer } from '../../keys/signer.ts'
import type { ClientSessionStore } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { UserSession } from '../../store/contracts/user-sessions.ts'
import { withQuery } from '../authorize/response.ts'
import { invalidRequest } from '../errors.ts'
import { type Pair, type Parameters, parametersOf, repeatedIn } from '../parameters.ts'
import type { Registry } from '../registry.ts'

interface AfterLogout {
  /** The client of the ID token, or the client that `client_id` names; null if it is unknown. */
  readonly client: Client | null
  /** The address that the browser is redirected to, with `state`; null: no redirect. */
  readonly redirect: string | null
}

export type LogoutStep =
  /** The user must confirm (§2), because any site can send a browser here. */
  | ({ readonly step: 'confirm'; readonly userSession: UserSession } & AfterLogout)
  | ({ readonly step: 'sign-out'; readonly userSession: UserSession } & AfterLogout)
  /** No user is signed in, which is not an error (§4). */
  | ({ readonly step: 'not-signed-in' } & AfterLogout)

/** @throws {OAuthError} that is shown to the user, who is then neither signed out nor redirected (§4) */
export type Logout = (pairs: readonly Pair[], userSession: UserSession | null) => Promise<LogoutStep>

export interface LogoutDeps {
  readonly signer: Pick<Signer, 'verifyHint'>
  readonly registry: Pick<Registry, 'client'>
  readonly clientSessions: Pick<ClientSessionStore, 'find' | 'list'>
}

/** The client, user and client session of a valid ID token. */
interface Hint {
  readonly client: Client
  readonly userId: string
  readonly clientSessionId: string | undefined
}

export function createLogout({ signer, registry, clientSessions }: LogoutDeps): Logout {
  return async (pairs, userSession) => {
    if (repeatedIn(pairs).size > 0) throw invalidRequest('a parameter is repeated')
    const parameters = parametersOf(pairs)
    const hint = await readHint(parameters)
    const client = hint?.client ?? (await knownClient(parameters.get('client_id')))
    // §3: without an ID token, the user's confirmation and the registration of the address show that the redirect is legitimate. An
    // ID token that is not valid shows the opposite.
    const identified = hint !== null || parameters.get('id_token_hint') === undefined
    const redirect = client && identified ? redirectOf(client, parameters) : null
    const afterLogout: AfterLogout = { client, redirect }
    if (!userSession) return { step: 'not-signed-in', ...afterLogout }
    const matches = hint !== null && (await matchesUserSession(hint, userSession))
    return { step: matches ? 'sign-out' : 'confirm', userSession, ...afterLogout }
  }

  /** null if the hint is missing or invalid; the user must then confirm. */
  async function readHint(parameters: Parameters): Promise<Hint | null> {
    const text = parameters.get('id_token_hint')
    const claims = text === undefined ? null : await signer.verifyHint(text)
    if (!claims) return null
    const [audience, ...others] = [claims.aud].flat()
    const clientId = parameters.get('client_id')
    if (clientId !== undefined && clientId !== audience) {
      throw invalidRequest('client_id is not the client that the ID token was issued to')
    }
    const client = others.length === 0 ? await knownClient(audience) : null
    if (!client) return null
    const clientSessionId = typeof claims.sid === 'string' ? claims.sid : undefined
    return { client, userId: claims.sub ?? '', clientSessionId }
  }

  async function knownClient(id: string | undefined): Promise<Client | null> {
    if (id === undefined || /\p{C}/u.test(id)) return null
    const client = await registry.client(id)
    return client && !client.disabled ? client : null
  }

  /** §2: whether the ID token belongs to this user session. */
  async function matchesUserSession(
    { client, userId, clientSessionId }: Hint,
    userSession: UserSession,
  ): Promise<boolean> {
    if (userId !== userSession.userId) return false
    const session = clientSessionId === undefined ? null : await clientSessions.find(clientSessionId)
    if (session?.userSessionId === userSession.id && session.clientId === client.id) return true
    // An older ID token matches too if the user has signed in to the client again in this browser.
    return (await clientSessions.list({ userSessionId: userSession.id, clientId: client.id }, 1)).length > 0
  }
}

/** Compares exactly (§3), because an address that merely begins with a registered one could lead anywhere. */
function redirectOf(client: Client, parameters: Parameters): string | null {
  const uri = parameters.get('post_logout_redirect_uri')
  if (uri === undefined) return null
  if (!client.postLogoutRedirectUris.includes(uri)) {
    throw invalidRequest('post_logout_redirect_uri is not registered for this application')
  }
  const state = parameters.get('state')
  return state === undefined ? uri : withQuery(uri, [['state', state]])
}
