/** `/account`, where users see their account, sign out browsers and revoke the access of clients. */
import type { FastifyReply } from 'fastify'
import type { AccountSessions } from '../../accounts/account-sessions.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { CurrentUserSession, UserSessions } from '../../accounts/user-sessions.ts'
import type { Registry } from '../../oauth/registry.ts'
import { type AccountNotice, accountPage, isAccountNotice } from '../../views/pages/account.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { shownAccess } from './shown-access.ts'
import { SIGNED_OUT_PATH } from './signed-out.ts'

export const ACCOUNT_PATH = '/account'

/** Redirects a user who must log in, or log in again. The login returns to `returnTo`. */
export function redirectToLogin(request: PageRequest, returnTo: string): FastifyReply {
  return request.redirect('/login', { flow: request.encryptFlow({ arrivedAt: request.now(), returnTo }) })
}

/** Redirects to the account page, which shows the notice. */
export function redirectToAccount(request: PageRequest, notice?: AccountNotice): FastifyReply {
  return request.redirect(ACCOUNT_PATH, notice === undefined ? {} : { notice })
}

export interface AccountPageDeps {
  readonly accountSessions: AccountSessions
  readonly userSessions: Pick<UserSessions, 'endAll'>
  readonly secondFactors: Pick<SecondFactors, 'summary' | 'totpEnrolledAt' | 'listPasskeys'>
  readonly registry: Pick<Registry, 'api' | 'client' | 'requiresSecondFactor'>
  readonly issuer: string
}

export function accountRoutes(deps: AccountPageDeps): PageRoute[] {
  const { accountSessions, userSessions, secondFactors, registry, issuer } = deps

  type Handler = (request: PageRequest, current: CurrentUserSession) => Promise<FastifyReply>
  const signedIn = (handler: Handler) => async (request: PageRequest) =>
    request.current ? handler(request, request.current) : redirectToLogin(request, ACCOUNT_PATH)

  return [
    // The account page is the start page for users who enter the server's address.
    { method: 'GET', path: '/', handler: async (request) => request.redirect(ACCOUNT_PATH) },
    { method: 'GET', path: ACCOUNT_PATH, handler: signedIn(show) },
    { method: 'POST', path: '/account/sign-ins/end', handler: signedIn(endUserSession) },
    {
      method: 'POST',
      path: '/account/sessions/end',
      handler: signedIn(async (request, { user }) => {
        const id = request.form.get('id') ?? ''
        const ended = await accountSessions.revokeClientSession(user.id, id, request.requestInfo)
        return redirectToAccount(request, ended ? 'access-removed' : 'already-removed')
      }),
    },
    {
      method: 'POST',
      path: '/account/consents/revoke',
      handler: signedIn(async (request, { user }) => {
        const clientId = request.form.get('client_id') ?? ''
        const withdrawn = await accountSessions.withdrawConsent(user.id, clientId, request.requestInfo)
        return redirectToAccount(request, withdrawn ? 'consent-removed' : 'already-removed')
      }),
    },
  ]

  async function endUserSession(
    request: PageRequest,
    { user, userSession }: CurrentUserSession,
  ): Promise<FastifyReply> {
    const id = request.form.get('id') ?? ''
    const all = request.form.get('all') === 'yes'
    if (all) await userSessions.endAll(user.id, 'signed out everywhere', `user:${user.id}`)
    const ended = all || (await accountSessions.endUserSession(user.id, id))
    if (!all && id !== userSession.id)
      return redirectToAccount(request, ended ? 'browser-signed-out' : 'already-removed')
    request.setSession(null)
    return request.redirect(SIGNED_OUT_PATH)
  }

  async function show(
    request: PageRequest,
    { user, userSession }: CurrentUserSession,
  ): Promise<FastifyReply> {
    const page = request.pageContext()
    const notice = request.query.get('notice') ?? ''
    const access = await accountSessions.list(user.id)
    const { recoveryCodes } = await secondFactors.summary(user.id)
    const since = await secondFactors.totpEnrolledAt(user.id)
    const passkeys = await secondFactors.listPasskeys(user.id)
    const names = new Map<string, string>()
    for (const { clientId } of [...access.clientSessions, ...access.consents]) {
      if (!names.has(clientId)) names.set(clientId, (await registry.client(clientId))?.name ?? clientId)
    }
    // A token for the issuer can be used only at this server.
    const shown = (audience: string, scopes: readonly string[]) => {
      const access = shownAccess(registry, audience, scopes)
      return audience === issuer ? { ...access, audience: null } : access
    }
    const nameOf = (clientId: string) => names.get(clientId) ?? clientId
    const model = {
      profile: { ...user, hasPassword: user.passwordHash !== null },
      userSessions: access.userSessions.map(({ id, userAgent, ip, createdAt }) => ({
        id,
        current: id === userSession.id,
        userAgent,
        ip,
        since: createdAt,
      })),
      apps: access.clientSessions.map(
        ({ id, clientId, audience, scopes, createdAt, generation, rotatedAt }) => ({
          id,
          clientName: nameOf(clientId),
          ...shown(audience, scopes),
          since: createdAt,
          lastUsed: generation > 1 ? rotatedAt : null,
        }),
      ),
      consents: access.consents.map(({ clientId, audience, scopes, grantedAt }) => ({
        clientId,
        clientName: nameOf(clientId),
        ...shown(audience, scopes),
        since: grantedAt,
      })),
      secondFactors: {
        totp: since === null ? null : { since },
        passkeys: passkeys.map(({ id, name, createdAt, lastUsedAt }) => ({
          id,
          name,
          createdAt,
          lastUsed: lastUsedAt,
        })),
        recoveryCodesLeft: recoveryCodes > 0 ? recoveryCodes : null,
        required: registry.requiresSecondFactor(user.roles),
      },
      notice: isAccountNotice(notice, page) ? notice : null,
    }
    return request.html(accountPage(model, page), { scripts: true })
  }
}
