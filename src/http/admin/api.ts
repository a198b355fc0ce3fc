/**
 * The administration API: access tokens, schemas, conditional requests and problem documents for every route, so that no route can
 * forget them. It is a Fastify instance of its own, because it is created only when it is first used. Must not know any resource.
 */
import { isDeepStrictEqual } from 'node:util'
import { Ajv } from 'ajv'
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from 'fastify'
import { Type } from 'typebox'
import type { Actor } from '../../admin/actor.ts'
import type { Admin } from '../../admin/admin.ts'
import { ADMIN_PATH, adminAudience } from '../../admin/built-ins.ts'
import { AdminError } from '../../admin/errors.ts'
import type { ActOnce } from '../../admin/idempotency.ts'
import { encodeNotes, NOTES_HEADER } from '../../admin/wire.ts'
import type { Audit } from '../../audit/events.ts'
import { failureFields } from '../../oauth/audit-failures.ts'
import { invalidRequest, OAuthError } from '../../oauth/errors.ts'
import { invalidToken, sentTokenOf, type VerifyAccessToken } from '../../oauth/protected-resource.ts'
import { respondToBadUrl } from '../broken-request.ts'
import { clientAddress } from '../client-address.ts'
import { asOAuthError, noStore } from '../failures.ts'
import { fieldsOf } from '../header-fields.ts'
import type { ClientCertificateOf } from '../tls/client-certificate.ts'
import { tokenChallenge } from '../token-challenge.ts'
import { assertParams, canonical, headerOf, parseBodies, queryOf } from './body.ts'
import { matchingAny, revisionsOf } from './if-match.ts'
import { adminRoutes, resources } from './index.ts'
import { openApiDocument } from './openapi.ts'
import { problemDocument, sendProblem, sendThrown } from './problem.ts'
import type { AdminRoute, Outcome } from './route.ts'
import { withoutShownOnce } from './shown-once.ts'

export interface AdminApiDeps {
  readonly issuer: string
  /** The path of the issuer, or empty. */
  readonly prefix: string
  readonly admin: (actor: Actor) => Admin
  readonly actOnce: ActOnce
  readonly verifyAccessToken: VerifyAccessToken
  readonly clientCertificateOf: ClientCertificateOf
  /** What the URLs at this port begin with. */
  readonly base: string
  readonly audit: Audit
  readonly refreshIfStale: () => Promise<void> | undefined
  readonly refresh: () => Promise<void>
  /** Whether the server is stopping. */
  readonly isClosing: () => boolean
}

const MAX_BODY_BYTES = 262_144
/** An API is named by its URI, percent-encoded: 500 characters, three bytes each. */
const MAX_PARAM_LENGTH = 1500

export async function createAdminApi(
  deps: AdminApiDeps,
  options: FastifyServerOptions,
): Promise<FastifyInstance> {
  const { prefix, audit, refreshIfStale, refresh } = deps
  const app = Fastify({
    ...options,
    frameworkErrors: respondToBadUrl(prefix + ADMIN_PATH),
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { ...options.routerOptions, maxParamLength: MAX_PARAM_LENGTH },
  } as FastifyServerOptions)
  app.setValidatorCompiler(({ schema, httpPart }) =>
    validators[httpPart === 'body' ? 'body' : 'query'].compile(schema),
  )
  parseBodies(app)
  const actors = new WeakMap<FastifyRequest, Actor>()
  app.setErrorHandler((error, request, reply) => {
    const actor = actors.get(request)
    // Someone who tries to gain rights must not go unnoticed.
    if (actor && error instanceof AdminError && error.problem === 'not-allowed')
      audit('administration.refused', {
        actor: actor.name,
        ...subjectOf(actor),
        reason: 'access_denied',
        detail: 'right_missing',
        ip: clientAddress(request),
        request_id: request.id,
      })
    return sendThrown(error, request, reply)
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    // As in listener.ts: these replies do not pass its hooks.
    if (deps.isClosing()) reply.header('connection', 'close')
    done(null, payload)
  })
  // What an administrator has revoked or disabled must not be accepted by this node after the answer.
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.method !== 'GET' && reply.statusCode < 400) await refresh()
    return payload
  })
  // After a process was frozen, it must renew its view of the store before it believes a token.
  app.addHook('onRequest', (_request, _reply, done) => {
    const refreshed = refreshIfStale()
    if (refreshed) refreshed.then(() => done(), done)
    else done()
  })
  refuseUnknown(app, prefix + ADMIN_PATH)
  const document = JSON.stringify(openApiDocument(deps.issuer, adminRoutes, resources))
  app.get(`${prefix + ADMIN_PATH}/openapi.json`, (_request, reply) =>
    reply.type('application/json').send(document),
  )
  for (const route of adminRoutes) {
    app.route({
      method: route.method,
      url: prefix + ADMIN_PATH + route.path.replace(/\{(\w+)\}/g, ':$1'),
      schema: {
        querystring: route.query ?? NO_QUERY,
        ...(route.body ? { body: route.body } : {}),
      },
      // Before the body is read: without the right token, nobody learns what a route accepts.
      async onRequest(request, reply) {
        try {
          actors.set(request, await authenticate(deps, request, reply, route))
          request.query = queryOf(request)
          assertParams(request.params)
        } catch (error) {
          const failure = asOAuthError(error)
          if (failure.status === 401 || failure.status === 403)
            reply.header(
              'www-authenticate',
              tokenChallenge(request.headers.authorization, error === MISSING ? null : failure, route.scope),
            )
          const from = { ip: clientAddress(request), request_id: request.id }
          // A request without a token is not an event, as at userinfo.
          if (error !== MISSING) audit('administration.refused', { ...failureFields(error), ...from })
          throw error
        }
      },
      // A request without a body has an empty object, in which everything is left out.
      preValidation(request, _reply, done) {
        if (route.body) request.body ??= {}
        done()
      },
      async handler(request, reply) {
        noStore(reply)
        const actor = actors.get(request) as Actor
        const input = {
          params: request.params as Record<string, string>,
          query: request.query as never,
          body: request.body as never,
        }
        const revisions = revisionsOf(headerOf(request, 'if-match'))
        const act = () =>
          matchingAny(revisions, (ifMatch) => route.handler(deps.admin(actor), { ...input, ifMatch }))
        const key = route.repeatable ? headerOf(request, 'idempotency-key') : undefined
        const asked = `${request.url} ${canonical(request.body)}`
        const outcome =
          key === undefined
            ? await act()
            : await deps.actOnce({
                actor: actor.name,
                key,
                request: asked,
                act,
                remembered: (first) => withoutSecrets(route, first),
              })
        const value = 'value' in outcome ? outcome.value : outcome
        if ('revision' in outcome && outcome.revision !== null) reply.header('etag', `"${outcome.revision}"`)
        if ('notes' in outcome && outcome.notes.length > 0)
          reply.header(NOTES_HEADER, encodeNotes(outcome.notes))
        if (route.location) reply.header('location', adminAudience(deps.issuer) + route.location(value))
        return reply.status(route.status).type('application/json').send(JSON.stringify(value))
      },
    })
  }
  await app.ready()
  return app
}

