/** `inject` for a server that is reached by its URL, as the tests’ browser needs it in front of a process. */
import { request as send } from 'node:http'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { systemClock } from '../../../src/system.ts'
import type { Served } from '../browser/browser.ts'

/** Redirects are not followed, and every header is sent and received unchanged. */
export function overHttp(issuer: string): Served {
  return { inject: (options) => ask(issuer, options), clock: systemClock, config: { issuer } }
}

function ask(issuer: string, { method = 'GET', url, headers, payload }: InjectOptions) {
  return new Promise<LightMyRequestResponse>((resolve, reject) => {
    const target = new URL(String(url), issuer)
    const body = typeof payload === 'string' ? payload : undefined
    const sent = {
      ...(headers as Record<string, string>),
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    }
    // One connection per request: the server behind the URL may change.
    const request = send(target, { method, headers: sent, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({
          statusCode: response.statusCode,
          headers: response.headers,
          body: text,
          json: () => JSON.parse(text),
        } as unknown as LightMyRequestResponse)
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
