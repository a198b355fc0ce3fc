/** `/account`: what somebody sees of their own account, and ends there. */
import type { FastifyReply } from 'fastify'
import type { CurrentSignIn } from '../../accounts/user-sessions.ts'
import { type AccountNotice, accountPage, isAccountNotice } from '../../views/pages/account.ts'
import type { PageRoute, Visit } from '../browser.ts'
import type { Services } from '../services.ts'
import { SIGNED_OUT_PATH } from './signed-out.ts'

export const ACCOUNT_PATH = '/account'

/** Whoever is not known, or not well enough, signs in and comes back. */
export function toLogin(services: Services, visit: Visit, returnTo: string): FastifyReply {
  return visit.redirect('/login', { flow: visit.sealFlow({ arrivedAt: services.now(), returnTo }) })
}

/** Back to the account page, which says what was done. */
export function toAccount(visit: Visit, notice?: AccountNotice): FastifyReply {
  return visit.redirect(ACCOUNT_PATH, notice === undefined ? {} : { notice })
}

export function accountRoutes(services: Services): PageRoute[] {
  const { ownAccess, signIns, secondFactors, registry } = services.people

  type Handler = (visit: Visit, current: CurrentSignIn) => Promise<FastifyReply>
  const signedIn = (handler: Handler) => async (visit: Visit) =>
    visit.current ? handler(visit, visit.current) : toLogin(services, visit, ACCOUNT_PATH)

  return [
    // Who types the server's name wants their account; there is nothing else for people here.
    { method: 'GET', path: '/', handler: async (visit) => visit.redirect(ACCOUNT_PATH) },
    { method: 'GET', path: ACCOUNT_PATH, handler: signedIn(show) },
    { method: 'POST', path: '/account/sign-ins/end', handler: signedIn(endSignIn) },
    {
      method: 'POST',
      path: '/account/sessions/end',
      handler: signedIn(async (visit, { user }) => {
        const id = visit.form.get('id') ?? ''
        const ended = await ownAccess.endSession(user.id, id, visit.visitor)
        return toAccount(visit, ended ? 'session-ended' : 'already-gone')
      }),
    },
    {
      method: 'POST',
      path: '/account/consents/revoke',
      handler: signedIn(async (visit, { user }) => {
        const clientId = visit.form.get('client_id') ?? ''
        const withdrawn = await ownAccess.withdrawConsent(user.id, clientId, visit.visitor)
        return toAccount(visit, withdrawn ? 'consent-forgotten' : 'already-gone')
      }),
    },
  ]

  async function endSignIn(visit: Visit, { user, signIn }: CurrentSignIn): Promise<FastifyReply> {
    const id = visit.form.get('id') ?? ''
    const all = visit.form.get('all') === 'yes'
    if (all) await signIns.endAll(user.id, 'signed out everywhere', `user:${user.id}`)
    const ended = all || (await ownAccess.endSignIn(user.id, id))
    if (!all && id !== signIn.id) return toAccount(visit, ended ? 'sign-in-ended' : 'already-gone')
    visit.setSession(null)
    return visit.redirect(SIGNED_OUT_PATH)
  }

  async function show(visit: Visit, { user, signIn }: CurrentSignIn): Promise<FastifyReply> {
    const page = visit.page()
    const notice = visit.query.get('notice') ?? ''
    const access = await ownAccess.list(user.id)
    const { recoveryCodes } = await secondFactors.summary(user.id)
    const since = await secondFactors.totpSince(user.id)
    const passkeys = await secondFactors.listPasskeys(user.id)
    const names = new Map<string, string>()
    for (const { clientId } of [...access.sessions, ...access.consents]) {
      if (!names.has(clientId)) names.set(clientId, (await registry.client(clientId))?.name ?? clientId)
    }
    const nameOf = (clientId: string) => names.get(clientId) ?? clientId
    const model = {
      profile: user,
      signIns: access.signIns.map(({ id, userAgent, ip, createdAt }) => ({
        id,
        current: id === signIn.id,
        userAgent,
        ip,
        since: createdAt,
      })),
      apps: access.sessions.map(({ id, clientId, scopes, createdAt, generation, rotatedAt }) => ({
        id,
        clientName: nameOf(clientId),
        scopes,
        since: createdAt,
        lastUsed: generation > 1 ? rotatedAt : null,
      })),
      consents: access.consents.map(({ clientId, scopes, grantedAt }) => ({
        clientId,
        clientName: nameOf(clientId),
        scopes,
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
    return visit.html(accountPage(model, page))
  }
}
