/**
 * The human side of HTTP: cookies, forms that only our own pages can send, pages that nothing foreign can get into.
 * Must not know any page. What all of them have in common is here, so that none can forget it.
 */
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import type { CurrentSignIn, Visitor } from '../accounts/user-sessions.ts'
import { issuerPath } from '../issuer-path.ts'
import type { Flow } from '../oauth/authorize/flow.ts'
import { type Pair, type Parameters, parametersOf } from '../oauth/parameters.ts'
import type { PageContext } from '../views/page.ts'
import { chooseLocale, textsIn } from '../views/texts/index.ts'
import { clientAddress } from './client-address.ts'
import { readPairs } from './form.ts'
import type { AnswerPeople } from './methods.ts'
import { PageError, sendErrorPage } from './page-error.ts'
import { isWeb, type PageNeeds, pagePolicy } from './page-policy.ts'
import type { Services } from './services.ts'

/** Prefixed: no other host, and nothing that came over plain http, can set them (RFC 6265bis §4.1.3.2). */
export const BROWSER_COOKIE = '__Host-keyturn-browser'
export const SESSION_COOKIE = '__Host-keyturn-session'

/** Lax, not Strict: people come here from the applications, and are to be known. */
const COOKIE = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const
const BROWSER_BYTES = 16
const BODY_LIMIT = 65_536

/** One request of one browser. */
export interface Visit {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** The random value that forms and flows are bound to. */
  readonly browser: string
  readonly current: CurrentSignIn | null
  readonly visitor: Visitor
  /** What the URL says, and what the form says. */
  readonly query: Parameters
  readonly pairs: readonly Pair[]
  readonly form: Parameters
  /** @param locales as in `ui_locales`: what the application asks for, before what the browser does */
  page(locales?: readonly string[]): PageContext
  /** For the page of a form that may be sent whoever is signed in by then. */
  loginPage(locales?: readonly string[]): PageContext
  /** The person is signed in from now on. */
  setSession(secret: string | null): void
  openFlow(): Flow | null
  /** @throws {PageError} if the request is too long to be carried from page to page */
  sealFlow(flow: Flow): string
  redirect(path: string, query?: Readonly<Record<string, string>>): FastifyReply
  /** To an address of a client. @param handOver the page that leads there by itself, where a redirect would be stopped */
  leave(url: string, handOver: () => string): FastifyReply
  html(body: string, options?: HtmlOptions): FastifyReply
}

export interface HtmlOptions extends PageNeeds {
  readonly status?: number
}

/** Whose token a form carries: the browser's, or that of who is signed in with it. */
type Csrf = 'browser' | 'sign-in' | 'none'

export interface PageRoute {
  readonly method: 'GET' | 'POST'
  /** Below the issuer. */
  readonly path: string
  /** GET that does something: HEAD, which link checkers send, must not do it unseen (RFC 9110 §9.2.1). */
  readonly head?: false
  /** POST: which token the form must carry. */
  readonly csrf?: Csrf
  readonly handler: (visit: Visit) => Promise<FastifyReply>
}

export async function browserScope(
  app: FastifyInstance,
  services: Services,
  routes: readonly PageRoute[],
): Promise<void> {
  const prefix = issuerPath(services.config.issuer)
  await app.register(cookie)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_LIMIT },
    (_request, body, done) => {
      try {
        done(null, readPairs(body as string))
      } catch (error) {
        done(error as Error)
      }
    },
  )
  app.addHook('onRequest', (_request, reply, done) => {
    protect(reply)
    done()
  })
  app.setErrorHandler((error, request, reply) => sendErrorPage(services, error, request, reply))
  for (const { method, path, head = true, csrf = 'sign-in', handler } of routes) {
    app.route({
      method,
      url: prefix + path,
      exposeHeadRoute: method === 'GET' && head,
      bodyLimit: BODY_LIMIT,
      handler: async (request, reply) => {
        const visit = await visitOf(services, prefix, request, reply)
        if (method === 'POST') refuseForged(services, visit, csrf)
        return handler(visit)
      },
    })
  }
}

/** What holds for every page, whatever becomes of the request. */
function protect(reply: FastifyReply): void {
  reply
    .header('cache-control', 'no-store')
    .header('referrer-policy', 'no-referrer')
    .header('x-frame-options', 'DENY')
    .header('content-security-policy', pagePolicy({}))
}

