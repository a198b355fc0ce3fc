import type { ClientAuthMethod } from './method.ts'

/** A public client sends only its id (RFC 6749 §2.1, §3.2.1; RFC 7591 §2, `none`). */
export function none(): ClientAuthMethod {
  return {
    findCredentials({ parameters, authorization }) {
      const clientId = parameters.get('client_id')
      const hasProof = ['client_secret', 'client_assertion', 'client_assertion_type'].some(
        (name) => parameters.get(name) !== undefined,
      )
      if (clientId === undefined || authorization !== undefined || hasProof) return null
      return { clientId, verify: async () => true }
    },
  }
}
