/** Orders over HTTP. Who may do what is in the token; whether the token is good, this process decides alone. */
import Fastify, { type FastifyRequest } from 'fastify'
import { BearerError, type Caller, callerOf, demand } from './bearer.ts'
import { issuerKeys } from './keys.ts'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '4000' } = process.env

const trust = { issuer: ISSUER, audience: AUDIENCE, keys: issuerKeys(ISSUER) }
const orders = new Map<string, { id: string; item: string; by: string }>()
const app = Fastify({ logger: { level: 'warn' } })

app.decorateRequest('caller')
/** Before the body is read: a stranger's bytes are not worth parsing. */
const needs = (what: { scope: string; role?: string }) => async (request: FastifyRequest) => {
  const caller = await callerOf(request.headers.authorization, trust)
  demand(caller, what)
  request.setDecorator('caller', caller)
}

app.get('/orders', { onRequest: needs({ scope: 'orders:read' }) }, async () => [...orders.values()])

const order = {
  type: 'object',
  required: ['item'],
  properties: { item: { type: 'string', minLength: 1, maxLength: 100 } },
}
app.post<{ Body: { item: string } }>(
  '/orders',
  { onRequest: needs({ scope: 'orders:write' }), schema: { body: order } },
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
  { onRequest: needs({ scope: 'orders:write', role: 'manager' }) },
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
