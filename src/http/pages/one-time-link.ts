/**
 * `/account/invitation` and `/account/reset`, where the holder of a one-time link sets a password or registers a passkey. Opening the
 * page uses nothing up, because mail scanners open links; only a submitted form does. The secret is in the address because the page
 * must work without scripts; the server logs no addresses, and its pages send no referrer.
 */
import type { FastifyReply } from 'fastify'
import { Overloaded } from '../../accounts/concurrency-limiter.ts'
import type { LinkUse, OpenedLink } from '../../accounts/link-use.ts'
import { LINK_PAGES } from '../../accounts/one-time-links.ts'
import type { PasswordRules } from '../../accounts/password-rules.ts'
import { RateLimited } from '../../accounts/rate-limiter.ts'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import type { Macs } from '../../keys/macs.ts'
import type { LinkPurpose } from '../../store/contracts/one-time-links.ts'
import {
  type OneTimeLinkModel,
  oneTimeLinkDonePage,
  oneTimeLinkPage,
} from '../../views/pages/one-time-link.ts'
import { type SecondFactorMessage, secondFactorPage } from '../../views/pages/second-factor.ts'
import { PageError } from '../page-error.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { hasFactor } from './enrolment.ts'
import { createLinkProof, isLinkProof } from './link-proof.ts'
import { asChallenge } from './passkey-challenge.ts'

export interface OneTimeLinkPageDeps {
  readonly linkUse: LinkUse
  readonly secondFactors: Pick<
    SecondFactors,
    | 'summary'
    | 'checkCode'
    | 'passkeysAvailable'
    | 'startPasskeyAuthentication'
    | 'finishPasskeyAuthentication'
    | 'startPasskeyRegistration'
  >
  readonly passwordRules: Pick<PasswordRules, 'minLength'>
  readonly formMacs: Macs
}

type LinkHandler = (request: PageRequest, opened: OpenedLink) => Promise<FastifyReply>

const PASSKEY_NAME = 'Passkey'

