/** Parses a browser's WebAuthn response and checks what the library assumes about its form. */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'

/** WebAuthn §5.8.4. Values from the browser are stored, so only these are accepted. */
export const TRANSPORTS = ['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'] as const

/** A registration without attestation is about one kilobyte. */
const MAX_JSON_LENGTH = 16_384
/** A credential id has at most 1023 bytes (WebAuthn §4). */
const MAX_ID_LENGTH = 1364

export async function parseRegistration(json: string): Promise<RegistrationResponseJSON | null> {
  const parsed = parse(json, ['clientDataJSON', 'attestationObject'])
  if (!parsed || !isOptionalList(parsed.response.transports)) return null
  const response = parsed as unknown as RegistrationResponseJSON
  return (await isNoneOrSelfAttestation(response)) ? response : null
}

export function parseAuthentication(json: string): AuthenticationResponseJSON | null {
  const parsed = parse(json, ['clientDataJSON', 'authenticatorData', 'signature'])
  if (!parsed) return null
  const { userHandle } = parsed.response
  // Browsers send null if there is no user handle.
  const response = { ...parsed.response, userHandle: userHandle ?? undefined }
  if (response.userHandle !== undefined && typeof response.userHandle !== 'string') return null
  return { ...parsed, response } as unknown as AuthenticationResponseJSON
}

type Fields = Readonly<Record<string, unknown>>

function parse(json: string, stringFields: readonly string[]): { id: string; response: Fields } | null {
  if (json.length > MAX_JSON_LENGTH) return null
  const { id, response, ...rest } = fieldsOf(json)
  if (typeof id !== 'string' || id.length > MAX_ID_LENGTH || !isFields(response)) return null
  if (!stringFields.every((name) => typeof response[name] === 'string')) return null
  return isSameOrigin(String(response.clientDataJSON)) ? { ...rest, id, response } : null
}

/** Keyturn's pages are never framed, so a response from a cross-origin frame did not come from one of them (WebAuthn §5.8.1). */
function isSameOrigin(clientDataJSON: string): boolean {
  return fieldsOf(Buffer.from(clientDataJSON, 'base64url').toString()).crossOrigin !== true
}

/**
 * Keyturn requests no attestation, so a browser sends none or a self attestation (WebAuthn §5.1.3). Certificates are refused
 * before they are parsed: the library would fetch URLs in them, which an attacker can choose.
 */
async function isNoneOrSelfAttestation({ response }: RegistrationResponseJSON): Promise<boolean> {
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

function isOptionalList(value: unknown): boolean {
  return value === undefined || Array.isArray(value)
}
