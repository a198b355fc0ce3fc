/**
 * keyturn.yaml → its value and the places of its members. Everything that is wrong is reported at once, with line and column. Must
 * not know what the server has.
 */
import { distance } from 'fastest-levenshtein'
import { Settings } from 'typebox/system'
import * as Value from 'typebox/value'
import {
  isCollection,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
} from 'yaml'
import { Document, type DocumentView } from './document.schema.ts'
import { DocumentError } from './document-error.ts'

export type Path = readonly (string | number)[]

export interface ParsedDocument {
  readonly value: DocumentView
  /** `keyturn.yaml:12:5`. The place of the nearest member, if the document does not have this one. */
  readonly placeOf: (path: Path) => string
}

/** Longer texts are refused before they are parsed. */
export const MAX_DOCUMENT_BYTES = 10 * 1024 * 1024

/** As many problems as a person reads. */
const MAX_PROBLEMS = 20

/** The validator stops there. By default it would stop so early that the reason is not among its errors. */
Settings.Set({ maxErrors: 10_000 })

/**
 * @param text decoded, with line feeds only (text.ts)
 * @param name of the document, for messages
 * @throws {DocumentError}
 */
export function parseYaml(text: string, name: string): ParsedDocument {
  const lines = new LineCounter()
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}:${line}:${col}`
  }
  const document = parse(text, lines, name)
  const problems = [...document.errors, ...document.warnings].map(
    ({ pos: [offset], message }) =>
      `${place(offset)}: ${message.includes('call stack') ? 'it is nested too deeply' : lowerFirst(message)}`,
  )
  // A few aliases of aliases can stand for a value that fills the memory.
  visit(document, {
    Alias(_, { range }) {
      problems.push(`${place(range?.[0] ?? 0)}: aliases are not supported: write the value again`)
    },
  })
  refuse(problems)

  const root: Node | null = document.contents
  const nodeAt = (path: Path): Node | null => {
    for (let end = path.length; end > 0; end -= 1) {
      const node = document.getIn(path.slice(0, end), true)
      if (node !== undefined) return node as Node
    }
    return root
  }
  const placeOf = (path: Path): string => place(nodeAt(path)?.range?.[0] ?? 0)
  const placeOfKey = (path: Path, key: string): string => {
    const node = path.length === 0 ? root : document.getIn(path, true)
    const pair = isMap(node)
      ? node.items.find((item) => isScalar(item.key) && item.key.value === key)
      : undefined
    return place((pair?.key as Node | undefined)?.range?.[0] ?? 0)
  }

  const value: unknown = document.toJS({ maxAliasCount: 0 })
  // A document whose entries are all comments declares nothing.
  if (value === null && !isCollection(root)) return { value: {}, placeOf }
  refuse(
    relevant([...Value.Errors(Document, value)] as SchemaError[]).flatMap((error) =>
      explain(error, value, { placeOf, placeOfKey }),
    ),
  )
  return { value: value as DocumentView, placeOf }
}

function parse(text: string, lineCounter: LineCounter, name: string) {
  if (text.length > MAX_DOCUMENT_BYTES) throw new DocumentError([`${name} is longer than 10 MB`])
  return parseDocument<ParsedNode>(text, {
    lineCounter,
    version: '1.2',
    schema: 'core',
    stringKeys: true,
    prettyErrors: false,
    // With `silent`, the parser accepts a second document.
    logLevel: 'error',
  })
}

function refuse(found: readonly string[]): void {
  const problems = [...new Set(found)].sort(byPlace)
  if (problems.length === 0) return
  const more = problems.length - MAX_PROBLEMS
  throw new DocumentError(
    more > 0 ? [...problems.slice(0, MAX_PROBLEMS), `and ${more} more problems`] : problems,
  )
}

/** `keyturn.yaml:12:5: …`: first by the line, then by the column. */
function byPlace(a: string, b: string): number {
  const [, lineA = 0, columnA = 0] = /:(\d+):(\d+): /.exec(a) ?? []
  const [, lineB = 0, columnB = 0] = /:(\d+):(\d+): /.exec(b) ?? []
  return Number(lineA) - Number(lineB) || Number(columnA) - Number(columnB)
}

/** As the validator reports it: the keywords of JSON Schema. */
interface SchemaError {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: {
    readonly additionalProperties?: readonly string[]
    readonly requiredProperties?: readonly string[]
    readonly type?: string
    readonly allowedValues?: readonly string[]
  }
}

/**
 * If a value fits none of several schemas, the validator reports what is wrong with each. Only the one that has the type of the value
 * concerns its author; if there are several, what all of them have in common says more.
 */
function relevant(errors: readonly SchemaError[]): readonly SchemaError[] {
  let left = errors.filter(({ keyword }) => keyword !== 'boolean')
  const choices = left
    .filter(({ keyword }) => keyword === 'anyOf')
    .sort((a, b) => a.schemaPath.length - b.schemaPath.length)
  for (const choice of choices.filter((one) => left.includes(one))) {
    const prefix = `${choice.schemaPath}/anyOf/`
    const isInside = ({ schemaPath, instancePath }: SchemaError) =>
      schemaPath.startsWith(prefix) && `${instancePath}/`.startsWith(`${choice.instancePath}/`)
    const branchOf = ({ schemaPath }: SchemaError) => schemaPath.slice(prefix.length).split('/', 1)[0]
    const inside = left.filter(isInside)
    const others = new Set(
      inside
        .filter(({ keyword, instancePath }) => keyword === 'type' && instancePath === choice.instancePath)
        .map(branchOf),
    )
    const possible = new Set(inside.map(branchOf).filter((branch) => !others.has(branch)))
    left = left.filter((error) =>
      possible.size === 1
        ? error !== choice && !(isInside(error) && !possible.has(branchOf(error)))
        : !isInside(error),
    )
  }
  return left
}

interface Places {
  readonly placeOf: (path: Path) => string
  readonly placeOfKey: (path: Path, key: string) => string
}

function explain(error: SchemaError, root: unknown, { placeOf, placeOfKey }: Places): string[] {
  const { keyword, params } = error
  const path = pathOf(error.instancePath)
  const { properties = {}, description = '' } = schemaAt(error.schemaPath)
  if (keyword === 'additionalProperties') {
    return (params.additionalProperties ?? []).map(
      (name) => `${placeOfKey(path, name)}: ${unknownMember(name, Object.keys(properties))}`,
    )
  }
  if (keyword === 'required') {
    return (params.requiredProperties ?? []).map((name) => `${placeOf(path)}: ${name} is missing`)
  }
  const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | null)?.[key], root)
  const member = path.findLast((key) => typeof key === 'string')
  const isEntry = typeof path.at(-1) === 'number'
  const name = member === undefined ? 'the document' : isEntry ? `an entry of ${member}` : member
  return [`${placeOf(path)}: ${name} ${expectation(error, value, description)}`]
}

/** A message names only this many members. */
const MAX_NAMES = 6

function unknownMember(name: string, known: readonly string[]): string {
  const near = known.find((one) => distance(one, name) <= 2)
  if (near !== undefined) return `${name} is not a member: did you mean ${near}?`
  const all = known.length > MAX_NAMES ? '' : `: there are ${known.join(', ')}`
  return `${name} is not a member${all}`
}

function expectation({ keyword, params }: SchemaError, value: unknown, description: string): string {
  if (keyword === 'type' && value === null) return 'has no value'
  if (keyword === 'type' && params.type === 'string')
    return `must be text: write "${String(value)}" in quotes`
  if (keyword === 'type' && params.type === 'boolean') return 'must be true or false'
  if (keyword === 'type' && params.type === 'array') return 'must be a list'
  if (keyword === 'type') return 'must have members'
  if (keyword === 'enum') return `must be one of ${(params.allowedValues ?? []).join(', ')}`
  if (keyword === 'minLength') return 'must not be empty'
  if (keyword === 'maxLength' || keyword === 'maxItems') return 'is too long'
  return `must be ${lowerFirst(description)}`
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly description?: string
}

const schemaAt = (schemaPath: string): SchemaNode =>
  pathOf(schemaPath.slice(1)).reduce<unknown>(
    (node, key) => (node as Record<string, unknown>)[key],
    Document,
  ) as SchemaNode

/** A JSON Pointer (RFC 6901). */
const pathOf = (pointer: string): (string | number)[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')))

const lowerFirst = (text: string): string =>
  /^[A-Z][A-Z]/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1)
