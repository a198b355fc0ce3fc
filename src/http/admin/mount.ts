/**
 * Loads the administration when a request first asks for it, so that a server which nobody administers pays neither start-up time
 * nor memory for it. Must not know its routes.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ADMIN_PATH } from '../../admin/built-ins.ts'
import { singleFlight } from '../../single-flight.ts'

/** Hands every request below the path to the instance that `load` creates. The body is left unread for it. */
export async function mountAdmin(
  app: FastifyInstance,
  prefix: string,
  load: () => Promise<FastifyInstance>,
): Promise<void> {
  let loaded: FastifyInstance | undefined
  const loadOnce = singleFlight(async () => {
    loaded ??= await load()
  })
  app.addHook('onClose', async () => {
    await loaded?.close()
  })
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request: FastifyRequest, _payload, done) => done(null))
    scope.route({
      method: ['GET', 'POST', 'PATCH', 'PUT', 'DELETE'],
      url: `${prefix + ADMIN_PATH}/*`,
      async handler(request, reply) {
        await loadOnce()
        reply.hijack()
        loaded?.routing(request.raw, reply.raw)
      },
    })
  })
}
