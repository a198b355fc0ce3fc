/** A client that sends DPoP proofs of one key to a server. */
import type { LightMyRequestResponse } from 'fastify'
import type { Served } from '../browser/browser.ts'
import { VERIFIER } from '../browser/sign-in.ts'
import { type ClientKey, clientKey } from '../server/jws.ts'
import { basic, encodeForm, type Form } from '../server/requests.ts'
import { PASSWORD } from '../server/seed.ts'
import { type ProofChange, type ProofRequest, proof, thumbprintOf } from './proofs.ts'

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

export interface Sending {
  readonly method?: Method
  readonly form?: Form
  /** The client, by client_secret_basic; the public ones only send their client_id. */
  readonly as?: string | undefined
  /** Sent with the scheme `DPoP`, unless `scheme` says otherwise. */
  readonly accessToken?: string
  readonly scheme?: string
  readonly nonce?: string | undefined
  readonly change?: ProofChange
  /** The header fields instead of one right proof. */
  readonly fields?: readonly string[]
  /** Makes the header fields instead of one right proof. */
  readonly make?: (request: ProofRequest) => readonly string[]
  readonly headers?: Record<string, string>
}

const PUBLIC: readonly string[] = ['phone', 'spa', 'native', 'viewer']

/** The endpoints' URLs begin with the issuer. `served` may be a server of this process, or one that is reached over HTTP. */
export function dpopSender(served: Served, key: ClientKey = clientKey('ES256')) {
  const { issuer } = served.config

  function send(path: string, sending: Sending = {}): Promise<LightMyRequestResponse> {
    const { method = 'POST', form, as, accessToken, scheme = 'DPoP', nonce, change, headers = {} } = sending
    const request: ProofRequest = {
      key,
      method,
      url: issuer + path,
      now: served.clock.now(),
      ...(accessToken === undefined ? {} : { accessToken }),
      ...(nonce === undefined ? {} : { nonce }),
    }
    const fields = sending.fields ?? sending.make?.(request) ?? [proof(request, change)]
    const isPublic = as !== undefined && PUBLIC.includes(as)
    const body = { ...(isPublic ? { client_id: as } : {}), ...form }
    return served.inject({
      method,
      url: new URL(issuer + path).pathname,
      headers: {
        ...(form || isPublic ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        ...(as === undefined || isPublic ? {} : { authorization: basic(as) }),
        ...(accessToken === undefined ? {} : { authorization: `${scheme} ${accessToken}` }),
        ...(fields.length === 0 ? {} : { dpop: fields.length === 1 ? fields[0] : fields }),
        ...headers,
      } as Record<string, string>,
      ...(form || isPublic ? { payload: encodeForm(body) } : {}),
    })
  }

  const token = (form: Form, as: string | undefined, more: Sending = {}) =>
    send('/oauth2/token', { form, as, ...more })

  return {
    key,
    jkt: thumbprintOf(key),
    send,
    token,
    machine: (more: Sending = {}, form: Form = {}) =>
      token({ grant_type: 'client_credentials', ...form }, 'machine', more),
    login: (as = 'app', more: Sending = {}, form: Form = {}) =>
      token({ grant_type: 'password', username: 'alice', password: PASSWORD, ...form }, as, more),
    refresh: (text: string, as = 'app', more: Sending = {}) =>
      token({ grant_type: 'refresh_token', refresh_token: text }, as, more),
    redeem: (code: string, as: string, redirect: string, more: Sending = {}) =>
      token(
        { grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: VERIFIER },
        as,
        more,
      ),
    userinfo: (accessToken: string, more: Sending = {}) =>
      send('/oauth2/userinfo', { method: 'GET', accessToken, ...more }),
  }
}
