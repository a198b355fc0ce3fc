/** The documents of the administration API are those of its routes. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { adminRoutes, resources } from '../../src/http/admin/index.ts'
import { DOCUMENT, documentText, openApi, PAGE, pageText } from '../support/docs/admin-api-page.ts'

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
