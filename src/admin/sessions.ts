/** Client sessions: what users have granted to clients, each by one sign-in. */
import { signOutEverywhere } from '../accounts/sign-out.ts'
import { normalizeUsername } from '../accounts/username.ts'
import type { ClientSession, ClientSessionFilter } from '../store/contracts/client-sessions.ts'
import type { EpochSeconds } from '../system.ts'
import type { Actor } from './actor.ts'
import { count } from './count.ts'
import type { LocalDeps } from './deps.ts'
import { invalidValue, notFound } from './errors.ts'
import { ageCursor, ageOf, DEFAULT_LIMIT } from './page.ts'
import type { RevokedSessionsView, SessionView } from './sessions.schema.ts'
import type { Changed, Page, PageQuery } from './verbs.ts'

/** A session matches if it has all given values. */
interface SessionFilter {
  /** The username. */
  readonly user?: string | undefined
  readonly client?: string | undefined
  readonly id?: string | undefined
}

export interface SessionsAdmin {
  /**
   * Newest first.
   * @throws {AdminError} not-found, if the user, client or session does not exist: an empty list would look like success
   */
  list(query: Omit<PageQuery, 'search'> & SessionFilter): Promise<Page<SessionView>>
  /** Ends one session. Its refresh tokens are invalid at once, and verifiers with status lists refuse its access tokens. */
  end(id: string): Promise<Changed<RevokedSessionsView>>
  /**
   * Ends all sessions of a user, who is also signed out of all browsers, or of a client.
   * @throws {AdminError} unless exactly one of the two is given
   */
  endAll(filter: Pick<SessionFilter, 'user' | 'client'>): Promise<Changed<RevokedSessionsView>>
}

const REASON = 'revoked by an operator'

export function createSessionsAdmin(deps: LocalDeps, actor: Actor): SessionsAdmin {
  const { store, clock, audit } = deps

  async function filterOf({ user, client, id }: SessionFilter): Promise<ClientSessionFilter> {
    return {
      ...(user === undefined ? {} : { userId: await userId(user) }),
      ...(client === undefined ? {} : { clientId: await clientId(client) }),
      ...(id === undefined ? {} : { id: (await session(id)).id }),
    }
  }

  async function userId(username: string): Promise<string> {
    const name = normalizeUsername(username)
    const user = name === null ? null : await store.users.findByUsername(name)
    if (!user) throw notFound(`there is no user ${username}`)
    return user.id
  }

  async function clientId(id: string): Promise<string> {
    if (!(await store.clients.find(id))) throw notFound(`there is no client ${id}`)
    return id
  }

  async function session(id: string): Promise<ClientSession> {
    const found = await store.clientSessions.find(id)
    if (!found) throw notFound(`there is no session ${id}`)
    return found
  }

  async function revoke(filter: ClientSessionFilter, about: object): Promise<Changed<RevokedSessionsView>> {
    const revoked = await store.clientSessions.revokeMatching(filter, clock.now(), REASON)
    for (const sid of revoked)
      audit('client_session.revoked', { actor: actor.name, ...about, sid, reason: REASON })
    return { value: { revoked }, revision: null, notes: [] }
  }

  return {
    async list({ limit = DEFAULT_LIMIT, cursor, ...filter }) {
      const after = cursor === undefined ? undefined : ageOf(cursor)
      const found = await store.clientSessions.list(await filterOf(filter), limit + 1, after)
      const items = found.slice(0, limit)
      const names = new Map<string, string>()
      for (const id of new Set(items.map((item) => item.userId)))
        names.set(id, (await store.users.find(id))?.username ?? '')
      const last = items.at(-1)
      const now = clock.now()
      return {
        items: items.map((item) => viewOf(item, names.get(item.userId) ?? '', now)),
        next_cursor: found.length > limit && last ? ageCursor(last) : null,
      }
    },

    async end(id) {
      const { userId: sub, clientId: client_id } = await session(id)
      return revoke({ id }, { sub, client_id })
    },

    async endAll({ user, client }) {
      if ((user === undefined) === (client === undefined))
        throw invalidValue('user', 'exactly one of user and client is needed')
      if (client !== undefined) return revoke({ clientId: await clientId(client) }, { client_id: client })
      // The browsers are signed out too: otherwise a new session would be only a click away.
      const ended = await signOutEverywhere(deps, await userId(user ?? ''), REASON, actor.name)
      const browsers = ended.userSessions.length
      return {
        value: { revoked: [...ended.clientSessions] },
        revision: null,
        notes: browsers > 0 ? [`${count(browsers, 'browser')} signed out`] : [],
      }
    },
  }
}

function viewOf(session: ClientSession, username: string, now: EpochSeconds): SessionView {
  return {
    id: session.id,
    state: stateOf(session, now),
    user_id: session.userId,
    username,
    client_id: session.clientId,
    scope: session.scopes.join(' '),
    audience: session.audience,
    created_at: session.createdAt,
    last_used_at: session.rotatedAt,
    expires_at: Math.min(session.expiresAt, session.idleExpiresAt),
    revoked_at: session.revokedAt,
    revoked_for: session.revokedReason,
  }
}

function stateOf(session: ClientSession, now: EpochSeconds): SessionView['state'] {
  if (session.revokedAt !== null) return 'revoked'
  return now >= session.expiresAt || now >= session.idleExpiresAt ? 'expired' : 'active'
}
