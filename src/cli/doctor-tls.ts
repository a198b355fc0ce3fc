/** Checks the certificate with which the server speaks TLS. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Config } from '../config/load.ts'
import { readTlsFiles } from '../http/tls/files.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import { span, time } from './output.ts'

/** Automatic renewal happens earlier than this, whether a certificate is valid for hours or for months. */
const expiresSoon = (lifetime: Seconds): Seconds => Math.min(7 * 86_400, lifetime / 10)

/** @throws {ConfigError} if the files cannot be used */
export function checkTls(
  { issuer, tlsCertFile, tlsKeyFile }: Pick<Config, 'issuer' | 'tlsCertFile' | 'tlsKeyFile'>,
  now: EpochSeconds,
): readonly [string] {
  const { cert } = readTlsFiles(tlsCertFile ?? '', tlsKeyFile ?? '')
  const certificate = new X509Certificate(cert as string)
  const { hostname } = new URL(issuer)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const expiresAt = Math.floor(certificate.validToDate.getTime() / 1000)
  const startsAt = Math.floor(certificate.validFromDate.getTime() / 1000)
  if (now < startsAt) throw new Error(`${tlsCertFile} is not valid before ${time(startsAt)}`)
  if (now >= expiresAt) throw new Error(`${tlsCertFile} expired at ${time(expiresAt)}: renew it`)
  if (!(isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)))
    throw new Error(`${tlsCertFile} is not for ${host}, the host of the issuer`)
  if (expiresAt - now < expiresSoon(expiresAt - startsAt))
    throw new Error(`${tlsCertFile} expires in ${span(expiresAt - now)}, at ${time(expiresAt)}: renew it`)
  return [`the certificate is for ${host}, and valid until ${time(expiresAt)}`]
}
