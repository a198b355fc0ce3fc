/** keyturn.yaml: what is accepted, and how each mistake is reported. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { NewApi } from '../../src/admin/apis.schema.ts'
import { NewClient } from '../../src/admin/clients.schema.ts'
import { Document } from '../../src/admin/declared/document.schema.ts'
import { MAX_DOCUMENT_BYTES, parseYaml } from '../../src/admin/declared/document.ts'
import { DocumentError } from '../../src/admin/declared/document-error.ts'
import { KIND_RULES, KINDS } from '../../src/admin/declared/kinds.ts'
import { NewRole } from '../../src/admin/roles.schema.ts'
import { decodeText } from '../../src/text.ts'
import { read } from '../support/docs/documents.ts'

const parse = (text: string) => parseYaml(text, 'k.yaml')

function problemsOf(text: string): readonly string[] {
  try {
    parse(text)
    return []
  } catch (error) {
    if (error instanceof DocumentError) return error.problems
    throw error
  }
}

const ROLE = 'roles:\n  - name: clerk\n    scopes: [orders:read]\n'

t.test(
  'the same document is read from YAML with any line ends, from JSON, and with a byte order mark',
  async (t) => {
    const expected = { roles: [{ name: 'clerk', scopes: ['orders:read'] }] }
    for (const bytes of [ROLE, ROLE.replaceAll('\n', '\r\n'), `\uFEFF${ROLE}`, JSON.stringify(expected)])
      t.same(parse(decodeText(Buffer.from(bytes))).value, expected)
    for (const empty of ['', '# nothing yet\n', '---\n']) t.same(parse(empty).value, {})
    t.same(parse('apis:\n# - identifier: x\n').value, { apis: null }, 'a section whose entries are comments')
    t.equal(parse(ROLE).placeOf(['roles', 0, 'scopes']), 'k.yaml:3:13')
    t.equal(
      parse(ROLE).placeOf(['roles', 0, 'require_second_factor']),
      'k.yaml:2:5',
      'or of what is around it',
    )
  },
)

t.test('a document that YAML reads in a surprising way is refused with line and column', async (t) => {
  const documents: readonly [string, string | RegExp][] = [
    ['roles: []\nroles: []\n', 'k.yaml:2:1: map keys must be unique'],
    [`${ROLE}    scopes: [x]\n`, 'k.yaml:4:5: map keys must be unique'],
    ['apis: &a []\nroles: *a\n', 'k.yaml:2:8: aliases are not supported: write the value again'],
    ['apis: !!js/function x\n', /^k\.yaml:1:7: unresolved tag/],
    ['apis: []\n---\nroles: []\n', /^k\.yaml:2:1: source contains multiple documents/],
    ['apis: [\n', /^k\.yaml:2:1: flow sequence/],
    ['roles:\n\t- name: x\n', /^k\.yaml:2:1: tabs/],
    ['? [a]\n: 1\n', /keys must be strings/],
    ['['.repeat(100_000), /: it is nested too deeply$/],
    ['#'.repeat(MAX_DOCUMENT_BYTES + 1), 'k.yaml is longer than 10 MB'],
  ]
  for (const [text, problem] of documents) t.match(problemsOf(text)[0], problem, text.slice(0, 40))
})

t.test('aliases of aliases are refused before they are expanded', async (t) => {
  const levels = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)
  const problems = problemsOf(['a0: &a0 [x]', ...levels].join('\n'))
  t.match(problems[0], 'k.yaml:2:10: aliases are not supported')
  t.equal(problems.length, 21, 'twenty problems, and how many more there are')
  t.equal(problems.at(-1), 'and 40 more problems')
})

t.test('each mistake is reported at its place, in words', async (t) => {
  t.same(
    problemsOf(`
rolles: []
roles:
  - name: 12
    scopess: [a]
    require_second_factor: yes
  - clerk
apis:
  - identifier: a
    scopes: { a: 1, b: }
    access_token_ttl: 300
  - identifier: b
    scopes: x
    access_token_ttl: 5 minutes
clients:
  - client_id: shop
    client_name:
    grant_types: client_credentials
    secret: { from_file: a, from_env: B }
    pkce: maybe
    color: red
  - client_id: ''
    client_name: x
    grant_types: []
    secret: { from_env: A-B }
    jwks: { keys: {} }
users: alice
`),
    [
      'k.yaml:2:1: rolles is not a member: did you mean roles?',
      'k.yaml:4:5: scopes is missing',
      'k.yaml:4:11: name must be text: write "12" in quotes',
      'k.yaml:5:5: scopess is not a member: did you mean scopes?',
      'k.yaml:6:28: require_second_factor must be true or false',
      'k.yaml:7:5: an entry of roles must have members',
      'k.yaml:10:18: a must be a text',
      'k.yaml:11:23: access_token_ttl must be text: write "300" in quotes',
      'k.yaml:13:13: scopes must be a list of scopes, or scopes with their texts for the consent page',
      'k.yaml:14:23: access_token_ttl must be a duration such as "30s", "5m", "12h" or "1d"',
      'k.yaml:17:17: client_name has no value',
      'k.yaml:18:18: grant_types must be a list',
      'k.yaml:19:13: secret must be one of { from_file: … }, { from_env: … } and { generate: true }',
      'k.yaml:20:11: pkce must be one of required, optional',
      'k.yaml:21:5: color is not a member',
      'k.yaml:22:16: client_id must not be empty',
      'k.yaml:25:13: secret must be one of { from_file: … }, { from_env: … } and { generate: true }',
      'k.yaml:26:19: keys must be a list',
      'k.yaml:27:8: users must be a list of users',
    ],
  )
})

t.test('the members of the document are those of the verbs, and all of them are planned', async (t) => {
  const { properties } = JSON.parse(JSON.stringify(Document)) as SchemaView
  const membersOf = (schema: object) => Object.keys((schema as SchemaView).properties).sort()
  const verbs = {
    api: membersOf(NewApi).filter((name) => name !== 'scope_texts'),
    role: membersOf(NewRole),
    // A secret is a reference, and there is a verb for disabling.
    client: [...membersOf(NewClient).filter((name) => name !== 'client_secret'), 'disabled', 'secret'].sort(),
    user: ['email', 'name', 'roles', 'username'],
  }
  for (const kind of KINDS) {
    const { section, id, fields } = KIND_RULES[kind]
    const [list] = properties[section]?.anyOf ?? []
    const declared = membersOf(list?.items ?? {})
    t.same(declared, verbs[kind], kind)
    const planned = Object.keys(fields).filter((name) => name !== 'scope_texts')
    t.same([...planned, id, ...(kind === 'client' ? ['secret'] : [])].sort(), declared, kind)
  }
})

interface SchemaView {
  readonly properties: Readonly<Record<string, { readonly anyOf?: readonly { readonly items?: object }[] }>>
}

t.test('the schema that ships is the one that documents are checked with', async (t) => {
  t.same(JSON.parse(read('docs/keyturn.schema.json')), {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...JSON.parse(JSON.stringify(Document)),
  })
  // Editors use validators of others.
  const isValid = new Ajv2020().compile(JSON.parse(read('docs/keyturn.schema.json')))
  const [, example = ''] = /^```yaml\n(.*?)^```$/ms.exec(read('docs/apply.md')) ?? []
  t.ok(isValid(parseYaml(example, 'example').value))
  t.notOk(isValid({ roles: [{ name: 'clerk', scopes: [], colour: 'red' }] }))
  const { files } = JSON.parse(read('package.json')) as { files: string[] }
  t.ok(files.includes('docs/keyturn.schema.json'))
})
