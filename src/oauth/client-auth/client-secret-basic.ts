import { invalidClient } from '../errors.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps } from './method.ts'
import { secretText } from './secret.ts'

/**
 * RFC 6749 §2.3.1: HTTP Basic (RFC 7617) with form-urlencoded client id and secret. Many libraries encode neither. An id that a
 * form encodes differently must be encoded, because it is looked up; a secret is accepted in both ways (secret.ts).
 */
export function clientSecretBasic({ secrets }: Pick<ClientAuthMethodDeps, 'secrets'>): ClientAuthMethod {
  return {
    findCredentials({ authorization, ip }) {
      if (authorization === undefined) return null
      const { clientId, secret } = parseBasic(authorization)
      return {
        clientId,
        verify: (client) => secrets.verify(client.secrets, secret, clientId, ip),
        imitateVerify: () => secrets.verify([], secret, clientId, ip),
      }
    },
  }
}

/** Accepts only canonical base64, because decoders differ in how they read any other. */
function parseBasic(header: string): { clientId: string; secret: string } {
  const [, base64] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header) ?? []
  if (!base64) throw malformed('Authorization is not Basic')
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.toString('base64') !== base64) throw malformed('Basic credentials are not base64')
  const text = bytes.toString('latin1')
  const colon = text.indexOf(':')
  if (colon < 1) throw malformed('Basic credentials without a username or a colon')
  return { clientId: formDecode(text.slice(0, colon)), secret: secretText(bytes.subarray(colon + 1)) }
}

/** RFC 6749 Appendix B: `+` is a space, and everything beyond ASCII is percent-encoded UTF-8. */
function formDecode(text: string): string {
  if (/[^\x20-\x7E]/.test(text)) throw malformed('Basic credentials with raw octets beyond ASCII')
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed('Basic credentials are not form-urlencoded')
  }
}

const malformed = (cause: string) => invalidClient({ detail: 'malformed_credentials', cause })
