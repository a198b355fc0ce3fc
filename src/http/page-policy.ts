/** The headers of every page, above all the Content Security Policy: what a page may load and where its forms may lead. */
import type { FastifyReply } from 'fastify'

/** Sets the headers of every response to a browser. */
export function setPageHeaders(reply: FastifyReply): void {
  reply
    .header('cache-control', 'no-store')
    .header('referrer-policy', 'no-referrer')
    .header('x-frame-options', 'DENY')
    .header('content-security-policy', pagePolicy({}))
}

export interface PolicyOptions {
  /** A client's redirect URI to which the page's forms may be submitted, in addition to this server. null: no restriction. */
  readonly formTarget?: string | null | undefined
  readonly scripts?: boolean
}

/**
 * Content Security Policy Level 3: a page loads only this server's style sheet and images, and may not be framed.
 *
 * Chromium applies `form-action` to every redirect that follows a form. The policy would have to list the client's address
 * and also every address that the client redirects to, which this server cannot know. Listing `https:` would let an
 * injected form send a password anywhere. So forms lead only to this server, and a request that began with one of its forms
 * ends with a page that redirects to the client (`redirectToClient`). Browsers from before 2023 do not send `Sec-Fetch-Site`:
 * they get a redirect, and the policy contains the client's origin.
 */
export function pagePolicy({ formTarget, scripts = false }: PolicyOptions): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    ...(scripts ? ["script-src 'self'"] : []),
    ...(formTarget === null
      ? []
      : [`form-action 'self'${formTarget === undefined ? '' : ` ${cspSource(formTarget)}`}`]),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

export const isHttpUrl = (uri: string): boolean => /^https?:/i.test(uri)

/** The origin of an address, or the scheme of an app. */
const cspSource = (uri: string): string => (isHttpUrl(uri) ? new URL(uri).origin : new URL(uri).protocol)
