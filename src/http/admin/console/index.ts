/**
 * The console: the list of its pages, and the Fastify instance that serves them, which is created only when a request first asks for
 * it. Must not know the store: every page uses the verbs of `Admin`. A new page is a route in the file of its resource.
 */
import { createHash } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { CONSOLE_PATH } from '../../../views/admin/path.ts'
import { CONSOLE_STYLE } from '../../../views/admin/style.ts'
import type { Branding } from '../../../views/assets.ts'
import { assetEndpoint } from '../../endpoints/asset.ts'
import { sendFailure } from '../../failures.ts'
import { MAX_BODY_BYTES } from '../../form.ts'
import { DOCUMENT, notFoundHandler } from '../../methods.ts'
import { htmlNotFound } from '../../page-error.ts'
import type { PageRequestDeps } from '../../page-request.ts'
import { pageScope } from '../../page-scope.ts'
import { apiRoutes } from './apis.ts'
import { auditRoutes } from './audit.ts'
import { clientRoutes } from './clients.ts'
import { keyRoutes } from './keys.ts'
import { overviewRoutes } from './overview.ts'
import { roleRoutes } from './roles.ts'
import { sessionRoutes } from './sessions.ts'
import { userRoutes } from './users.ts'
import { type ConsoleDeps, type ConsoleRoute, pageRouteOf } from './visit.ts'

const consoleRoutes: readonly ConsoleRoute[] = [
  ...overviewRoutes,
  ...keyRoutes,
  ...clientRoutes,
  ...apiRoutes,
  ...roleRoutes,
  ...userRoutes,
  ...sessionRoutes,
  ...auditRoutes,
]

export interface ConsoleAppDeps extends Omit<ConsoleDeps, 'style' | 'prefix' | 'formMacs'> {
  readonly pages: PageRequestDeps & { readonly branding: Branding }
  readonly refreshIfStale: () => Promise<void> | undefined
  readonly refresh: () => Promise<void>
  /** Whether the server is stopping. */
  readonly isClosing: () => boolean
}

export async function createConsole(
  { pages, refreshIfStale, refresh, isClosing, ...deps }: ConsoleAppDeps,
  options: FastifyServerOptions,
): Promise<FastifyInstance> {
  const { prefix, branding, formMacs } = pages
  const app = Fastify(options)
  app.setErrorHandler(sendFailure)
  notFoundHandler(app, htmlNotFound({ prefix, branding }))
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    // As in listener.ts: these replies do not pass its hooks.
    if (isClosing()) reply.header('connection', 'close')
    done(null, payload)
  })
  // What an administrator has revoked or disabled must not be accepted by this node after the answer.
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.method !== 'GET' && reply.statusCode < 400) await refresh()
    return payload
  })
  app.addHook('preHandler', (_request, _reply, done) => {
    const refreshed = refreshIfStale()
    if (refreshed) refreshed.then(() => done(), done)
    else done()
  })
  const body = Buffer.from(CONSOLE_STYLE)
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 12)
  const style = `${prefix}${CONSOLE_PATH}/assets/console-${hash}.css`
  const file = {
    name: 'style',
    path: style,
    contentType: 'text/css; charset=utf-8',
    body,
    etag: `"${hash}"`,
  } as const
  app.get(style, DOCUMENT, assetEndpoint(file))
  const routes = consoleRoutes.map((route) => pageRouteOf({ ...deps, prefix, formMacs, style }, route))
  // The list of the scopes of an API, for example, may take the whole form.
  await app.register((scope) => pageScope(scope, pages, routes, MAX_BODY_BYTES))
  await app.ready()
  return app
}
