/** The list of pages. A page is a file beside this one and a line below; 405 and the forms' tokens follow. */
import type { PageRoute } from '../browser.ts'
import type { Services } from '../services.ts'
import { authorizeRoutes } from './authorize.ts'
import { consentRoutes } from './consent.ts'
import { loginRoutes } from './login.ts'
import { secondFactorRoutes } from './second-factor.ts'

export function pageRoutes(services: Services): PageRoute[] {
  return [
    ...authorizeRoutes(services),
    ...loginRoutes(services),
    ...secondFactorRoutes(services),
    ...consentRoutes(services),
  ]
}
