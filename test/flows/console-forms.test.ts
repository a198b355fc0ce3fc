/** What the forms of the console carry, and what they cost. */
import t, { type Test } from 'tap'
import { consoleServer, enter } from '../support/browser/console.ts'

t.test('no text of an API is costly to read (docs/security.md R8)', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server)
  const page = await browser.open('/admin/apis/new')
  const fields = Object.fromEntries(page.form('/admin/apis/new').fields)
  const space = ' '.repeat(3000)
  for (const line of [`a${space}b\u2028c`, `a${space}=${space}b\u2029c`, `a${'='.repeat(3000)}\u2028c`]) {
    const body = new URLSearchParams({
      ...fields,
      identifier: 'https://a.example',
      scopes: 'a',
      scope_texts: line,
    })
    const before = process.threadCpuUsage()
    const answer = await browser.request('/admin/apis/new', {
      method: 'POST',
      body: body.toString(),
      from: 'same-origin',
    })
    const { user, system } = process.threadCpuUsage(before)
    t.equal(answer.status, 400)
    // A pattern that tried every division of the spaces needed half a minute.
    t.ok(user + system < 2_000_000, `${line.slice(0, 5)} costs ${user + system} µs`)
  }
})
