/** docs/admin-api.md and docs/openapi.json, made from the routes. `npm run api-docs` writes them, and a test compares. */
import { adminRoutes, resources } from '../../../src/http/admin/index.ts'
import { openApiDocument } from '../../../src/http/admin/openapi.ts'
import { read, root } from './documents.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly additionalProperties?: boolean | Schema
  readonly maxItems?: number
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
}

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly tags: readonly string[]
  readonly security: readonly Partial<Record<'oauth' | 'dpop', readonly string[]>>[]
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[]
  readonly requestBody?: { readonly content: Content; readonly required: boolean }
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

export interface OpenApi {
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly parameters: Readonly<Record<string, Parameter>>
  }
}

/** The issuer of the document in this repository. A server puts its own in the document that it serves. */
const ISSUER = 'https://auth.example'

export const PAGE: string = `${root}docs/admin-api.md`
export const DOCUMENT: string = `${root}docs/openapi.json`
/** What is written by hand stands above this line. */
const BEGIN = '<!-- The rest is made from the routes by `npm run api-docs`. -->'

export const openApi = (): OpenApi =>
  JSON.parse(JSON.stringify(openApiDocument(ISSUER, adminRoutes, resources))) as OpenApi

export const documentText = (): string => `${JSON.stringify(openApi(), null, 2)}\n`

export function pageText(): string {
  const document = openApi()
  const [written = ''] = read('docs/admin-api.md').split(BEGIN)
  const operations = document.tags.map(({ name, description }) => {
    const rows = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, operation]) => operation.tags.includes(name))
        .map(([method, operation]) => rowOf(document, `${method.toUpperCase()} ${path}`, operation)),
    )
    return table(
      `## ${name}\n\n${description}`,
      ['operation', 'scope', 'parameters', 'body → response', 'problems'],
      rows,
    )
  })
  const schemas = Object.entries(document.components.schemas)
    .filter(([, schema]) => schema.properties)
    .map(([name, schema]) =>
      table(
        `### ${name}`,
        ['member', 'type', 'meaning'],
        Object.entries(schema.properties ?? {}).map(([member, one]) => [
          `\`${member}\`${schema.required?.includes(member) ? '' : ' (optional)'}`,
          typeOf(one),
          meaningOf(one),
        ]),
      ),
    )
  return `${[`${written}${BEGIN}`, ...operations, '## Bodies and responses', ...schemas].join('\n\n')}\n`
}

function rowOf({ components }: OpenApi, what: string, operation: Operation): string[] {
  const parameters = (operation.parameters ?? [])
    .map((one) => ('$ref' in one ? components.parameters[nameOf(one.$ref)] : one))
    .filter((one) => one !== undefined && one.in !== 'path')
    .map((one) => `\`${one?.name}\`${one?.required ? ' (needed)' : ''}`)
  const { requestBody, responses } = operation
  const [[status = '', response] = []] = Object.entries(responses)
  const body = requestBody
    ? `${shapeOf(requestBody.content)}${requestBody.required ? '' : ' (may be left out)'} → `
    : ''
  const problems = Object.keys(responses).filter((code) => code !== status)
  return [
    `\`${what}\`<br>${operation.summary}`,
    operation.security.flatMap(({ oauth = [] }) => oauth.map((scope) => `\`${scope}\``)).join('') ||
      'open to all',
    parameters.join(', ') || '–',
    `${body}${status} ${shapeOf(response?.content)}`,
    problems.join(' '),
  ]
}

const shapeOf = (content: Content = {}): string => typeOf(Object.values(content)[0]?.schema ?? {})

const nameOf = (reference: string): string => reference.split('/').at(-1) ?? ''

/** A member that may be null has its description beside the type. */
const meaningOf = ({ description, anyOf = [] }: Schema): string =>
  description ?? anyOf.find((one) => one.description !== undefined)?.description ?? ''

/** A type as a person writes it. */
function typeOf(schema: Schema): string {
  const { $ref, anyOf, items, properties, type, additionalProperties } = schema
  if ($ref !== undefined) return `[${nameOf($ref)}](#${nameOf($ref).toLowerCase()})`
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ')
  if (anyOf) return anyOf.map(typeOf).join(' or ')
  if (items) return `list of ${typeOf(items)}`
  if (properties)
    return `{ ${Object.entries(properties)
      .map(([name, one]) => `\`${name}\`: ${typeOf(one)}`)
      .join(', ')} }`
  if (typeof additionalProperties === 'object') return `map of ${typeOf(additionalProperties)}`
  return [type ?? 'any'].flat().join(' or ')
}

function table(heading: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [`${heading}\n`, line(header), `|${header.map(() => '---').join('|')}|`, ...rows.map(line)].join(
    '\n',
  )
}
