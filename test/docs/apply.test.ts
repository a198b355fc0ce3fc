/** The example of docs/apply.md, as it stands there. */
import { execFileSync } from 'node:child_process'
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
  const [secrets = ''] = blocks('sh apply-secrets')
  t.ok(secrets.endsWith('\nnpx keyturn apply -f keyturn.yaml\n'))
  let REPORT_SECRET = ''
  const apply = async (text: string, ...more: string[]) => {
    writeFileSync(join(cli.dir, 'keyturn.yaml'), text)
    const command = ['apply', '-f', 'keyturn.yaml', ...more]
    const { out, err, code } = await cli.run(command, { variables: { REPORT_SECRET } })
    t.equal(code, 0, err)
    return out
  }
  t.equal(await apply(document, '--dry-run'), created)
  const choose = secrets.replace(/npx keyturn.*\n$/, 'printf %s "$REPORT_SECRET"')
  REPORT_SECRET = execFileSync('sh', ['-c', choose], { cwd: cli.dir, encoding: 'utf8' })
  t.match(REPORT_SECRET, /^[0-9a-f]{64}$/)
  await apply(document)
  t.equal(await apply(document), 'nothing to change\n')
  const edited = document
    .replace('    access_token_ttl: 5m\n', '')
    .replace('[orders:read, orders:write]', '[orders:read]')
  t.equal(await apply(edited, '--dry-run'), changed)
})