/** For people who came to an address that there is not, or not in this way; machines get their answer elsewhere. */
export function answerPeople(services: Services): AnswerPeople {
  const below = `${issuerPath(services.config.issuer)}/`
  return (kind, request, reply) => {
    // RFC 9110 §12.5.1. A client that accepts anything, such as curl, gets the answer for programs.
    const prefersHtml = new Negotiator(request).mediaType(['application/json', 'text/html']) === 'text/html'
    if (!prefersHtml || !`${request.url.split('?', 1)[0]}/`.startsWith(below)) return false
    protect(reply)
    sendErrorPage(services, new PageError(kind), request, reply)
    return true
  }
}

async function visitOf(
  services: Services,
  prefix: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Visit> {
  const { people, config } = services
  const known = request.cookies[BROWSER_COOKIE]
  const browser =
    known && /^[\w-]{22}$/.test(known)
      ? known
      : services.people.random.bytes(BROWSER_BYTES).toString('base64url')
  // Not by a POST: another site's comes without cookies, and the answer would put a new one in the place of ours.
  if (browser !== known && request.method !== 'POST') reply.setCookie(BROWSER_COOKIE, browser, COOKIE)
  const current = await people.signIns.current(request.cookies[SESSION_COOKIE])
  const at = request.url.indexOf('?')
  const pairs = at < 0 ? [] : readPairs(request.url.slice(at + 1))
  const body = (request.body as Pair[] | undefined) ?? []
  const query = parametersOf(pairs)
  const form = parametersOf(body)
  const context = (locales: readonly string[], token: string): PageContext => {
    const locale = chooseLocale(locales, request.headers['accept-language'])
    const { brand, assets } = services.look
    return { texts: textsIn(locale), locale, brand, assets, prefix, csrf: token }
  }

  const visit: Visit = {
    request,
    reply,
    browser,
    current,
    visitor: {
      ip: clientAddress(request),
      userAgent: request.headers['user-agent'] ?? '',
      requestId: request.id,
    },
    query,
    pairs: request.method === 'POST' ? body : pairs,
    form,
    page: (locales = []) =>
      context(locales, services.people.csrf.write(csrfText(browser, current?.signIn.id))),
    loginPage: (locales = []) => context(locales, services.people.csrf.write(csrfText(browser, undefined))),
    setSession(secret) {
      if (secret === null) reply.clearCookie(SESSION_COOKIE, COOKIE)
      // Nobody stays signed in longer, and only as long as the store says.
      else reply.setCookie(SESSION_COOKIE, secret, { ...COOKIE, maxAge: config.refreshTokenTtl })
    },
    openFlow() {
      const text = (request.method === 'POST' ? form : query).get('flow')
      return text === undefined ? null : people.flows.open(text, browser)
    },
    sealFlow(flow) {
      const text = people.flows.seal(flow, browser)
      if (text === undefined)
        throw new PageError('invalid-request', 'the request is too long: push it (RFC 9126)')
      return text
    },
    redirect(path, fields = {}) {
      const search = new URLSearchParams(fields).toString()
      // 303, so that no browser ever sends a password on (RFC 9700 §4.12).
      return reply.redirect(prefix + path + (search === '' ? '' : `?${search}`), 303)
    },
    leave(url, handOver) {
      const { 'sec-fetch-site': from, 'sec-fetch-dest': into } = request.headers
      // Apps are opened by what a person has just clicked, so for them it stays a redirect.
      const redirects = from !== 'same-origin' || into !== 'document' || !isWeb(url)
      return redirects ? reply.redirect(url, 303) : visit.html(handOver())
    },
    html(text, { status = 200, leadsTo, scripts = false } = {}) {
      const handsOver = typeof leadsTo === 'string' && isWeb(leadsTo) && 'sec-fetch-site' in request.headers
      return reply
        .status(status)
        .header('content-security-policy', pagePolicy({ leadsTo: handsOver ? undefined : leadsTo, scripts }))
        .type('text/html; charset=utf-8')
        .send(text)
    },
  }
  return visit
}

const csrfText = (browser: string, signInId: string | undefined): string =>
  JSON.stringify([browser, signInId ?? null])

/** SECURITY 41: a form that another site has sent, or that was made for another browser or person. */
function refuseForged(services: Services, visit: Visit, csrf: Csrf): void {
  const site = visit.request.headers['sec-fetch-site']
  if (csrf === 'none') return
  const text = csrfText(visit.browser, csrf === 'browser' ? undefined : visit.current?.signIn.id)
  const same = services.people.csrf.matches(text, visit.form.get('csrf') ?? '')
  if (!same || (site !== undefined && site !== 'same-origin')) throw new PageError('forged')
}
