/** Looks for secrets in raw bytes, as `strings` and a hex editor would. */
import { createPrivateKey } from 'node:crypto'

/** The same text or bytes as it might be stored: itself, and what encodings make of it. */
export function spellings(secret: string | Buffer): Buffer[] {
  const bytes = Buffer.from(secret as Buffer)
  const encodings = ['base64', 'base64url', 'hex'] as const
  const texts = encodings.map((encoding) => bytes.toString(encoding).replace(/=+$/, ''))
  const wide = typeof secret === 'string' ? [Buffer.from(secret, 'utf16le')] : []
  return [bytes, ...texts.map((text) => Buffer.from(text)), ...wide]
}

/** Names of those secrets of which anything is found. */
export function leaked(haystack: Buffer, secrets: Readonly<Record<string, string | Buffer>>): string[] {
  return Object.entries(secrets)
    .filter(([, secret]) => spellings(secret).some((spelling) => haystack.includes(spelling)))
    .map(([name]) => name)
}

/** What makes a private key private: each line of its PEM, and each private member of its JWK, text and bytes. */
export function privateParts(pem: string): Record<string, string | Buffer> {
  const parts: Record<string, string | Buffer> = {}
  for (const [i, line] of pem.trim().split('\n').entries()) parts[`PEM line ${i}`] = line
  const jwk = createPrivateKey(pem).export({ format: 'jwk' }) as Record<string, string>
  for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
    const value = jwk[member]
    if (value === undefined) continue
    parts[`JWK ${member}`] = value
    parts[`JWK ${member}, bytes`] = Buffer.from(value, 'base64url')
  }
  return parts
}
