/** `/signed-out`: confirms that the user is signed out. */
import { signedOutPage } from '../../views/pages/signed-out.ts'
import type { PageRoute } from '../page-scope.ts'

export const SIGNED_OUT_PATH = '/signed-out'

export function signedOutRoutes(): PageRoute[] {
  return [
    {
      method: 'GET',
      path: SIGNED_OUT_PATH,
      handler: async (request) => request.html(signedOutPage({ back: null }, request.pageContext())),
    },
  ]
}
