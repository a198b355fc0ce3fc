/**
 * Decides about a logout request (OpenID Connect RP-Initiated Logout §2, §3): whether the user is asked first, and where
 * the browser goes afterwards. It decides; others act. Must not know HTTP.
 */
import type { Signer } from '../../keys/signer.ts'
import type { ClientSessionStore } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { UserSession } from '../../store/contracts/user-sessions.ts'
import { withQuery } from '../authorize/response.ts'
import { invalidRequest } from '../errors.ts'
import { type Pair, type Parameters, parametersOf, repeatedIn } from '../parameters.ts'
import type { Registry } from '../registry.ts'

interface Onward {
  /** The requesting application, if it is known; only shown on the page. */
  readonly client: Client | null
  /** Address that the browser goes to afterwards, with `state`; null: none. */
  readonly redirect: string | null
}

export type LogoutStep =
  /** The user must confirm (§2), because any site can send a browser here. */
  | ({ readonly step: 'ask'; readonly userSession: UserSession } & Onward)
  | ({ readonly step: 'leave'; readonly userSession: UserSession } & Onward)
  /** No user is signed in, which is no error (§4). */
  | ({ readonly step: 'gone' } & Onward)

/** @throws {OAuthError} to be shown to the user, who is neither signed out nor sent anywhere (§4) */
export type Logout = (pairs: readonly Pair[], userSession: UserSession | null) => Promise<LogoutStep>

export interface LogoutDeps {
  readonly signer: Pick<Signer, 'verifyHint'>
  readonly registry: Pick<Registry, 'client'>
  readonly clientSessions: Pick<ClientSessionStore, 'find' | 'list'>
}

/** What a valid ID token says: its client, its user and its session. */
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
    const onward: Onward = { client, redirect: hint ? redirectOf(hint.client, parameters) : null }
    if (!userSession) return { step: 'gone', ...onward }
    const concerned = hint !== null && (await concerns(hint, userSession))
    return { step: concerned ? 'leave' : 'ask', userSession, ...onward }
  }

  /** null without a valid hint: such a request only makes the page ask the user. */
  async function readHint(parameters: Parameters): Promise<Hint | null> {
    const text = parameters.get('id_token_hint')
    const claims = text === undefined ? null : await signer.verifyHint(text)
    if (!claims) return null
    const [audience, ...others] = [claims.aud].flat()
    const given = parameters.get('client_id')
    if (given !== undefined && given !== audience) {
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

  /** §2: whether the ID token belongs to the user's session with this client in this browser. */
  async function concerns(
    { client, userId, clientSessionId }: Hint,
    userSession: UserSession,
  ): Promise<boolean> {
    if (userId !== userSession.userId) return false
    const session = clientSessionId === undefined ? null : await clientSessions.find(clientSessionId)
    if (session?.userSessionId === userSession.id && session.clientId === client.id) return true
    // An older token of the same user, who has signed in to the client again in this browser.
    return (await clientSessions.list({ userSessionId: userSession.id, clientId: client.id }, 1)).length > 0
  }
}

/** Exact comparison (§3): an address with an addition could lead anywhere. */
function redirectOf(client: Client, parameters: Parameters): string | null {
  const uri = parameters.get('post_logout_redirect_uri')
  if (uri === undefined) return null
  if (!client.postLogoutRedirectUris.includes(uri)) {
    throw invalidRequest('post_logout_redirect_uri is not registered for this application')
  }
  const state = parameters.get('state')
  return state === undefined ? uri : withQuery(uri, [['state', state]])
}
