/** Takes from a request of Node's `http`, `https` or `http2` what the verifier needs. */
import type { BlockList } from 'node:net'
import { proofOf, type Scheme, schemeOf, tokenOf } from './authorization-header.ts'
import { type Certificate, clientCertOf } from './certificate.ts'
import { VerifyError } from './errors.ts'
import { requestUrls, type UrlRules } from './request-url.ts'
import type { SenderProof } from './sender-check.ts'

/** A request as Node's `http` module has it. An Express request is one; Fastify has it as `request.raw`. */
export interface NodeRequest {
  readonly headers: {
    readonly authorization?: string | undefined
    readonly host?: string | undefined
    readonly [name: string]: unknown
  }
  /** Alternating names and values. */
  readonly rawHeaders?: readonly string[]
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** The URL before a router has removed the start of its path: Express. */
  readonly originalUrl?: string | undefined
  readonly socket?: SocketShape | undefined
}

interface SocketShape {
  readonly remoteAddress?: string | undefined
  readonly encrypted?: boolean
  /** A TLS socket has it. */
  getPeerCertificate?(): Certificate
}

export interface RequestRules extends UrlRules {
  readonly trustedProxies: BlockList
}

/** Returns the token of a Node request, and what proves that its sender may use it. @throws {VerifyError} */
export function nodeCredentials(
  request: NodeRequest,
  rules: RequestRules,
): { readonly token: string; readonly sender: SenderProof } {
  const { headers, method = '' } = request
  assertOneAuthorization(request)
  const token = tokenOf(headers.authorization)
  const certificate = () => certificateOf(request, rules)
  // RFC 9449 §7.2: a proof beside the scheme Bearer does not make the token one of the scheme DPoP.
  if (schemeOf(headers.authorization) === 'Bearer') return { token, sender: { certificate } }
  const proof = proofOf(textOf(headers.dpop))
  return { token, sender: { certificate, proof, method, url: urlsOf(request, rules) } }
}

export const schemeOfRequest = ({ headers }: NodeRequest): Scheme => schemeOf(headers.authorization)

function assertOneAuthorization({ rawHeaders = [] }: NodeRequest): void {
  // Node keeps the first of two Authorization headers; a proxy in front of it may have checked the second.
  const names = rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 'authorization'.length)
  if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1) {
    throw new VerifyError('bad_request', 'the Authorization header is repeated')
  }
}

function urlsOf({ headers, url, originalUrl, socket }: NodeRequest, rules: UrlRules): string[] {
  const target = originalUrl ?? url ?? '/'
  // RFC 9112 §3.2.2: a target can be a whole URL. Only its path is used, because the rest is as little trustworthy as Host.
  const path = target.startsWith('/') ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, '')
  return requestUrls(
    {
      path,
      // HTTP/2 has the pseudo-header in place of Host (RFC 9113 §8.3.1).
      host: headers.host ?? textOf(headers[':authority']),
      secure: socket?.encrypted === true,
      peer: socket?.remoteAddress,
      header: (name) => headers[name],
    },
    rules,
  )
}

/** The connection of a trusted proxy is the proxy's, and so is its certificate; the client's is in `Client-Cert` (RFC 9440 §2.1). */
function certificateOf(
  { headers, socket }: NodeRequest,
  { trustedProxies }: RequestRules,
): Certificate | undefined {
  const peer = socket?.remoteAddress
  if (peer !== undefined && trustedProxies.check(peer, peer.includes(':') ? 'ipv6' : 'ipv4')) {
    return clientCertOf(textOf(headers['client-cert']))
  }
  return socket?.getPeerCertificate?.()
}

/** A name that Node does not know is joined with commas if it is repeated; a list comes only from other servers. */
function textOf(header: unknown): string | undefined {
  return Array.isArray(header) ? header.join(', ') : (header as string | undefined)
}
