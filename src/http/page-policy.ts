/** The headers of every page, above all the Content Security Policy: what a page may load, and where its forms may lead. */
import type { FastifyReply } from 'fastify'

/** For every response to a browser, whatever becomes of the request. */
export function setPageHeaders(reply: FastifyReply): void {
  reply
    .header('cache-control', 'no-store')
    .header('referrer-policy', 'no-referrer')
    .header('x-frame-options', 'DENY')
    .header('content-security-policy', pagePolicy({}))
}

export interface PageNeeds {
  /** Where the forms of this page may lead in the end, besides this server; null: anywhere. */
  readonly leadsTo?: string | null | undefined
  readonly scripts?: boolean
}

/**
 * Content Security Policy Level 3: a page loads nothing but this server's own style sheet and images, and may not be framed.
 *
 * Chromium applies `form-action` to every redirect that follows a form, down to the last. The policy would have to list not
 * only the client's address but also wherever the client sends the browser next, which this server cannot know. Listing
 * `https:` would let an injected form send a password anywhere. So forms lead to this server alone, and a request that began
 * with one of its forms ends with a page that leads on to the client by itself (`redirectToClient`). Browsers from before 2023
 * do not say where a request comes from (no `Sec-Fetch-Site`): they are redirected, with the client's origin in the policy.
 */
export function pagePolicy({ leadsTo, scripts = false }: PageNeeds): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    ...(scripts ? ["script-src 'self'"] : []),
    ...(leadsTo === null
      ? []
      : [`form-action 'self'${leadsTo === undefined ? '' : ` ${sourceOf(leadsTo)}`}`]),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

export const isWeb = (uri: string): boolean => /^https?:/i.test(uri)

/** An origin, or the scheme of an app. */
const sourceOf = (uri: string): string => (isWeb(uri) ? new URL(uri).origin : new URL(uri).protocol)
