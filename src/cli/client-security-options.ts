/** The options of `clients create` and `clients update` about signatures, and about tokens that are bound to a key. */
import { type Command, Option } from 'commander'
import type { ClientChangeView } from '../admin/clients.schema.ts'
import { ALGORITHM_NAMES } from '../algorithm-names.ts'

export interface SecurityOptions {
  readonly requireDpop?: boolean
  readonly requireMtlsBound?: boolean
  readonly tlsSubjectDn?: string
  readonly tlsSanDns?: string
  readonly tlsSanUri?: string
  readonly tlsSanIp?: string
  readonly tlsSanEmail?: string
  /** false restores the default, here and below. */
  readonly idTokenSigningAlg?: string | false
  readonly authorizationSignedResponseAlg?: string | false
  readonly introspectionSignedResponseAlg?: string | false
  readonly profile?: 'fapi2' | false
}

/** The options with a value, and the member of the request for each. */
export const SECURITY_VALUES = {
  tlsSubjectDn: 'tls_client_auth_subject_dn',
  tlsSanDns: 'tls_client_auth_san_dns',
  tlsSanUri: 'tls_client_auth_san_uri',
  tlsSanIp: 'tls_client_auth_san_ip',
  tlsSanEmail: 'tls_client_auth_san_email',
  idTokenSigningAlg: 'id_token_signed_response_alg',
  authorizationSignedResponseAlg: 'authorization_signed_response_alg',
  introspectionSignedResponseAlg: 'introspection_signed_response_alg',
  profile: 'profile',
} as const satisfies Partial<Record<keyof SecurityOptions, keyof ClientChangeView>>

/** Each kind of subject, and what its value is. A client has one (RFC 8705 §2.1.2). */
const TLS_SUBJECTS = [
  ['subject-dn', 'dn', 'the subject of the client certificate, such as CN=shop,O=Example'],
  ['san-dns', 'name', 'a DNS name in the client certificate'],
  ['san-uri', 'uri', 'a URI in the client certificate, such as spiffe://example.org/shop'],
  ['san-ip', 'address', 'an IP address in the client certificate'],
  ['san-email', 'email', 'an email address in the client certificate'],
] as const

const camelCase = (name: string): string =>
  name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

const SIGNED = [
  ['id-token-signing-alg', 'ID and logout tokens'],
  ['authorization-signed-response-alg', 'authorization responses with response_mode=jwt'],
  ['introspection-signed-response-alg', 'signed introspection responses'],
] as const

/** The option for an algorithm of the ring. */
export const algorithmOption = (name: string, what: string): Option =>
  new Option(`--${name} <alg>`, `algorithm that signs ${what} (default: that of the ring)`).choices(
    ALGORITHM_NAMES,
  )

export function securityOptions(command: Command): Command {
  command
    .option('--require-dpop', 'require a DPoP proof with every token request (RFC 9449)')
    .option('--require-mtls-bound', 'require a client certificate with every token request (RFC 8705)')
  for (const [name, value, what] of TLS_SUBJECTS) {
    const others = TLS_SUBJECTS.flatMap(([other]) => (other === name ? [] : [camelCase(`tls-${other}`)]))
    command.addOption(
      new Option(`--tls-${name} <${value}>`, `for tls_client_auth: ${what}`).conflicts(others),
    )
  }
  for (const [name, what] of SIGNED) command.addOption(algorithmOption(name, what))
  return command.addOption(
    new Option('--profile <profile>', 'set and enforce what the FAPI 2.0 Security Profile requires').choices([
      'fapi2',
    ]),
  )
}

export function securityResetOptions(command: Command): Command {
  command
    .option('--no-require-dpop', 'no longer require DPoP proofs')
    .option('--no-require-mtls-bound', 'no longer require client certificates')
  for (const [name, what] of SIGNED)
    command.option(`--no-${name}`, `sign ${what} with the algorithm of the ring`)
  return command.option('--no-profile', 'no longer enforce a profile; what it has set stays')
}
