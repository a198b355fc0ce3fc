/** What a browser sends back, read as far as the library takes its form for granted. */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'

/** WebAuthn §5.8.4; a browser may say anything, and it is kept. */
export const TRANSPORTS = ['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'] as const

/** A registration without attestation has about one kilobyte. */
const MAX_JSON_LENGTH = 16_384
/** A credential id has 1023 bytes at most (§4). */
const MAX_ID_LENGTH = 1364

export async function parseRegistration(json: string): Promise<RegistrationResponseJSON | null> {
  const parsed = parse(json, ['clientDataJSON', 'attestationObject'])
  if (!parsed || !optionalList(parsed.response.transports)) return null
  const response = parsed as unknown as RegistrationResponseJSON
  return (await isOwnAttestation(response)) ? response : null
}

export function parseAuthentication(json: string): AuthenticationResponseJSON | null {
  const parsed = parse(json, ['clientDataJSON', 'authenticatorData', 'signature'])
  if (!parsed) return null
  const { userHandle } = parsed.response
  // Browsers say null for what there is not.
  const response = { ...parsed.response, userHandle: userHandle ?? undefined }
  if (response.userHandle !== undefined && typeof response.userHandle !== 'string') return null
  return { ...parsed, response } as unknown as AuthenticationResponseJSON
}

type Fields = Readonly<Record<string, unknown>>

function parse(json: string, texts: readonly string[]): { id: string; response: Fields } | null {
  if (json.length > MAX_JSON_LENGTH) return null
  const { id, response, ...rest } = fieldsOf(json)
  if (typeof id !== 'string' || id.length > MAX_ID_LENGTH || !isFields(response)) return null
  if (!texts.every((name) => typeof response[name] === 'string')) return null
  return isOnOwnPage(String(response.clientDataJSON)) ? { ...rest, id, response } : null
}

/** Our pages are never framed, so what was made in somebody's frame was not made on one (§5.8.1). */
function isOnOwnPage(clientDataJSON: string): boolean {
  return fieldsOf(Buffer.from(clientDataJSON, 'base64url').toString()).crossOrigin !== true
}

/**
 * We ask for no attestation, so a browser sends none, or one that the new key signed itself (§5.1.3). Certificates
 * are refused unread: the library would follow the addresses in them, and they are whatever somebody wrote there.
 */
async function isOwnAttestation({ response }: RegistrationResponseJSON): Promise<boolean> {
  const { decodeAttestationObject, isoBase64URL } = await import('@simplewebauthn/server/helpers')
  try {
    const attestation = decodeAttestationObject(isoBase64URL.toBuffer(response.attestationObject))
    const format = attestation.get('fmt')
    if (format !== 'none' && format !== 'packed') return false
    return attestation.get('attStmt').get('x5c') === undefined
  } catch {
    return false
  }
}

function fieldsOf(json: string): Fields {
  try {
    const value: unknown = JSON.parse(json)
    return isFields(value) ? value : {}
  } catch {
    return {}
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function optionalList(value: unknown): boolean {
  return value === undefined || Array.isArray(value)
}