const NO_QUERY = Type.Object({}, { additionalProperties: false })

/** What a repetition gets: the answer without its secret, and a note that says so. */
function withoutSecrets({ response }: AdminRoute, outcome: Outcome<unknown>): Outcome<unknown> {
  if (!('value' in outcome)) return outcome
  const value = withoutShownOnce(response, outcome.value)
  if (isDeepStrictEqual(value, outcome.value)) return outcome
  return { ...outcome, value, notes: ['notes' in outcome ? outcome.notes : [], LOST_SECRET].flat() }
}

const LOST_SECRET =
  'only the first answer to this request contained the secret: if that answer was lost, make another one'

/** Values of a query are text, so their types are converted. A body has types. */
const validators = {
  body: new Ajv({ allErrors: false, useDefaults: false }),
  query: new Ajv({ allErrors: false, coerceTypes: true, useDefaults: false }),
} as const

/** The members of an audit event that are about the administrator. */
function subjectOf({ name }: Actor): { sub: string } | { client_id: string } {
  const id = name.slice(name.indexOf(':') + 1)
  return name.startsWith('user:') ? { sub: id } : { client_id: id }
}

/** The request has no token. The response then has no error code (RFC 6750 §3.1). */
const MISSING = new OAuthError('invalid_token', 'the request needs an access token')

/** @throws {OAuthError} invalid_request, invalid_token, insufficient_scope, invalid_dpop_proof, use_dpop_nonce */
async function authenticate(
  { verifyAccessToken, clientCertificateOf, issuer, prefix, base }: AdminApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { scope }: AdminRoute,
): Promise<Actor> {
  // RFC 6750 §2.3 is not supported: URLs end up in logs.
  if (/[?&]access_token=/.test(request.url)) throw invalidRequest('the access token must not be in the URL')
  const authorization = headerOf(request, 'authorization')
  const sent = authorization === undefined ? null : sentTokenOf(authorization)
  if (sent === null) throw MISSING
  const proven = {
    dpop: fieldsOf(request.raw, 'dpop'),
    certificate: clientCertificateOf(request.raw),
    method: request.method,
    endpoint: base + request.url.slice(prefix.length),
    supplyNonce: (nonce: string) => reply.header('dpop-nonce', nonce),
  }
  const { client, endUser, rights } = await verifyAccessToken(sent, proven, ({ claims, rights }) => {
    // A token for another API must not work here, whatever its scopes are called (RFC 9068 §4).
    if (claims.aud !== adminAudience(issuer)) throw invalidToken('audience_mismatch')
    if (!rights.scopes.includes(scope)) {
      throw new OAuthError('insufficient_scope', `the access token does not have the scope ${scope}`, {
        detail: 'scope_missing',
      })
    }
  })
  return {
    name: endUser ? `user:${endUser.user.id}` : `client:${client.id}`,
    scopes: new Set(rights.scopes),
  }
}

function refuseUnknown(app: FastifyInstance, base: string): void {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?')
    const parts = path.split('/')
    const pattern = [...methods.keys()].find((url) => {
      const segments = url.split('/')
      return (
        segments.length === parts.length &&
        segments.every((part, i) => part === parts[i] || (part.startsWith(':') && parts[i] !== ''))
      )
    })
    if (pattern === undefined)
      return sendProblem(reply, problemDocument('no-such-path', `${base} does not have this path`))
    const allow = [...(methods.get(pattern) ?? [])].sort().join(', ')
    reply.header('allow', allow)
    return sendProblem(reply, problemDocument('method-not-allowed', `the method must be one of ${allow}`))
  })
}
