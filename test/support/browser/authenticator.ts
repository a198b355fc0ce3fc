/**
 * An authenticator in software with its browser: real keys, real CBOR, real signatures (WebAuthn §6). A test can
 * falsify everything that an attacker could.
 */
import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto'

type Cbor = number | string | Buffer | Map<number | string, Cbor>

/** RFC 8949, as far as WebAuthn needs it. */
export function cbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, item]) => [cbor(key), cbor(item)])])
}

function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length])
  if (length < 256) return Buffer.from([(major << 5) | 24, length])
  return Buffer.from([(major << 5) | 25, length >> 8, length & 255])
}

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest()
const b64 = (data: Buffer) => data.toString('base64url')

/** What is signed or sent instead of what an honest device would. */
export interface Overrides {
  readonly origin?: string
  readonly rpId?: string
  readonly challenge?: string
  readonly type?: string
  readonly counter?: number
  readonly userVerified?: boolean
  readonly userPresent?: boolean
  readonly userHandle?: string | null
  readonly crossOrigin?: boolean
  readonly attestation?: { readonly fmt: string; readonly attStmt: Map<string, Cbor> }
  /** The new key attests itself (WebAuthn §8.2), as some authenticators do although they are not asked to. */
  readonly selfAttested?: boolean
}

export interface Authenticator {
  readonly id: string
  /** The browser's answer to creation options, as JSON. */
  create(
    options: { readonly challenge: string; readonly user: { readonly id: string } },
    overrides?: Overrides,
  ): string
  /** The browser’s answer to request options. */
  get(options: { readonly challenge: string }, overrides?: Overrides): string
}

export interface AuthenticatorOptions {
  readonly origin: string
  readonly rpId: string
  /** Stays at zero, as with synchronised passkeys. */
  readonly counts?: boolean
  readonly backedUp?: boolean
}

const [UP, UV, BE, BS, AT] = [0x01, 0x04, 0x08, 0x10, 0x40]

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const coordinate = (text: string) => Buffer.from(text, 'base64url')
  const cose = cbor(
    new Map<number, Cbor>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, coordinate(x)],
      [-3, coordinate(y)],
    ]),
  )
  const id = randomBytes(32)
  const sign = (data: Buffer) => createSign('sha256').update(data).sign(privateKey)
  let counter = 0
  let handle: string | undefined

  function clientData(type: string, challenge: string, overrides: Overrides): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: overrides.type ?? type,
        challenge: overrides.challenge ?? challenge,
        origin: overrides.origin ?? options.origin,
        crossOrigin: overrides.crossOrigin ?? false,
      }),
    )
  }

  function authenticatorData(overrides: Overrides, attested?: Buffer): Buffer {
    counter += options.counts === false ? 0 : 1
    const flags =
      ((overrides.userPresent ?? true) ? UP : 0) |
      ((overrides.userVerified ?? true) ? UV : 0) |
      (options.backedUp ? BE | BS : 0) |
      (attested ? AT : 0)
    const tail = Buffer.alloc(5)
    tail.writeUInt8(flags, 0)
    tail.writeUInt32BE(overrides.counter ?? counter, 1)
    return Buffer.concat([sha256(overrides.rpId ?? options.rpId), tail, attested ?? Buffer.alloc(0)])
  }

  return {
    id: b64(id),

    create({ challenge, user }, overrides = {}) {
      handle = user.id
      const client = clientData('webauthn.create', challenge, overrides)
      const length = Buffer.from([id.length >> 8, id.length & 255])
      const authData = authenticatorData(overrides, Buffer.concat([Buffer.alloc(16), length, id, cose]))
      const none = { fmt: 'none', attStmt: new Map<string, Cbor>() }
      const self = () => {
        const sig = sign(Buffer.concat([authData, sha256(client)]))
        const statement: [string, Cbor][] = [
          ['alg', -7],
          ['sig', sig],
        ]
        return { fmt: 'packed', attStmt: new Map(statement) }
      }
      const { fmt, attStmt } = overrides.attestation ?? (overrides.selfAttested ? self() : none)
      const attestationObject = cbor(
        new Map<string, Cbor>([
          ['fmt', fmt],
          ['attStmt', attStmt],
          ['authData', authData],
        ]),
      )
      return JSON.stringify({
        id: b64(id),
        rawId: b64(id),
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: b64(client),
          attestationObject: b64(attestationObject),
          transports: ['internal', 'telepathy'],
        },
      })
    },

    get({ challenge }, overrides = {}) {
      const client = clientData('webauthn.get', challenge, overrides)
      const authData = authenticatorData(overrides)
      const signature = sign(Buffer.concat([authData, sha256(client)]))
      const userHandle = overrides.userHandle === undefined ? handle : overrides.userHandle
      return JSON.stringify({
        id: b64(id),
        rawId: b64(id),
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: b64(client),
          authenticatorData: b64(authData),
          signature: b64(signature),
          userHandle,
        },
      })
    },
  }
}
