import { invalidClient } from '../errors.ts'
import type { ClientAuthMethod } from './method.ts'
import type { SecretVerifier } from './secret.ts'

/** RFC 6749 §2.3.1: HTTP Basic (RFC 7617), user name and password form-urlencoded first. */
export function clientSecretBasic(secrets: SecretVerifier): ClientAuthMethod {
  return {
    name: 'client_secret_basic',
    present({ authorization, ip }) {
      if (authorization === undefined) return undefined
      const { clientId, secret } = parseBasic(authorization)
      return { clientId, verify: (client) => secrets.verify(client.secretHash, secret, clientId, ip) }
    },
  }
}

function parseBasic(header: string): { clientId: string; secret: string } {
  const [, base64] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header) ?? []
  if (!base64) throw invalidClient('Authorization is not Basic')
  const text = Buffer.from(base64, 'base64').toString('latin1')
  const colon = text.indexOf(':')
  if (colon < 1) throw invalidClient('Basic credentials without a user name or a colon')
  return { clientId: formDecode(text.slice(0, colon)), secret: formDecode(text.slice(colon + 1)) }
}

/** RFC 6749 Appendix B: `+` is a space, everything beyond ASCII is percent-encoded UTF-8. */
function formDecode(text: string): string {
  try {
    if (/[^\x20-\x7E]/.test(text)) throw new Error('raw octets beyond ASCII')
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw invalidClient(error)
  }
}
