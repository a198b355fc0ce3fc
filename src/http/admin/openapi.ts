/** The OpenAPI document of the administration API, made from its routes. Must not know any resource. */
import type { TSchema } from 'typebox'
import { ADMIN_SCOPES, adminAudience } from '../../admin/built-ins.ts'
import { issuerBase } from '../../issuer-path.ts'
import { version } from '../../version.ts'
import { PROBLEM, problemResponses, problemsOf } from './openapi-problems.ts'
import type { AdminRoute } from './route.ts'

type Json = Readonly<Record<string, unknown>>

/** @param resources what each resource is, by the first part of its path */
export function openApiDocument(
  issuer: string,
  routes: readonly AdminRoute[],
  resources: Readonly<Record<string, string>>,
): Json {
  const base = issuerBase(issuer)
  const schemas: Record<string, unknown> = { Problem: PROBLEM }
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const operations = paths[route.path] ?? {}
    paths[route.path] = { ...operations, [route.method.toLowerCase()]: operationOf(route, schemas) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keyturn administration',
      version,
      description:
        'Manages clients, APIs, roles, users, sessions, keys and verifiers, and reads the audit log.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: adminAudience(issuer) }],
    tags: [...new Set(routes.map(tagOf)), 'document'].map((name) => ({
      name,
      description: resources[name] ?? 'The OpenAPI document.',
    })),
    paths: { ...paths, '/openapi.json': { get: DOCUMENT_OPERATION } },
    components: {
      schemas,
      parameters: HEADER_PARAMETERS,
      responses: problemResponses,
      securitySchemes: {
        oauth: {
          type: 'oauth2',
          flows: {
            clientCredentials: { tokenUrl: `${base}/oauth2/token`, scopes: ADMIN_SCOPES },
            authorizationCode: {
              authorizationUrl: `${base}/oauth2/authorize`,
              tokenUrl: `${base}/oauth2/token`,
              scopes: ADMIN_SCOPES,
            },
          },
        },
        dpop: {
          type: 'http',
          scheme: 'DPoP',
          description:
            'An access token of the same flows that is bound to a key, with a proof in the header DPoP (RFC 9449).',
        },
      },
    },
  }
}

/** This document, which is open to all. */
const DOCUMENT_OPERATION = {
  operationId: 'getOpenApi',
  summary: 'Get this document',
  tags: ['document'],
  security: [],
  responses: {
    200: { description: 'This document', content: { 'application/json': { schema: { type: 'object' } } } },
    400: { $ref: '#/components/responses/Problem400' },
  },
}

const tagOf = ({ path }: AdminRoute): string => path.split('/')[1] ?? ''

function operationOf(route: AdminRoute, schemas: Record<string, unknown>): Json {
  const { operationId, summary, scope, body, response, status, revised, method } = route
  const changes = method !== 'GET'
  return {
    operationId,
    summary,
    tags: [tagOf(route)],
    security: [{ oauth: [scope] }, { dpop: [scope] }],
    parameters: parametersOf(route),
    ...(body ? { requestBody: requestBody(body, schemas) } : {}),
    responses: {
      [status]: {
        description: summary,
        headers: {
          ...(revised ? { ETag: header('The revision of the resource, in quotes.') } : {}),
          ...(status === 201 ? { Location: header('The URL of the new resource.') } : {}),
          ...(changes
            ? {
                'Keyturn-Notes': header(
                  'What follows from the change: sentences, percent-encoded, separated by commas.',
                ),
              }
            : {}),
        },
        content: jsonContent(reference(response, schemas)),
      },
      ...problemsOf(route),
    },
  }
}

/** A body in which everything may be left out may itself be left out. */
function requestBody(body: TSchema, schemas: Record<string, unknown>): Json {
  const { required = [] } = body as { readonly required?: readonly string[] }
  return { required: required.length > 0, content: jsonContent(reference(body, schemas)) }
}

const header = (description: string) => ({ description, schema: { type: 'string' } })
const jsonContent = (schema: unknown) => ({ 'application/json': { schema } })

function parametersOf({ path, query, conditional, repeatable }: AdminRoute): Json[] {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const inPath = names.map((name) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', minLength: 1 },
  }))
  const inQuery = Object.entries(query?.properties ?? {}).map(([name, schema]) => {
    const { description, ...rest } = plain(schema) as Record<string, unknown>
    return {
      name,
      in: 'query',
      ...(description === undefined ? {} : { description }),
      required: (query?.required as readonly string[] | undefined)?.includes(name) ?? false,
      schema: rest,
    }
  })
  return [
    ...inPath,
    ...inQuery,
    ...(conditional ? [{ $ref: '#/components/parameters/IfMatch' }] : []),
    ...(repeatable ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
  ]
}

const HEADER_PARAMETERS = {
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    description:
      'The `ETag` that was read: the change applies only to this revision, or to one of up to 32 (RFC 9110 §13.1.1).',
    schema: { type: 'string' },
  },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'Chosen by the client. For 24 hours, a repetition of the request with this key gets the same response without secrets, and changes nothing.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  },
}

/** Schemas with an `$id` are components, and are named where they are used. */
function reference(schema: unknown, schemas: Record<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((one) => reference(one, schemas))
  if (schema === null || typeof schema !== 'object') return schema
  const { $id, ...rest } = schema as Record<string, unknown>
  const inner = Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, reference(value, schemas)]),
  )
  if (typeof $id !== 'string') return inner
  schemas[$id] = inner
  return { $ref: `#/components/schemas/${$id}` }
}

const plain = (schema: unknown): unknown => JSON.parse(JSON.stringify(schema))
