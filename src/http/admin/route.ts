/**
 * A route of the administration API: its schemas validate requests, type the handler, and make the OpenAPI document. Must not know
 * any resource.
 */
import type { Static, TObject, TSchema } from 'typebox'
import type { Admin } from '../../admin/admin.ts'
import type { AdminScope } from '../../admin/built-ins.ts'
import type { Changed, Found, Noted, Page } from '../../admin/verbs.ts'

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

interface Input<Query, Body> {
  /** The values of the path, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  readonly body: Body
  /** The revision that `If-Match` requires. */
  readonly ifMatch: number | undefined
}

export interface AdminRoute {
  readonly method: Method
  /** Below `/admin/v1`, as OpenAPI writes it: `/roles/{name}`. */
  readonly path: string
  /** A token needs this scope. */
  readonly scope: AdminScope
  /** Name of the operation in generated clients. */
  readonly operationId: string
  /** One line, in the imperative. */
  readonly summary: string
  readonly query: TObject | undefined
  readonly body: TSchema | undefined
  readonly response: TSchema
  readonly status: 200 | 201
  /** The resource has a revision: `ETag` in the response, `If-Match` in the request of a change. */
  readonly revised: boolean
  /** `If-Match` is compared with the revision of the resource. Every change of what is `revised` does. */
  readonly conditional: boolean
  /** `Idempotency-Key` has a meaning: of any POST, unless acting again changes nothing either. */
  readonly repeatable: boolean
  /** Statuses of problems that this route has besides those that follow from its method and path. */
  readonly problems: readonly number[]
  /** The path of the resource that was made, for `Location`. */
  readonly location: ((value: unknown) => string) | undefined
  readonly handler: (admin: Admin, input: Input<never, never>) => Promise<Outcome<unknown>>
}

export type Outcome<T> = Page<T> | Found<T> | Changed<T>

interface RouteOptions<Query extends TObject, Body extends TSchema, Response extends TSchema> {
  readonly scope: AdminScope
  readonly operationId: string
  readonly summary: string
  readonly query?: Query
  readonly body?: Body
  readonly response: Response
  readonly status?: 201
  readonly revised?: boolean
  readonly conditional?: true
  /** A POST only because of its body. Nothing is remembered of it. */
  readonly changesNothing?: true
  readonly problems?: readonly number[]
  readonly location?: (value: Static<Response>) => string
  readonly handler: (
    admin: Admin,
    input: Input<Static<Query>, Static<Body>>,
  ) => Promise<Page<unknown> | Noted<Page<unknown>> | Found<Static<Response>> | Changed<Static<Response>>>
}

/** @param route method and path, such as `PATCH /roles/{name}` */
export function adminRoute<
  Query extends TObject = TObject,
  Body extends TSchema = TSchema,
  Response extends TSchema = TSchema,
>(route: `${Method} /${string}`, options: RouteOptions<Query, Body, Response>): AdminRoute {
  const [method, path] = route.split(' ') as [Method, string]
  const {
    query,
    body,
    status = 200,
    revised = false,
    problems = [],
    location,
    conditional,
    changesNothing = false,
    ...rest
  } = options
  return {
    method,
    path,
    conditional: conditional ?? (revised && method !== 'GET' && status === 200),
    repeatable: method === 'POST' && !changesNothing,
    query,
    body,
    status,
    revised,
    problems,
    location: location as AdminRoute['location'],
    ...rest,
    handler: options.handler as AdminRoute['handler'],
  }
}
