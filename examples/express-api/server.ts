/** Orders over HTTP with Express. The token says what the caller may do; this process verifies it offline. */
import express from 'express'
// In a project of your own: from '@keyturn/verify'.
import { createVerifier, keyturnExpress, requireRole, requireScope } from '../../packages/verify/index.ts'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '4001' } = process.env

const verifier = createVerifier({
  issuer: ISSUER,
  audience: AUDIENCE,
  // Refuses revoked tokens within seconds. The lists are polled in the background; no request waits for them.
  statusList: true,
  // Makes this service known to the server, which waits for it before it rotates keys.
  name: 'orders',
})
// The service starts without the issuer. Until the issuer has answered once, requests get 503.
await verifier.ready().catch(() => console.error(`${ISSUER} does not answer yet`))

const orders = new Map<string, { id: string; item: string }>()
const app = express()
app.disable('x-powered-by')
app.get('/health', (_request, response) => response.json({ status: 'ok' }))
// The routes below require a valid token. It is checked before the body is read, so that the body of an unauthorized request is
// not parsed.
app.use(keyturnExpress({ verifier }))
app.get('/orders', requireScope('orders:read'), (_request, response) => response.json([...orders.values()]))
app.post('/orders', requireScope('orders:write'), express.json({ limit: '10kb' }), (request, response) => {
  const item = request.body?.item
  if (typeof item !== 'string' || item.length < 1 || item.length > 100) {
    return response.status(400).json({ error: 'item must be 1 to 100 characters' })
  }
  const order = { id: String(orders.size + 1), item }
  orders.set(order.id, order)
  return response.status(201).json(order)
})
app.delete('/orders', requireRole('manager', { scope: 'orders:write' }), (_request, response) => {
  orders.clear()
  response.status(204).end()
})

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  const address = server.address()
  console.log(`orders on http://127.0.0.1:${typeof address === 'object' ? address?.port : PORT}`)
})
