/** The OpenAPI document of the administration API, made from its routes. Must not know any resource. */
import type { TSchema } from 'typebox'
import { ADMIN_SCOPES, adminAudience } from '../../admin/built-ins.ts'
import { issuerBase } from '../../issuer-path.ts'
import { version } from '../../version.ts'
import type { AdminRoute } from './route.ts'

type Json = Readonly<Record<string, unknown>>

export function openApiDocument(issuer: string, routes: readonly AdminRoute[]): Json {
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
    tags: [...new Set(routes.map(tagOf))].map((name) => ({ name, description: `Resource ${name}` })),
    paths,
    components: {
      schemas,
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
      },
    },
  }
}

const tagOf = ({ path }: AdminRoute): string => path.split('/')[1] ?? ''

function operationOf(route: AdminRoute, schemas: Record<string, unknown>): Json {
  const { operationId, summary, scope, body, response, status, revised, method } = route
  const changes = method !== 'GET'
  return {
    operationId,
    summary,
    tags: [tagOf(route)],
    security: [{ oauth: [scope] }],
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
      ...Object.fromEntries(problemsOf(route).map(([code, text]) => [code, problem(text)])),
    },
  }
}

/** A body in which everything may be left out may itself be left out. */
function requestBody(body: TSchema, schemas: Record<string, unknown>): Json {
  const { required = [] } = body as { readonly required?: readonly string[] }
  return { required: required.length > 0, content: jsonContent(reference(body, schemas)) }
}

function problemsOf({ method, path, revised }: AdminRoute): [string, string][] {
  const changes = method !== 'GET'
  return [
    ['400', 'A value is not valid.'],
    ['401', 'There is no valid access token.'],
    ['403', 'The access token does not have the scope, or the administrator may not do this.'],
    ...(path.includes('{') ? [['404', 'There is no such resource.'] as [string, string]] : []),
    ...(changes ? [['409', 'The change contradicts what is stored.'] as [string, string]] : []),
    ...(changes && revised
      ? [['412', 'The resource has changed since it was read.'] as [string, string]]
      : []),
    ...(changes ? [['413', 'The body is too large.'] as [string, string]] : []),
    ...(changes ? [['415', 'The content type is not JSON.'] as [string, string]] : []),
    ['503', 'The server cannot do this now.'],
  ]
}

const header = (description: string) => ({ description, schema: { type: 'string' } })
const jsonContent = (schema: unknown) => ({ 'application/json': { schema } })
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
})

function parametersOf({ path, query, method, revised }: AdminRoute): Json[] {
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
  const condition = {
    name: 'If-Match',
    in: 'header',
    description: 'The `ETag` that was read: the change applies only to this revision.',
    schema: { type: 'string' },
  }
  return [...inPath, ...inQuery, ...(revised && method !== 'GET' && method !== 'POST' ? [condition] : [])]
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

/** RFC 9457 §3.1. */
const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string', description: 'Names the problem; it never changes.' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'One sentence for the administrator.' },
    safe_from: { type: 'integer', description: 'Of a rotation that is not safe: from when it is.' },
    behind: {
      type: 'array',
      items: { type: 'string' },
      description: 'Of a rotation that is not safe: expected verifiers that have not fetched the next key.',
    },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: { field: { type: 'string' }, message: { type: 'string' } },
      },
    },
  },
}
