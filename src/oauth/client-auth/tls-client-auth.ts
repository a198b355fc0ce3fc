/** RFC 8705 §2.1: the client presents a certificate that an authority has issued for its registered subject. */
import { invalidClient } from '../errors.ts'
import { isValidAt, type PresentedCertificate } from '../mtls/presented-certificate.ts'
import { clientIdAlone } from './client-id-alone.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps } from './method.ts'

type Deps = Pick<ClientAuthMethodDeps, 'clientAuthorities' | 'clock'>

export function tlsClientAuth({ clientAuthorities, clock }: Deps): ClientAuthMethod {
  return {
    findCredentials: clientIdAlone(async ({ tlsSubject }, { certificate }) => {
      if (!certificate) throw invalidClient({ detail: 'certificate_missing' })
      const now = clock.now()
      if (!isValidAt(certificate.certificate, now)) throw invalidClient({ detail: 'certificate_expired' })
      // Loaded here, because the parser of certificates needs memory that most servers save.
      const { isIssuedBy, partsOf } = await import('../mtls/chain.ts')
      const { hasSubject } = await import('../mtls/registered-subject.ts')
      const authorities = await trusted(certificate)
      if (authorities && !isIssuedBy(authorities, certificate, now))
        throw invalidClient({ detail: 'certificate_untrusted' })
      const parts = partsOf(certificate.certificate)
      if (!parts || !tlsSubject || !hasSubject(tlsSubject, parts))
        throw invalidClient({ detail: 'certificate_mismatch' })
      return true
    }),
  }

  /** null if the chain was checked by the proxy that passed the certificate on, because the operator has named no authorities. */
  async function trusted({ fromProxy }: PresentedCertificate) {
    if (clientAuthorities) return clientAuthorities()
    return fromProxy ? null : []
  }
}
