/** The authorities of KEYTURN_TLS_CLIENT_CA_FILE, which issue the certificates of clients with `tls_client_auth`. */
import { X509Certificate } from 'node:crypto'
import { type Config, ConfigError } from '../../config/load.ts'
import { reloadedFiles } from '../../reloaded-files.ts'
import type { Logger } from '../../system.ts'
import { readText, whyUnreadable } from '../../text.ts'

/** As the file has them now. */
export type ClientAuthorities = () => Promise<readonly X509Certificate[]>

/** null without the setting. @throws {ConfigError} if the file cannot be used */
export async function openClientAuthorities(
  { tlsClientCaFile: file }: Pick<Config, 'tlsClientCaFile'>,
  logger: Pick<Logger, 'info' | 'error'>,
): Promise<ClientAuthorities | null> {
  if (file === null) return null
  const reloaded = await reloadedFiles({
    files: [file],
    load: () => readAuthorities(file),
    onLoaded: ({ length }) =>
      logger.info({ file, certificates: length }, 'loaded new authorities of clients'),
    onBroken: (error) =>
      logger.error(
        { file, problem: (error as Error).message },
        'the new authorities of clients cannot be used: those before stay in use',
      ),
  })
  return async () => {
    await reloaded.check()
    return reloaded.current()
  }
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** @throws {ConfigError} */
function readAuthorities(file: string): readonly X509Certificate[] {
  const refuse = (why: string) => new ConfigError([`KEYTURN_TLS_CLIENT_CA_FILE ${why}`])
  let text: string
  try {
    text = readText(file)
  } catch (error) {
    throw refuse(whyUnreadable(error))
  }
  const certificates = (text.match(PEM) ?? []).map((pem) => {
    try {
      return new X509Certificate(pem)
    } catch {
      throw refuse('has a certificate that cannot be read')
    }
  })
  if (certificates.length === 0) throw refuse('has no certificate in PEM')
  const other = certificates.find(({ ca }) => !ca)
  if (other)
    throw refuse(`has a certificate that is not of an authority: ${other.subject.replaceAll('\n', ', ')}`)
  return certificates
}
