/** docs/http.md: every endpoint and parameter is there, and its commands work when they are pasted in order. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { completePages } from '../support/browser/sign-in.ts'
import { codeBlocks, read, root, tableBelow } from '../support/docs/documents.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'
import { overHttp } from '../support/server/http-inject.ts'

const page = read('docs/http.md')
const codes = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)

t.test('every endpoint of the table has a section or is named in one', async (t) => {
  const endpoints = tableBelow(read('docs/http.md'), '## Endpoints').flatMap(([cell = '']) => codes(cell))
  const headings = [...page.matchAll(/^## ([A-Z]+ \/.*)$/gm)].map(([, heading = '']) =>
    heading.replaceAll('&lt;', '<').replaceAll('&gt;', '>'),
  )
  t.same(
    endpoints.filter((endpoint) => !headings.includes(endpoint) && !page.includes(`\`${endpoint}\``)),
    [],
  )
  t.same(
    headings.filter((heading) => !endpoints.includes(heading)),
    [],
    'no section is about an endpoint that does not exist',
  )
})

t.test('the tables have every parameter that the server reads, and no other', async (t) => {
  const source = readdirSync(join(root, 'src/oauth'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(root, 'src/oauth', file), 'utf8'))
    .join('\n')
  const known = [...source.matchAll(/parameters\.(?:get|all)\('(\w+)'\)/g)].map(([, name = '']) => name)
  const tables = page.match(/^\| parameter \|.*\n(?:\|.*\n)+/gm) ?? []
  const rows = tables.flatMap((table) => table.trim().split('\n').slice(2))
  const named = rows.flatMap((row) => codes(row.split(' | ', 1)[0] ?? ''))
  t.same([...new Set(named)].sort(), [...new Set(known)].sort())
})

/** What `curl` prints on success; `set -e` ends the block if a response is an error. */
const CURL = `npx() { case $1 in keyturn) shift; node src/keyturn.js "$@";; *) "$@";; esac; }
curl() { command curl --fail-with-body "$@"; }
`

t.test('the commands work when they are pasted in order', async (t) => {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const folder = checkout(t)
  const env = shellEnvironment({ KEYTURN_PORT: String(port) })
  await terminal(t, folder, env, 'npx keyturn serve')
  const [prepare] = codeBlocks(read('docs/guides/README.md')).filter(({ info }) => info === 'prepare')
  await paste(folder, env, prepare?.text ?? '', CURL)
  const outputs: string[] = []
  for (const { info, text } of codeBlocks(page).filter(({ info }) => info.startsWith('http'))) {
    const block = text.replaceAll('http://localhost:3000', issuer)
    outputs.push(await paste(folder, env, block, CURL))
    if (!block.includes('/oauth2/authorize?')) continue
    t.equal(info, 'http')
    const browser = openBrowser(overHttp(issuer))
    const [, url = ''] = /"(http[^"]+)"/.exec(block) ?? []
    const { away } = await completePages(browser, await browser.open(url), {
      password: 'correct horse battery staple',
    })
    t.match(Object.fromEntries(away?.params ?? []), { state: 's1', iss: issuer })
    await paste(folder, env, `CODE=${away?.params.get('code')}`)
  }
  const all = outputs.join('\n')
  for (const part of [
    /"refresh_token":"ktr\./,
    /"preferred_username":"alice"/,
    /"active":true.*"username":"alice"/,
    /"request_uri":"urn:ietf:params:oauth:request_uri:/,
    /303 http:\/\/localhost:4000\/\?state=s2/,
    /\{"status":"ready"\}/,
    /^\{\}/m,
  ]) {
    t.match(all, part)
  }
})
