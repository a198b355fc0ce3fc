/** Orders over HTTP with Fastify. The token says what the caller may do; this process verifies it offline. */
import Fastify, { type FastifyRequest } from 'fastify'
import { BearerError, type Caller, callerOf, checkAccess } from './bearer.ts'
import { issuerKeys } from './keys.ts'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '4000' } = process.env

const rules = { issuer: ISSUER, audience: AUDIENCE, keys: issuerKeys(ISSUER) }
const orders = new Map<string, { id: string; item: string; by: string }>()
const app = Fastify({ logger: { level: 'warn' } })

app.decorateRequest('caller')
/** A hook that runs before the body is read, so that the body of an unauthorized request is not parsed. */
const requireAccess = (required: { scope: string; role?: string }) => async (request: FastifyRequest) => {
  const caller = await callerOf(request.headers.authorization, rules)
  checkAccess(caller, required)
  request.setDecorator('caller', caller)
}

app.get('/orders', { onRequest: requireAccess({ scope: 'orders:read' }) }, async () => [...orders.values()])

const orderSchema = {
  type: 'object',
  required: ['item'],
  properties: { item: { type: 'string', minLength: 1, maxLength: 100 } },
}
app.post<{ Body: { item: string } }>(
  '/orders',
  { onRequest: requireAccess({ scope: 'orders:write' }), schema: { body: orderSchema } },
  async (request, reply) => {
    const created = {
      id: String(orders.size + 1),
      item: request.body.item,
      by: request.getDecorator<Caller>('caller').sub,
    }
    orders.set(created.id, created)
    return reply.status(201).send(created)
  },
)

app.delete(
  '/orders',
  { onRequest: requireAccess({ scope: 'orders:write', role: 'manager' }) },
  async (_request, reply) => {
    orders.clear()
    return reply.status(204).send()
  },
)

app.setErrorHandler((error, _request, reply) => {
  if (!(error instanceof BearerError)) return reply.send(error)
  if (error.challenge !== undefined) reply.header('www-authenticate', `Bearer ${error.challenge}`)
  if (error.statusCode === 503) reply.header('retry-after', '5')
  return reply.status(error.statusCode).send({ error: error.message })
})

console.log(`orders on ${await app.listen({ port: Number(PORT) })}`)
