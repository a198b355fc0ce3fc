/** What a server has → the document that declares it. Must not know where the document goes. */

import { Document, Scalar, visit } from 'yaml'
import { durationText } from '../../config/parsers.ts'
import { printable } from '../../printable.ts'
import type { Admin } from '../admin.ts'
import { ADMIN_ROLE, COMMAND_LINE_CLIENT, isAdminScope } from '../built-ins.ts'
import type { DocumentView } from './document.schema.ts'
import { current, type Fields, KIND_RULES, KINDS, type Kind, needsSecret, withoutDefaults } from './kinds.ts'
import { verbsOf } from './verbs.ts'

/** @param users whether users are included: a repository may be no place for the names of people */
export async function dump(admin: Admin, { users }: { readonly users: boolean }): Promise<DocumentView> {
  const verbs = verbsOf(admin)
  const document: Partial<Record<string, readonly Fields[]>> = {}
  for (const kind of KINDS) {
    if (kind === 'user' && !users) continue
    const found = (await verbs[kind].all()).filter((resource) => !isBuiltIn(kind, resource))
    if (found.length > 0)
      document[KIND_RULES[kind].section] = found.map((resource) => declared(kind, resource))
  }
  return document as DocumentView
}

function isBuiltIn(kind: Kind, resource: Fields): boolean {
  if (kind === 'role') return resource.name === ADMIN_ROLE
  if (kind === 'client') return resource.client_id === COMMAND_LINE_CLIENT
  return kind === 'api' && (resource.scopes as string[]).some(isAdminScope)
}

/** Without what would be the same if it were left out. */
function declared(kind: Kind, resource: Fields): Fields {
  const { id, fields } = KIND_RULES[kind]
  const all = Object.keys(fields).map((name) => [name, current(kind, resource, name)])
  const { scope_texts: texts, ...members } = withoutDefaults(kind, Object.fromEntries(all)) as Record<
    string,
    unknown
  >
  if (members.access_token_ttl !== undefined)
    members.access_token_ttl = durationText(Number(members.access_token_ttl))
  if (texts !== undefined)
    members.scopes = withTexts(members.scopes as string[], texts as Record<string, string>)
  if (kind === 'client') {
    if (members.disabled !== true) delete members.disabled
    if (needsSecret(resource)) members.secret = { generate: true }
  }
  if (kind === 'user') for (const name of ['name', 'email']) if (members[name] === null) delete members[name]
  return { [id]: resource[id], ...members }
}

const withTexts = (scopes: readonly string[], texts: Readonly<Record<string, string>>) =>
  Object.fromEntries(scopes.map((scope) => [scope, texts[scope] ?? null]))

const HEADER = ` The declared state of a Keyturn server. The command apply makes a server match it.
 Secrets are not in it. A client that the server already has keeps its secret; a new one gets a generated one.`

/** The text of the document; whatever YAML parser reads it, it has the same value. */
export function yamlText(value: DocumentView): string {
  const document = new Document(value, { aliasDuplicateObjects: false, compat: 'yaml-1.1' })
  // The terminal escapes what people cannot see, as JSON does; only between double quotes does that keep the value.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string' && printable(node.value) !== node.value)
        node.type = Scalar.QUOTE_DOUBLE
    },
  })
  document.commentBefore = HEADER
  return document.toString({ lineWidth: 0 })
}
