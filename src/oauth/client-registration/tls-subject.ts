/**
 * The entry of a certificate by which a client with `tls_client_auth` is known (RFC 8705 §2.1.2): which member of the metadata has it,
 * and which values can be registered. Pure; must not know certificates.
 */
import { isIP } from 'node:net'
import type { TlsSubject } from '../../store/contracts/clients.ts'
import { parseDistinguishedName } from '../mtls/distinguished-name.ts'
import { RegistrationError } from './registration-error.ts'

export const TLS_CLIENT_AUTH = 'tls_client_auth'
export const SELF_SIGNED = 'self_signed_tls_client_auth'

/** The member of the metadata for each entry. */
export const TLS_SUBJECT_MEMBERS = {
  subject_dn: 'tls_client_auth_subject_dn',
  san_dns: 'tls_client_auth_san_dns',
  san_uri: 'tls_client_auth_san_uri',
  san_ip: 'tls_client_auth_san_ip',
  san_email: 'tls_client_auth_san_email',
} as const satisfies Record<TlsSubject['kind'], string>

type Member = (typeof TLS_SUBJECT_MEMBERS)[TlsSubject['kind']]

const MAX_LENGTH = 1000
const VISIBLE_ASCII = /^[\x21-\x7E]+$/

/** For each entry: whether a certificate could have the value, and what it must be. */
const FORMS: Readonly<Record<TlsSubject['kind'], readonly [(value: string) => boolean, string]>> = {
  subject_dn: [
    (value) => parseDistinguishedName(value) !== null,
    'a distinguished name such as CN=shop,O=Example (RFC 4514), with the OIDs of unusual types',
  ],
  san_dns: [(value) => VISIBLE_ASCII.test(value) && !/[@:/]/.test(value), 'a DNS name'],
  san_uri: [
    (value) => VISIBLE_ASCII.test(value) && URL.canParse(value),
    'a URI such as spiffe://example.org/shop',
  ],
  san_ip: [(value) => isIP(value) !== 0, 'an IP address'],
  san_email: [(value) => VISIBLE_ASCII.test(value) && /^[^@]+@[^@]+$/.test(value), 'an email address'],
}

/** @throws {RegistrationError} */
export function checkTlsSubject({ kind, value }: TlsSubject): void {
  const [isPossible, what] = FORMS[kind]
  if (value.length > MAX_LENGTH || !isPossible(value)) {
    throw refuse(TLS_SUBJECT_MEMBERS[kind], `must be ${what}, of at most ${MAX_LENGTH} characters`)
  }
}

/**
 * The entry after a change. A member that is given replaces the one of before, whatever its kind, and null removes it.
 * @throws {RegistrationError} for two entries, because RFC 8705 §2.1.2 permits exactly one
 */
export function changedTlsSubject(
  current: TlsSubject | null,
  change: Readonly<Partial<Record<Member, string | null>>>,
): TlsSubject | null {
  const kinds = Object.keys(TLS_SUBJECT_MEMBERS) as readonly TlsSubject['kind'][]
  const given = kinds.flatMap((kind) => {
    const value = change[TLS_SUBJECT_MEMBERS[kind]] ?? null
    return value === null ? [] : [{ kind, value }]
  })
  const [first, second] = given
  if (second) {
    throw refuse(
      TLS_SUBJECT_MEMBERS[second.kind],
      `and ${TLS_SUBJECT_MEMBERS[first?.kind ?? second.kind]} cannot both be set (RFC 8705 §2.1.2)`,
    )
  }
  if (first) return first
  return current && change[TLS_SUBJECT_MEMBERS[current.kind]] === null ? null : current
}

const refuse = (member: Member, why: string): RegistrationError =>
  new RegistrationError(`${member} ${why}`, 'invalid_client_metadata', undefined, member)
