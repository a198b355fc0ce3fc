/** The one home of the Content Security Policy: what a page may load, and where its forms may lead. */

export interface PageNeeds {
  /** Where forms of this page may lead to in the end, besides here; null: anywhere. */
  readonly leadsTo?: string | null | undefined
  readonly scripts?: boolean
}

/**
 * Content Security Policy Level 3: nothing but our own style sheet and pictures, no frames around us.
 *
 * Chromium holds `form-action` against every redirect that follows a form, down to the last: not only the client's
 * address must be in it, but wherever the client sends the browser next, which nobody here can know. `https:` would
 * allow a form that was smuggled in to send a password anywhere. So what one of our forms has begun ends with a page
 * of ours that leads on by itself (`leave`), and forms lead to us alone. Browsers that do not say where a request
 * comes from (no `Sec-Fetch-Site`: before 2023) are redirected, with the client's origin in the policy.
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
