import { clientIdAlone } from './client-id-alone.ts'
import type { ClientAuthMethod } from './method.ts'

/** A public client sends only its id (RFC 6749 §2.1, §3.2.1; RFC 7591 §2, `none`). */
export const none = (): ClientAuthMethod => ({ findCredentials: clientIdAlone(async () => true) })
