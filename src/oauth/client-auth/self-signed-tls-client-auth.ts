/**
 * RFC 8705 §2.2: the client presents a certificate that it has registered, in the `x5c` of a key. No authority has
 * issued it, so its chain is not checked.
 */
import { invalidClient } from '../errors.ts'
import { isValidAt } from '../mtls/presented-certificate.ts'
import { clientIdAlone } from './client-id-alone.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps } from './method.ts'

export function selfSignedTlsClientAuth({
  clientKeys,
  clock,
}: Pick<ClientAuthMethodDeps, 'clientKeys' | 'clock'>): ClientAuthMethod {
  return {
    findCredentials: clientIdAlone(async (client, { certificate }) => {
      if (!certificate) throw invalidClient({ detail: 'certificate_missing' })
      if (!isValidAt(certificate.certificate, clock.now()))
        throw invalidClient({ detail: 'certificate_expired' })
      if (!(await clientKeys.hasCertificate(client, certificate.certificate.raw.toString('base64'))))
        throw invalidClient({ detail: 'certificate_mismatch' })
      return true
    }),
  }
}
