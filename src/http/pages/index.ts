/** The list of pages. A page is a file beside this one and a line below; 405 and the forms' tokens follow. */
import type { PageRoute } from '../browser.ts'
import type { Services } from '../services.ts'
import { accountRoutes } from './account.ts'
import { authorizeRoutes } from './authorize.ts'
import { consentRoutes } from './consent.ts'
import { enrolmentRoutes } from './enrolment.ts'
import { loginRoutes } from './login.ts'
import { logoutRoutes } from './logout.ts'
import { passkeyRoutes } from './passkeys.ts'
import { passwordRoutes } from './password.ts'
import { secondFactorRoutes } from './second-factor.ts'
import { signedOutRoutes } from './signed-out.ts'
import { totpRoutes } from './totp.ts'

export function pageRoutes(services: Services): PageRoute[] {
  return [
    ...authorizeRoutes(services),
    ...loginRoutes(services),
    ...secondFactorRoutes(services),
    ...consentRoutes(services),
    ...accountRoutes(services),
    ...passwordRoutes(services),
    ...enrolmentRoutes(services),
    ...totpRoutes(services),
    ...passkeyRoutes(services),
    ...logoutRoutes(services),
    ...signedOutRoutes(),
  ]
}
