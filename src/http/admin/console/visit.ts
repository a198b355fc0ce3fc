/**
 * One request of an administrator to the console: who it is, what they may do, and the way back from an act. The role is looked up
 * for every request, so that taking it away ends a visit. Must not know any resource.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { ACR_MFA, satisfies } from '../../../accounts/amr.ts'
import type { SecondFactors } from '../../../accounts/second-factors.ts'
import type { Actor } from '../../../admin/actor.ts'
import type { Admin } from '../../../admin/admin.ts'
import { ADMIN_ROLE, ADMIN_SCOPES } from '../../../admin/built-ins.ts'
import { AdminError, PROBLEMS } from '../../../admin/errors.ts'
import type { ActOnce } from '../../../admin/idempotency.ts'
import type { Changed } from '../../../admin/verbs.ts'
import type { Audit } from '../../../audit/events.ts'
import type { Macs } from '../../../keys/macs.ts'
import type { Registry } from '../../../oauth/registry.ts'
import type { Random } from '../../../system.ts'
import { type ConsoleContext, type Done, type Place, placePath } from '../../../views/admin/page.ts'
import { factorNeededPage, failedPage, notAdministratorPage } from '../../../views/admin/refused.ts'
import { consoleTextsIn } from '../../../views/admin/texts/index.ts'
import type { PageRequest } from '../../page-request.ts'
import type { PageRoute } from '../../page-scope.ts'
import { redirectToLogin } from '../../pages/account.ts'
import { hasFactor } from '../../pages/enrolment.ts'

export interface ConsoleDeps {
  readonly admin: (actor: Actor) => Admin
  readonly secondFactors: Pick<SecondFactors, 'summary'>
  readonly registry: Pick<Registry, 'requiresSecondFactor'>
  readonly formMacs: Macs
  readonly actOnce: ActOnce
  readonly random: Pick<Random, 'id'>
  readonly audit: Audit
  /** The path of the issuer, or empty. */
  readonly prefix: string
  /** The address of the console's style sheet. */
  readonly style: string
}

export interface Visit {
  readonly request: PageRequest
  readonly admin: Admin
  readonly page: ConsoleContext
  /** Responds with a page of the console. */
  send(text: string, status?: number): FastifyReply
  /** A hidden field for a form whose response shows a secret. */
  onceField(): { readonly [ONCE]: string }
  /**
   * Acts once for each form that was opened, however often it is sent with these values: a reload of a page that shows a secret sends
   * the form again. A repetition gets the result without the secret.
   */
  once<R>(values: unknown, act: () => Promise<Changed<R>>): Promise<Changed<R>>
  /** Redirects to a page, which shows what was done and what follows. A reload of that page does not repeat the act. */
  leave(path: string, query: Readonly<Record<string, string>>, done: Done): FastifyReply
}

const ONCE = 'once'

/** A parameter that names a resource: in the URL of a page, and in the body of its form. */
export const given = ({ request }: Visit, name: string): string =>
  (request.method === 'POST' ? request.form : request.query).get(name) ?? ''

export interface ConsoleRoute {
  readonly method: 'GET' | 'POST'
  /** Below the issuer. Names of resources are parameters: `..` and URIs have a meaning in paths. */
  readonly path: string
  readonly place: Place
  readonly handler: (visit: Visit) => Promise<FastifyReply>
}

/** A route of one place, with its path below it. */
export type PlaceRoute = readonly [method: 'GET' | 'POST', path: string, handler: ConsoleRoute['handler']]

export const routesOf = (place: Place, routes: readonly PlaceRoute[]): ConsoleRoute[] =>
  routes.map(([method, path, handler]) => ({ method, path: placePath(place) + path, place, handler }))

