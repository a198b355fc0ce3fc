/** `/account/passkeys`: adds a passkey. */
import type { FastifyReply } from 'fastify'
import type { SecondFactors } from '../../accounts/second-factors.ts'
import {
  type AddPasskeyModel,
  addPasskeyPage,
  MAX_PASSKEY_NAME_LENGTH,
} from '../../views/pages/add-passkey.ts'
import { prepareName } from '../../visible-text.ts'
import type { PageRequest } from '../page-request.ts'
import type { PageRoute } from '../page-scope.ts'
import { redirectToAccount } from './account.ts'
import { type Enrolment, type EnrolmentContext, formContext } from './enrolment.ts'

const PATH = '/account/passkeys'

export interface PasskeyPageDeps {
  readonly enrolment: Enrolment
  readonly secondFactors: Pick<
    SecondFactors,
    'passkeysAvailable' | 'startPasskeyRegistration' | 'finishPasskeyRegistration'
  >
}

export function passkeyRoutes({ enrolment, secondFactors }: PasskeyPageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: PATH,
      async handler(request) {
        const context = await enrolment.start(request, PATH)
        if ('respond' in context) return context.respond()
        return render(request, context, '', null)
      },
    },
    { method: 'POST', path: PATH, handler: post },
  ]

  async function post(request: PageRequest): Promise<FastifyReply> {
    const context = await enrolment.start(request, PATH)
    if ('respond' in context) return context.respond()
    const { form, requestInfo } = request
    const written = form.get('name') ?? ''
    const name = prepareName(written, MAX_PASSKEY_NAME_LENGTH)
    if (name === null) return render(request, context, written, { kind: 'name' }, 400)
    const passkey = await secondFactors.finishPasskeyRegistration(
      context.current.user,
      name,
      form.get('credential') ?? '',
      form.get('challenge') ?? '',
      requestInfo,
    )
    if (!passkey) return render(request, context, name, { kind: 'refused' }, 400)
    // Registration does not prove that the passkey verifies its user; only a later signature does.
    const proof = { kind: 'passkey', userVerified: false, backedUp: passkey.backedUp } as const
    return enrolment.finish(request, context, proof, 'passkey-added')
  }

  async function render(
    request: PageRequest,
    context: EnrolmentContext,
    name: string,
    message: AddPasskeyModel['message'],
    status = 200,
  ): Promise<FastifyReply> {
    const registration = secondFactors.passkeysAvailable
      ? await secondFactors.startPasskeyRegistration(context.current.user)
      : null
    if (!registration) return redirectToAccount(request, 'passkeys-unavailable')
    const passkey = { options: registration.options, state: registration.challenge }
    const { flow, formTarget, page } = formContext(request, context)
    const text = addPasskeyPage({ passkey, name, flow, message }, page)
    return request.html(text, { status, formTarget, scripts: true })
  }
}
