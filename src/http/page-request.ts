/**
 * One request of a browser as the pages see it: the signed-in user, the parameters, and the ways to respond. Must not know
 * any page. Add here what several pages need from a request.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CurrentUserSession, RequestInfo, UserSessions } from '../accounts/user-sessions.ts'
import type { Macs } from '../keys/macs.ts'
import type { Flow, FlowCodec } from '../oauth/authorize/flow.ts'
import { type Pair, type Parameters, parametersOf } from '../oauth/parameters.ts'
import type { Clock, EpochSeconds, Random, Seconds } from '../system.ts'
import type { Branding } from '../views/assets.ts'
import type { PageContext } from '../views/page.ts'
import { chooseLocale, textsIn } from '../views/texts/index.ts'
import { clientAddress } from './client-address.ts'
import type { PageCookies } from './cookies.ts'
import { csrfToken } from './csrf.ts'
import { readPairs } from './form.ts'
import { PageError } from './page-error.ts'
import { isHttpUrl, type PolicyOptions, pagePolicy } from './page-policy.ts'

export interface PageRequest {
  readonly method: string
  /** The path with the query, as it was sent. */
  readonly url: string
  /** `Sec-Fetch-Site`; browsers from before 2023 do not send it. */
  readonly fetchSite: string | undefined
  readonly reply: FastifyReply
  now(): EpochSeconds
  /** The random value of the browser cookie, to which forms and flows are bound. */
  readonly browser: string
  /** null if no user is signed in. */
  readonly current: CurrentUserSession | null
  readonly requestInfo: RequestInfo
  /** The parameters of the URL. */
  readonly query: Parameters
  /** The parameters of the body. */
  readonly form: Parameters
  /** The parameters of the body of a POST, otherwise of the URL; in order, with repetitions. */
  readonly pairs: readonly Pair[]
  /** @param locales the client's `ui_locales`, which come before the browser's languages */
  pageContext(locales?: readonly string[]): PageContext
  /** The context of a page whose form stays valid if another user signs in before it is submitted. */
  loginPageContext(locales?: readonly string[]): PageContext
  /** Sets the session cookie of a user who has just signed in; null removes it. */
  setSession(secret: string | null): void
  /** null if the request has no flow, or the flow has expired or belongs to another browser. */
  decryptFlow(): Flow | null
  /** @throws {PageError} if the authorization request is too long for a URL */
  encryptFlow(flow: Flow): string
  /** Redirects to a page of this server. */
  redirect(path: string, query?: Readonly<Record<string, string>>): FastifyReply
  /** Redirects to a client. @param interstitial renders the page that is sent where the browser would block a redirect */
  redirectToClient(url: string, interstitial: () => string): FastifyReply
  html(body: string, options?: HtmlOptions): FastifyReply
}

interface HtmlOptions extends PolicyOptions {
  readonly status?: number
}

export interface PageRequestDeps {
  /** The path of the issuer, or empty. */
  readonly prefix: string
  readonly branding: Pick<Branding, 'brand' | 'assets'>
  readonly userSessions: Pick<UserSessions, 'current'>
  readonly flows: FlowCodec
  readonly cookies: PageCookies
  /** Creates the CSRF tokens. */
  readonly formMacs: Macs
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  /** Maximum lifetime of a user session. */
  readonly sessionTtl: Seconds
}

export async function createPageRequest(
  deps: PageRequestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<PageRequest> {
  const { prefix, branding, userSessions, flows, cookies, formMacs, clock, random, sessionTtl } = deps
  const browser = cookies.browserId(request, reply, random)
  const current = await userSessions.current(cookies.sessionSecret(request))
  const queryAt = request.url.indexOf('?')
  const queryPairs = queryAt < 0 ? [] : readPairs(request.url.slice(queryAt + 1))
  const bodyPairs = (request.body as Pair[] | undefined) ?? []
  const query = parametersOf(queryPairs)
  const form = parametersOf(bodyPairs)
  const isPost = request.method === 'POST'
  const { 'sec-fetch-site': fetchSite, 'sec-fetch-dest': fetchDest } = request.headers

  function contextFor(locales: readonly string[], userSessionId: string | undefined): PageContext {
    const locale = chooseLocale(locales, request.headers['accept-language'])
    const { brand, assets } = branding
    const csrf = csrfToken(formMacs, { browser, userSessionId })
    return { texts: textsIn(locale), locale, brand, assets, prefix, csrf }
  }

  function html(text: string, { status = 200, formTarget, scripts = false }: HtmlOptions = {}): FastifyReply {
    // Browsers that send Sec-Fetch-Site get an interstitial page instead of a redirect, so the form never leaves this server.
    const usesInterstitial =
      typeof formTarget === 'string' && isHttpUrl(formTarget) && fetchSite !== undefined
    const policy = pagePolicy({ formTarget: usesInterstitial ? undefined : formTarget, scripts })
    return reply
      .status(status)
      .header('content-security-policy', policy)
      .type('text/html; charset=utf-8')
      .send(text)
  }

  return {
    method: request.method,
    url: request.url,
    fetchSite: typeof fetchSite === 'string' ? fetchSite : undefined,
    reply,
    now: () => clock.now(),
    browser,
    current,
    requestInfo: {
      ip: clientAddress(request),
      userAgent: request.headers['user-agent'] ?? '',
      requestId: request.id,
    },
    query,
    form,
    pairs: isPost ? bodyPairs : queryPairs,
    pageContext: (locales = []) => contextFor(locales, current?.userSession.id),
    loginPageContext: (locales = []) => contextFor(locales, undefined),
    setSession(secret) {
      if (secret === null) cookies.clearSession(reply)
      else cookies.setSession(reply, secret, sessionTtl)
    },
    decryptFlow() {
      const text = (isPost ? form : query).get('flow')
      return text === undefined ? null : flows.decrypt(text, browser)
    },
    encryptFlow(flow) {
      const text = flows.encrypt(flow, browser)
      if (text === null) throw new PageError('invalid-request', 'the request is too long: push it (RFC 9126)')
      return text
    },
    redirect(path, fields = {}) {
      const search = new URLSearchParams(fields).toString()
      // 303 and not 307, so that no browser repeats a POST with a password (RFC 9700 §4.12).
      return reply.redirect(prefix + path + (search === '' ? '' : `?${search}`), 303)
    },
    redirectToClient(url, interstitial) {
      // Browsers open an app only if the redirect directly follows a click, so an app's address always gets a redirect.
      const redirects = fetchSite !== 'same-origin' || fetchDest !== 'document' || !isHttpUrl(url)
      return redirects ? reply.redirect(url, 303) : html(interstitial())
    },
    html,
  }
}
