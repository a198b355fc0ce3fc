/**
 * The logo of a client (RFC 7591 §2, `logo_uri`). It is fetched once, when it is registered, and kept in the store: the consent page
 * shows it from the issuer's own origin, so no other server learns who signs in, and the image cannot be exchanged later (RFC 7591
 * §5). Must not know who registers a client.
 */
import { createHash } from 'node:crypto'
import { pixelImageType } from '../../image-type.ts'
import type { ClientLogo } from '../../store/contracts/client-logos.ts'
import { callClient, readBody } from '../call-client.ts'
import { checkOutboundUri } from '../outbound-uri.ts'
import { RegistrationError } from './registration-error.ts'

const LOGO_LIMITS = { milliseconds: 5000, bytes: 102_400 } as const

export type NewLogo = Omit<ClientLogo, 'createdAt'>

/**
 * @param mayKnowWhy whether the error may say what the address answered. Only an operator on the host may know: others could find out
 *   what answers in the server's network, which they do not reach themselves (CWE-918).
 * @throws {RegistrationError} unless the address leads to an image within the limits
 */
export async function fetchLogo(uri: string, mayKnowWhy: boolean): Promise<NewLogo> {
  const { milliseconds, bytes } = LOGO_LIMITS
  checkOutboundUri(uri, 'logo URI')
  const refuse = (why: string, cause?: unknown) => {
    const kilobytes = bytes / 1024
    const message = mayKnowWhy ? why : `must lead to a PNG, JPEG or WebP image of at most ${kilobytes} KB`
    return new RegistrationError(`logo URI ${message}`, 'invalid_client_metadata', cause)
  }
  let response: Response
  let body: Buffer | null
  try {
    response = await callClient(uri, {
      milliseconds,
      headers: { accept: 'image/png, image/jpeg, image/webp' },
    })
    body = response.status === 200 ? await readBody(response, bytes) : Buffer.alloc(0)
  } catch (error) {
    throw refuse(`could not be fetched: ${reasonOf(error)}`, error)
  }
  if (response.status !== 200) {
    await response.body?.cancel().catch(() => {})
    throw refuse(`returned the status ${response.status}, and not 200 with the image`)
  }
  if (body === null) throw refuse(`returned more than ${bytes / 1024} KB`)
  const contentType = pixelImageType(body)
  // An SVG image can contain scripts and refer to other servers.
  if (contentType === null) throw refuse('must return a PNG, JPEG or WebP image')
  return { hash: createHash('sha256').update(body).digest('base64url'), contentType, body }
}

/** `fetch` hides the reason in the cause. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error
  if (name === 'TimeoutError') return 'no answer in time'
  const { code, message: reason } = (cause ?? {}) as { code?: string; message?: string }
  return reason || code || message
}
