/**
 * The certificate and the private key of this server. When the files change, new connections get the new certificate, and open ones
 * continue. Must not know Fastify.
 */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContextOptions, type Server } from 'node:tls'
import { type Config, ConfigError } from '../../config/load.ts'
import { reloadedFiles } from '../../reloaded-files.ts'
import { exposedMessage, readSecretFile } from '../../secret-file.ts'
import type { Logger } from '../../system.ts'
import { readText, whyUnreadable } from '../../text.ts'

/**
 * RFC 9325 §3.1.1: TLS 1.2 and 1.3. §4.2: of TLS 1.2, only the four cipher suites that it recommends; those of TLS 1.3 are all good.
 * §3.5: no renegotiation, in which a client could change its certificate within a connection.
 */
const PROTOCOL: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
  ].join(':'),
  // Without tickets there is no resumption. A resumed session has the client's certificate, but not its intermediates.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
  // Client certificates are not checked in the handshake: a self-signed one must reach the handler (RFC 8705 §2.2), and one that a proxy
  // passes on is checked by the same rules. Because the list is empty, clients may also choose any certificate that they have.
  ca: [],
}

const CHECK_INTERVAL_MS = 1000

export interface TlsFiles {
  /** The options of a new listener. */
  options(): SecureContextOptions
  /** Gives a listener each later certificate. */
  renew(listener: Pick<Server, 'setSecureContext'>): void
  stop(): void
}

/** null without the settings. @throws {ConfigError} if the files cannot be used */
export async function openTlsFiles(
  { tlsCertFile, tlsKeyFile }: Pick<Config, 'tlsCertFile' | 'tlsKeyFile'>,
  logger: Pick<Logger, 'info' | 'error'>,
  intervalMs = CHECK_INTERVAL_MS,
): Promise<TlsFiles | null> {
  if (tlsCertFile === null || tlsKeyFile === null) return null
  const listeners: Pick<Server, 'setSecureContext'>[] = []
  const reloaded = await reloadedFiles({
    files: [tlsCertFile, tlsKeyFile],
    load: () => readTlsFiles(tlsCertFile, tlsKeyFile),
    onLoaded(options) {
      for (const listener of listeners) listener.setSecureContext(options)
      logger.info({ file: tlsCertFile }, 'loaded a new TLS certificate')
    },
    onBroken: (error) =>
      logger.error(
        { file: tlsCertFile, problem: (error as Error).message },
        'the new TLS certificate cannot be used: the one before stays in use',
      ),
  })
  const timer = setInterval(() => reloaded.check(), intervalMs).unref()
  return {
    options: reloaded.current,
    renew: (listener) => listeners.push(listener),
    stop: () => clearInterval(timer),
  }
}

/** @throws {ConfigError} */
export function readTlsFiles(certFile: string, keyFile: string): SecureContextOptions {
  const options = { ...PROTOCOL, cert: readCertificate(certFile), key: readPrivateKey(keyFile) }
  try {
    createSecureContext(options)
  } catch (error) {
    throw new ConfigError([
      `KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE are no certificate with its key: ${(error as Error).message}`,
    ])
  }
  return options
}

function readCertificate(file: string): string {
  try {
    return readText(file)
  } catch (error) {
    throw new ConfigError([`KEYTURN_TLS_CERT_FILE ${whyUnreadable(error)}`])
  }
}

function readPrivateKey(file: string): string {
  let read: ReturnType<typeof readSecretFile>
  try {
    read = readSecretFile(file)
  } catch (error) {
    throw new ConfigError([`KEYTURN_TLS_KEY_FILE ${whyUnreadable(error)}`])
  }
  if (read.exposed) throw new ConfigError([`KEYTURN_TLS_KEY_FILE: ${exposedMessage(file)}`])
  return read.text
}
