/** What a client does with its tokens: introspect, revoke and refresh them. */
import type { LightMyRequestResponse } from 'fastify'
import type { TokenResponse } from '../../../src/tokens/issue.ts'
import { basic, type Form, login, post, refresh } from './requests.ts'
import type { TestServer } from './server.ts'

type Injectable = Pick<TestServer, 'inject'>

export interface Pair extends TokenResponse {
  refresh_token: string
}

/** @throws unless the response has tokens, because the rest of the test would test something else */
export function pairOf(answer: LightMyRequestResponse): Pair {
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json<Pair>()
}

export const signedIn = async (server: Injectable, form: Form = {}, as = 'app'): Promise<Pair> =>
  pairOf(await login(server, form, as))

export const refreshed = async (
  server: Injectable,
  token: string,
  form: Form = {},
  as = 'app',
): Promise<Pair> => pairOf(await refresh(server, token, form, as))

function asClient(server: Injectable, url: string, form: Form, as: string) {
  return as === 'phone'
    ? post(server, url, { client_id: as, ...form })
    : post(server, url, form, { authorization: basic(as) })
}

export const introspect = (server: Injectable, token: string, as = 'app', form: Form = {}) =>
  asClient(server, '/oauth2/introspect', { token, ...form }, as)

export const revoke = (server: Injectable, token: string, as = 'app', form: Form = {}) =>
  asClient(server, '/oauth2/revoke', { token, ...form }, as)

/** Introspection by the client to which the token was issued. */
export async function isActive(server: Injectable, token: string, as = 'app'): Promise<boolean> {
  const answer = await introspect(server, token, as)
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json<{ active: boolean }>().active
}

/** The client session that a refresh token names (tokens/refresh-token). */
export const clientSessionIdOf = (refreshToken: string): string => refreshToken.split('.')[2] ?? ''
