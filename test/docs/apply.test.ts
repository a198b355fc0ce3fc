/** The example of docs/apply.md, as it stands there. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { read } from '../support/docs/documents.ts'
import { startedCli } from '../support/processes/cli.ts'

/** The blocks of the page in this language. */
const blocks = (language: string): string[] =>
  [...read('docs/apply.md').matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, text = '']) => text,
  )

t.test('the example prints what docs/apply.md says, and works', async (t) => {
  const cli = await startedCli(t as Test)
  const [document = ''] = blocks('yaml')
  const [created, changed] = blocks('text')
  const apply = async (text: string, ...more: string[]) => {
    writeFileSync(join(cli.dir, 'keyturn.yaml'), text)
    const variables = { REPORT_SECRET: 'a secret from the environment' }
    const { out, err, code } = await cli.run(['apply', '-f', 'keyturn.yaml', ...more], { variables })
    t.equal(code, 0, err)
    return out
  }
  t.equal(await apply(document, '--dry-run'), created)
  writeFileSync(join(cli.dir, 'shop.secret'), 'a secret from a file', { mode: 0o600 })
  await apply(document)
  t.equal(await apply(document), 'nothing to change\n')
  const edited = document
    .replace('    access_token_ttl: 5m\n', '')
    .replace('[orders:read, orders:write]', '[orders:read]')
  t.equal(await apply(edited, '--dry-run'), changed)
})
