/** Types for the part of oidc-provider that the benchmark uses; the package has no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  interface Model {
    save(): Promise<string>
  }

  export default class Provider {
    constructor(issuer: string, configuration: object)
    callback(): RequestListener
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
    readonly Client: { find(id: string): Promise<object | undefined> }
    readonly Grant: new (
      fields: object,
    ) => Model & {
      addResourceScope(resource: string, scope: string): void
      addOIDCScope(scope: string): void
    }
    readonly RefreshToken: new (
      fields: object,
    ) => Model
  }
}
