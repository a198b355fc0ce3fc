/** The documents of the administration API are those of its routes. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { adminRoutes, resources } from '../../src/http/admin/index.ts'
import { DOCUMENT, documentText, openApi, PAGE, pageText } from '../support/docs/admin-api-page.ts'
import { codeBlocks, read } from '../support/docs/documents.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'

t.test('docs/openapi.json and docs/admin-api.md are made from the routes', (t) => {
  const stale = 'run npm run api-docs'
  t.equal(readFileSync(DOCUMENT, 'utf8'), documentText(), stale)
  t.equal(readFileSync(PAGE, 'utf8'), pageText(), stale)
  t.end()
})

t.test('every resource has a description', (t) => {
  const named = [...new Set(adminRoutes.map(({ path }) => path.split('/')[1]))]
  t.same(
    named.filter((name) => !Object.hasOwn(resources, String(name))),
    [],
  )
  t.end()
})

t.test('the document has every route, each with a name of its own', (t) => {
  const { paths } = openApi()
  for (const { method, path, operationId } of adminRoutes)
    t.equal(paths[path]?.[method.toLowerCase()]?.operationId, operationId)
  const names = adminRoutes.map(({ operationId }) => operationId)
  t.equal(new Set(names).size, names.length)
  t.end()
})

t.test('the first steps of docs/admin-api.md, pasted, make an API and a client', async (t) => {
  const port = String(await freePort())
  const env = shellEnvironment({ KEYTURN_PORT: port })
  const folder = checkout(t)
  await terminal(t, folder, env, 'npx keyturn serve --json')
  const [client, steps] = codeBlocks(read('docs/admin-api.md'))
    .filter(({ info }) => info.startsWith('admin-'))
    .map(({ text }) => text.replaceAll('localhost:3000', `localhost:${port}`))
  await paste(folder, env, client ?? '')
  const printed = await paste(folder, env, steps ?? '')
  t.match(printed, '"identifier":"https://stock.example"')
  t.match(printed, /"client_secret":"\w+/)
  t.match(printed, '"next_cursor":null')
})
