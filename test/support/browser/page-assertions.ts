/**
 * What every response of the authorization endpoint must be, whatever the request (RFC 6749 §4.1.2.1; docs/security.md
 * C29, C36, C37, C40).
 */
import type { Test } from 'tap'
import { ISSUER } from '../server/server.ts'
import { type Page, tags } from './browser.ts'
import { REDIRECTS } from './sign-in.ts'

/** RFC 6749 §4.1.2.1: the characters allowed in `error_description`. */
const LEGAL = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/

interface ExpectedError {
  readonly error: string
  /** Exactly this value; null: none. */
  readonly state?: string | null
  readonly to?: string
}

/** Checks that the client gets the error, by a redirect or the form of `form_post`, and nothing else. */
export function clientGetsError(
  t: Test,
  page: Page,
  { error, state = 'the state', to }: ExpectedError,
  label = '',
): void {
  t.same(problemsOf(page, to ?? REDIRECTS.web ?? ''), [], `${label}: the form of the response`)
  const { params } = page.away ?? { params: new URLSearchParams() }
  t.equal(params.get('error'), error, `${label} → ${error}`)
  t.equal(params.get('state'), state, `${label}: state`)
}

function problemsOf({ away, status, headers, body }: Page, to: string): string[] {
  if (!away) return [`not a redirect to the client: ${status} ${body.replace(/<[^>]*>|\s+/g, ' ')}`]
  const problems: string[] = []
  if (away.method === 'GET' && status !== (headers.location === undefined ? 200 : 303))
    problems.push(`status ${status}`)
  if (away.url.split('?')[0] !== to.split('?')[0]) problems.push(`leads to ${away.url}`)
  if (headers['cache-control'] !== 'no-store') problems.push('not no-store')
  if (headers['referrer-policy'] !== 'no-referrer') problems.push('referrer')
  const names = [...away.params.keys()]
  if (new Set(names).size !== names.length) problems.push(`repeats: ${names}`)
  const known = ['error', 'error_description', 'state', 'iss', ...new URL(to).searchParams.keys()]
  for (const name of names) if (!known.includes(name)) problems.push(`also has ${name}`)
  if (away.params.get('iss') !== ISSUER) problems.push(`iss is ${away.params.get('iss')}`)
  const description = away.params.get('error_description') ?? ''
  if (!LEGAL.test(description)) problems.push(`description is ${JSON.stringify(description)}`)
  return problems
}

/**
 * Checks that only the user gets the error: a page that does not redirect and repeats nothing of the request.
 * @param notEchoed values that must not appear as they were sent
 */
export function userGetsError(t: Test, page: Page, label = '', notEchoed: readonly string[] = []): void {
  t.same(pageProblems(page, notEchoed), [], `${label}: a page`)
}

function pageProblems(page: Page, notEchoed: readonly string[]): string[] {
  const { status, headers, body } = page
  const problems: string[] = []
  if (status < 400 || status >= 500) problems.push(`status ${status}`)
  if (headers.location !== undefined) problems.push(`location ${headers.location}`)
  if (headers.refresh !== undefined) problems.push('refresh')
  if (page.forms.length > 0) problems.push('a form')
  if (/http-equiv/i.test(body)) problems.push('http-equiv')
  for (const text of notEchoed) if (text !== '' && body.includes(text)) problems.push(`contains ${text}`)
  return [...problems, ...protectionProblems(page)]
}

/**
 * Headers and content that every page must have (docs/security.md C40, C43).
 * @param postsToClient its form goes to a client and from there to any site
 */
export function protectionProblems({ headers, body }: Page, { postsToClient = false } = {}): string[] {
  const problems: string[] = []
  if (!/^text\/html; charset=utf-8$/.test(String(headers['content-type']))) problems.push('not HTML')
  for (const [name, value] of Object.entries({
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
  })) {
    if (headers[name] !== value) problems.push(`${name} is ${headers[name]}`)
  }
  const policy = String(headers['content-security-policy'])
  const rules = [
    "default-src 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    ...(postsToClient ? [] : ["form-action 'self'"]),
  ]
  for (const rule of rules) {
    if (!policy.includes(rule)) problems.push(`no ${rule}`)
  }
  if (/unsafe|\*/.test(policy)) problems.push(`policy ${policy}`)
  if (headers['access-control-allow-origin'] !== undefined) problems.push('CORS')
  for (const { name, attributes } of tags(body)) {
    for (const [attribute, value] of attributes) {
      if (attribute.startsWith('on') || attribute === 'style') problems.push(`${name} ${attribute}`)
      // docs/security.md C43: nothing from other sites.
      if (attribute === 'src' || (name === 'link' && attribute === 'href')) {
        if (!value.startsWith('/') || value.startsWith('//')) problems.push(`${name} ${value}`)
      }
    }
    if (name === 'script' && !attributes.has('src')) problems.push('inline script')
    if (name === 'style' || name === 'iframe' || name === 'base') problems.push(name)
  }
  return problems
}
