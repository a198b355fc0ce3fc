/**
 * Finds the certificate that a client has presented. The port that asks for certificates has it in the handshake of TLS. At all other
 * ports a trusted proxy may pass it on in `Client-Cert` (RFC 9440). No port reads both, so that a client cannot replace one by the other.
 */
import type { IncomingMessage } from 'node:http'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { invalidRequest } from '../../oauth/errors.ts'
import {
  MAX_CERTIFICATE_BYTES,
  MAX_OTHERS,
  type PresentedCertificate,
  presentedCertificate,
} from '../../oauth/mtls/presented-certificate.ts'
import { fieldsOf } from '../header-fields.ts'
import type { IsTrustedProxy } from '../trusted-proxies.ts'

/** null if the client has presented none. @throws {OAuthError} invalid_request if what was presented cannot be read */
export type ClientCertificateOf = (request: IncomingMessage) => PresentedCertificate | null

/** The certificate of the handshake, which stays the same for the whole connection, because renegotiation is off. */
export function certificateOfConnection(): ClientCertificateOf {
  const read = new WeakMap<TLSSocket, PresentedCertificate | null | 'unreadable'>()
  return ({ socket }) => {
    const secure = socket as TLSSocket
    let found = read.get(secure)
    if (found === undefined) {
      const [der, ...others] = chainOf(secure)
      found = der ? (presentedCertificate(der, others, false) ?? 'unreadable') : null
      read.set(secure, found)
    }
    if (found === 'unreadable') throw malformed('the client certificate')
    return found
  }
}

/** What the client sent, in DER: its certificate first. */
function chainOf(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = []
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  // A root is its own issuer.
  while (next?.raw && !chain.some((der) => der.equals(next?.raw as Buffer)) && chain.length <= MAX_OTHERS) {
    chain.push(next.raw)
    next = next.issuerCertificate
  }
  return chain
}

const CLIENT_CERT = 'client-cert'
const CLIENT_CERT_CHAIN = 'client-cert-chain'

/** RFC 9651 §3.3.5: a byte sequence. */
const BYTE_SEQUENCE = /^:([A-Za-z0-9+/]+={0,2}):$/
const MAX_FIELD_LENGTH = 2 + 4 * Math.ceil(MAX_CERTIFICATE_BYTES / 3)
const MAX_CHAIN_LENGTH = 16_384

/**
 * RFC 9440 §2. Only what a trusted proxy sends is read: anyone can write the header fields of their own request, so §4 requires the
 * proxy to remove those that a client sent.
 */
export function certificateFromProxy(isTrustedProxy: IsTrustedProxy): ClientCertificateOf {
  return (request) => {
    const { headers, socket } = request
    if (headers[CLIENT_CERT] === undefined && headers[CLIENT_CERT_CHAIN] === undefined) return null
    if (!isTrustedProxy(socket.remoteAddress ?? '', 0)) return null
    const [field, ...more] = fieldsOf(request, CLIENT_CERT)
    // A second field would be one that the client sent and that the proxy did not remove.
    if (field === undefined || more.length > 0) throw malformed('Client-Cert')
    const der = readByteSequence(field.trim())
    const others = readChain(headers[CLIENT_CERT_CHAIN])
    const found = der && others ? presentedCertificate(der, others, true) : null
    if (!found) throw malformed(der ? 'Client-Cert or Client-Cert-Chain' : 'Client-Cert')
    return found
  }
}

/** RFC 9440 §2.3: a list, which may be spread over several header fields, which Node.js joins. null if it cannot be read. */
function readChain(field: string | readonly string[] | undefined): Buffer[] | null {
  if (field === undefined) return []
  const text = String(field)
  if (text.length > MAX_CHAIN_LENGTH) return null
  const items = text.split(',', MAX_OTHERS + 1).map((item) => readByteSequence(item.trim()))
  return items.includes(null) ? null : items.filter((item) => item !== null)
}

function readByteSequence(text: string): Buffer | null {
  if (text.length > MAX_FIELD_LENGTH) return null
  const [, base64] = BYTE_SEQUENCE.exec(text) ?? []
  if (base64 === undefined) return null
  const bytes = Buffer.from(base64, 'base64')
  // Decoders differ in how they read base64 that is not canonical.
  return bytes.toString('base64') === base64 ? bytes : null
}

const malformed = (what: string) => invalidRequest(`${what} cannot be read`)
