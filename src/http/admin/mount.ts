/**
 * Loads the administration when a request first asks for it, so that a server which nobody administers pays neither start-up time
 * nor memory for it. Must not know its routes.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { ADMIN_PATH } from '../../admin/built-ins.ts'
import { singleFlight } from '../../single-flight.ts'
import { CONSOLE_PATH } from '../../views/admin/path.ts'

/** Both instances must know a request by one id: spans have it from the outer one, the audit trail from the inner one. */
export type RequestId = (request: IncomingMessage) => string

type Load = (requestId: RequestId) => Promise<FastifyInstance>

/** Also methods that no route has: they get a 405 with the methods of the path. */
const API_METHODS: HTTPMethods[] = ['GET', 'POST', 'PATCH', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE']

export const mountAdmin = (app: FastifyInstance, prefix: string, load: Load): Promise<void> =>
  mount(app, API_METHODS, [`${prefix + ADMIN_PATH}/*`], load)

export const mountConsole = (app: FastifyInstance, prefix: string, load: Load): Promise<void> =>
  mount(app, ['GET', 'POST'], [prefix + CONSOLE_PATH, `${prefix + CONSOLE_PATH}/*`], load)

/** Hands every request for these paths to the instance that `load` creates. The body is left unread for it. */
async function mount(app: FastifyInstance, method: HTTPMethods[], urls: string[], load: Load): Promise<void> {
  let loaded: FastifyInstance | undefined
  const ids = new WeakMap<IncomingMessage, string>()
  const loadOnce = singleFlight(async () => {
    loaded ??= await load((request) => ids.get(request) ?? '')
  })
  app.addHook('onClose', async () => {
    await loaded?.close()
  })
  await app.register(async (scope) => {
    // Before Fastify looks at the body, which it would refuse in the words of the other endpoints.
    scope.addHook('onRequest', async (request, reply) => {
      await loadOnce()
      ids.set(request.raw, request.id)
      reply.hijack()
      loaded?.routing(request.raw, reply.raw)
    })
    for (const url of urls) scope.route({ method, url, handler: (_request, reply) => reply })
  })
}