export function oneTimeLinkRoutes(deps: OneTimeLinkPageDeps): PageRoute[] {
  const { linkUse, secondFactors, passwordRules, formMacs } = deps
  return (Object.keys(LINK_PAGES) as LinkPurpose[]).flatMap((purpose) => {
    const path = LINK_PAGES[purpose]
    const open =
      (handler: LinkHandler): PageRoute['handler'] =>
      async (request) => {
        const parameters = request.method === 'POST' ? request.form : request.query
        const opened = await linkUse.open(purpose, parameters.get('secret') ?? '')
        if (!opened) throw new PageError('void-link')
        return handler(request, opened)
      }
    // The browser may be signed in as any user or none, so the forms are bound to the browser alone.
    return [
      { method: 'GET', path, handler: open(start) },
      { method: 'POST', path: `${path}/confirm`, csrf: 'browser', handler: open(confirm) },
      { method: 'POST', path, csrf: 'browser', handler: open(confirmed(setPassword)) },
      { method: 'POST', path: `${path}/passkey`, csrf: 'browser', handler: open(confirmed(registerPasskey)) },
    ]
  })

  async function start(request: PageRequest, opened: OpenedLink): Promise<FastifyReply> {
    return hasFactor(await secondFactors.summary(opened.user.id))
      ? renderConfirm(request, opened, null)
      : render(request, opened, null)
  }

  /** A second factor is asked for before anything changes, because a link can get into other hands like a password. */
  function confirmed(handler: LinkHandler): LinkHandler {
    return async (request, opened) => {
      const mustConfirm = hasFactor(await secondFactors.summary(opened.user.id))
      const proof = request.form.get('proof') ?? ''
      if (mustConfirm && !isLinkProof(formMacs, request, opened.link, proof))
        return renderConfirm(request, opened, proof === '' ? null : { kind: 'expired' }, 400)
      return handler(request, opened)
    }
  }

  async function confirm(request: PageRequest, opened: OpenedLink): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const { user } = opened
    const credential = form.get('credential')
    const recovery = form.get('recovery_code')
    const code = recovery ?? form.get('code') ?? ''
    let proved: unknown
    try {
      if (credential !== undefined) {
        const challenge = form.get('challenge') ?? ''
        proved = await secondFactors.finishPasskeyAuthentication(credential, challenge, user.id, requestInfo)
      } else if (code !== '') {
        proved = await secondFactors.checkCode(user, code, requestInfo)
      }
    } catch (error) {
      if (!(error instanceof RateLimited)) throw error
      request.reply.header('retry-after', String(error.retryAfter))
      return renderConfirm(request, opened, { kind: 'rate_limited', seconds: error.retryAfter }, 429)
    }
    if (proved) return render(request, opened, null, 200, createLinkProof(formMacs, request, opened.link))
    const kind = credential !== undefined ? 'passkey' : recovery !== undefined ? 'recovery-code' : 'code'
    return renderConfirm(request, opened, { kind }, 400)
  }

  async function setPassword(request: PageRequest, opened: OpenedLink): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const next = form.get('new_password') ?? ''
    if (next !== (form.get('new_password_repeat') ?? ''))
      return render(request, opened, { kind: 'mismatch' }, 400)
    try {
      const outcome = await linkUse.setPassword(opened, next, requestInfo)
      if (outcome.done) return showDone(request, opened, 'password')
      if (outcome.refused === 'void') throw new PageError('void-link')
      return render(request, opened, { kind: outcome.refused }, 400)
    } catch (error) {
      if (!(error instanceof Overloaded)) throw error
      request.reply.header('retry-after', String(error.retryAfter))
      return render(request, opened, { kind: 'busy' }, 503)
    }
  }

  async function registerPasskey(request: PageRequest, opened: OpenedLink): Promise<FastifyReply> {
    const { form, requestInfo } = request
    const outcome = await linkUse.registerPasskey(
      opened,
      {
        name: PASSKEY_NAME,
        credential: form.get('credential') ?? '',
        challenge: form.get('challenge') ?? '',
      },
      requestInfo,
    )
    if (outcome.done) return showDone(request, opened, 'passkey')
    if (outcome.refused === 'void') throw new PageError('void-link')
    return render(request, opened, { kind: outcome.refused }, 400)
  }

  function showDone(request: PageRequest, { user }: OpenedLink, kind: 'password' | 'passkey'): FastifyReply {
    // The sessions of this user have ended; a browser that is signed in as another user stays so.
    if (request.current?.user.id === user.id) request.setSession(null)
    return request.html(oneTimeLinkDonePage({ kind }, request.loginPageContext()))
  }

  async function renderConfirm(
    request: PageRequest,
    { user, link }: OpenedLink,
    message: SecondFactorMessage | null,
    status = 200,
  ): Promise<FastifyReply> {
    const { totp, passkeys, recoveryCodes } = await secondFactors.summary(user.id)
    const passkey = passkeys > 0 ? asChallenge(await secondFactors.startPasskeyAuthentication(user.id)) : null
    const model = {
      username: user.username,
      clientName: null,
      flow: null,
      totp,
      recoveryCodes: recoveryCodes > 0,
      passkey,
      message,
      action: `${LINK_PAGES[link.purpose]}/confirm`,
      fields: { secret: secretOf(request) },
    }
    return request.html(secondFactorPage(model, request.loginPageContext()), {
      status,
      scripts: passkey !== null,
    })
  }

  async function render(
    request: PageRequest,
    { user, link }: OpenedLink,
    message: OneTimeLinkModel['message'],
    status = 200,
    proof = request.form.get('proof'),
  ): Promise<FastifyReply> {
    const registration = secondFactors.passkeysAvailable
      ? await secondFactors.startPasskeyRegistration(user, 'sign-in')
      : null
    const passkey = registration && { options: registration.options, state: registration.challenge }
    const model = {
      purpose: link.purpose,
      path: LINK_PAGES[link.purpose],
      username: user.username,
      minLength: passwordRules.minLength,
      passkey,
      fields: { secret: secretOf(request), proof },
      message,
    }
    return request.html(oneTimeLinkPage(model, request.loginPageContext()), {
      status,
      scripts: passkey !== null,
    })
  }
}

const secretOf = ({ method, form, query }: PageRequest): string =>
  (method === 'POST' ? form : query).get('secret') ?? ''
