/**
 * The scope of all pages: form parser, cookies, headers, CSRF check and error pages, so that no page can forget them. Must
 * not know any page. The list of pages is pages/index.ts.
 */
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type CsrfBinding, checkCsrf } from './csrf.ts'
import { MAX_BODY_BYTES, MAX_PAGE_FIELDS, readPairs } from './form.ts'
import { sendErrorPage } from './page-error.ts'
import { setPageHeaders } from './page-policy.ts'
import { createPageRequest, type PageRequest, type PageRequestDeps } from './page-request.ts'

export interface PageRoute {
  readonly method: 'GET' | 'POST'
  /** Below the issuer. */
  readonly path: string
  /** What the CSRF token of a POST is bound to; default `user-session`. */
  readonly csrf?: CsrfBinding
  readonly handler: (request: PageRequest) => Promise<FastifyReply>
}

/** @param longest the maximum length of a form's field that has no limit of its own */
export async function pageScope(
  app: FastifyInstance,
  deps: PageRequestDeps,
  routes: readonly PageRoute[],
  longest?: number,
): Promise<void> {
  await app.register(cookie)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
    (_request, body, done) => {
      try {
        done(null, readPairs(body as string, MAX_PAGE_FIELDS, longest))
      } catch (error) {
        done(error as Error)
      }
    },
  )
  app.addHook('onRequest', (_request, reply, done) => {
    setPageHeaders(reply)
    done()
  })
  app.setErrorHandler((error, request, reply) => sendErrorPage(deps, error, request, reply))
  for (const { method, path, csrf = 'user-session', handler } of routes) {
    for (const url of urlsOf(deps.prefix, path)) route(method, url, csrf, handler)
  }

  function route(method: PageRoute['method'], url: string, csrf: CsrfBinding, handler: PageRoute['handler']) {
    app.route({
      method,
      url,
      bodyLimit: MAX_BODY_BYTES,
      handler: async (request, reply) => {
        const pageRequest = await createPageRequest(deps, request, reply)
        if (method === 'POST' && csrf !== 'none') {
          const { browser, current, form, fetchSite } = pageRequest
          const userSessionId = csrf === 'browser' ? undefined : current?.userSession.id
          checkCsrf(deps.formMacs, { browser, userSessionId }, { token: form.get('csrf') ?? '', fetchSite })
        }
        return handler(pageRequest)
      },
    })
  }
}

/** The issuer itself is written with and without the slash at its end. */
const urlsOf = (prefix: string, path: string): string[] =>
  path === '/' && prefix !== '' ? [prefix, `${prefix}/`] : [prefix + path]