export function pageRouteOf(deps: ConsoleDeps, { method, path, place, handler }: ConsoleRoute): PageRoute {
  return {
    method,
    path,
    async handler(request) {
      const outside = outsideOf(request)
      const { current } = request
      // A form is not repeated after a login: the way back is a page that changes nothing.
      const returnTo = method === 'GET' ? request.url.slice(deps.prefix.length) : placePath(place)
      if (!current) return redirectToLogin(request, returnTo)
      const { user, userSession } = current
      if (!user.roles.includes(ADMIN_ROLE)) {
        const { ip, requestId: request_id } = request.requestInfo
        const fields = { actor: `user:${user.id}`, sub: user.id, ip, request_id }
        deps.audit('administration.refused', { ...fields, reason: 'access_denied', detail: 'role_missing' })
        const model = { role: ADMIN_ROLE, username: user.username }
        return request.html(notAdministratorPage(model, outside), { status: 403 })
      }
      // As at the authorization endpoint. A sign-in asks for the second factor of a user who has one.
      if (deps.registry.requiresSecondFactor([ADMIN_ROLE]) && !satisfies(userSession.amr, ACR_MFA)) {
        if (hasFactor(await deps.secondFactors.summary(user.id))) return redirectToLogin(request, returnTo)
        return request.html(factorNeededPage(outside), { status: 403 })
      }
      const page: ConsoleContext = {
        ...outside,
        consoleStyle: deps.style,
        username: user.username,
        done: method === 'GET' ? openDone(deps.formMacs, request) : null,
      }
      const actor = { name: `user:${user.id}`, scopes: new Set(Object.keys(ADMIN_SCOPES)) }
      const admin = deps.admin(actor)
      const once: Visit['once'] = async (values, act) => {
        const opened = request.form.get(ONCE)
        if (opened === undefined) return act()
        // Other values are another request: the form may be sent again with a correction, or after a step back.
        const asked = JSON.stringify([path, opened, values])
        const key = `console:${createHash('sha256').update(asked).digest('base64url')}`
        return deps.actOnce({ actor: actor.name, key, request: asked, act, remembered: withoutSecret })
      }
      const onceField = () => ({ [ONCE]: deps.random.id() })
      const leave: Visit['leave'] = (to, query, done) =>
        request.redirect(to, { ...query, done: sealDone(deps.formMacs, request, done) })
      // All pages of the console load the script that makes times local.
      const send: Visit['send'] = (text, status = 200) => request.html(text, { status, scripts: true })
      try {
        return await handler({ request, admin, page, send, leave, once, onceField })
      } catch (error) {
        if (!(error instanceof AdminError)) throw error
        const { status } = PROBLEMS[error.problem]
        const missing = error.problem === 'not-found'
        const model = { place, missing, message: error.message, back: deps.prefix + placePath(place) }
        return send(failedPage(model, page), status)
      }
    },
  }
}

function withoutSecret<R>(changed: Changed<R>): Changed<R> {
  const { client_secret: _secret, link: _link, ...value } = changed.value as Record<string, unknown>
  return { ...changed, value: value as R }
}

function outsideOf(request: PageRequest) {
  const page = request.pageContext()
  return { ...page, words: consoleTextsIn(page.locale) }
}

/** More notes are left out, so that the address of the next page stays shorter than the 8 KB that many proxies allow. */
const MAX_NOTES_BYTES = 3000

const macInput = ({ browser, current }: PageRequest, text: string): string =>
  JSON.stringify(['done', browser, current?.userSession.id ?? null, text])

/** The message is authenticated, so that no link of somebody else can make the console claim anything. */
function sealDone(macs: Macs, request: PageRequest, done: Done): string {
  let bytes = 0
  const notes = done.notes.filter((note) => {
    bytes += Buffer.byteLength(note)
    return bytes <= MAX_NOTES_BYTES
  })
  const text = Buffer.from(JSON.stringify({ ...done, notes })).toString('base64url')
  return `${text}.${macs.create(macInput(request, text))}`
}

function openDone(macs: Macs, request: PageRequest): Done | null {
  const sealed = request.query.get('done') ?? ''
  const dot = sealed.indexOf('.')
  const text = sealed.slice(0, Math.max(0, dot))
  if (dot < 0 || !macs.verify(macInput(request, text), sealed.slice(dot + 1))) return null
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Done
}
