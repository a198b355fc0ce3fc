/** Requests as clients make them. */
import type { LightMyRequestResponse } from 'fastify'
import { PASSWORD, SECRET } from './seed.ts'
import type { TestServer } from './server.ts'

/** RFC 6749 §2.3.1: form-urlencoded, then Basic. */
export function basic(id: string, secret: string = SECRET): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}

export type Form = Record<string, string | readonly string[]>

export function encodeForm(form: Form): string {
  const pairs = Object.entries(form).flatMap(([name, value]) =>
    ([value].flat() as string[]).map((one): [string, string] => [name, one]),
  )
  return new URLSearchParams(pairs).toString()
}

export function post(
  server: Pick<TestServer, 'inject'>,
  url: string,
  form: Form,
  headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> {
  return server.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: encodeForm(form),
  })
}

/** A token request of the seeded client `as`, by client_secret_basic; the public `phone` only sends its client_id. */
export function tokenRequest(server: Pick<TestServer, 'inject'>, form: Form, as = 'machine') {
  return as === 'phone'
    ? post(server, '/oauth2/token', { client_id: as, ...form })
    : post(server, '/oauth2/token', form, { authorization: basic(as) })
}

export const clientCredentials = (server: Pick<TestServer, 'inject'>, form: Form = {}, as = 'machine') =>
  tokenRequest(server, { grant_type: 'client_credentials', ...form }, as)

export const login = (server: Pick<TestServer, 'inject'>, form: Form = {}, as = 'app') =>
  tokenRequest(server, { grant_type: 'password', username: 'alice', password: PASSWORD, ...form }, as)

export const refresh = (server: Pick<TestServer, 'inject'>, token: string, form: Form = {}, as = 'app') =>
  tokenRequest(server, { grant_type: 'refresh_token', refresh_token: token, ...form }, as)

/** The claims, unverified. */
export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
}

/** The key id in the header, unverified. */
export const kidOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8')).kid
