/** The commands of docs/sender-constrained.md and docs/fapi.md, as they stand there, with real processes and certificates of OpenSSL. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import t from 'tap'
import { codeBlocks, read } from '../support/docs/documents.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'

const PORT = await freePort()
const MTLS_PORT = await freePort()
const env = shellEnvironment({ KEYTURN_PORT: String(PORT) })

/** The block that the page names so, with the ports of this test. */
function block(page: string, name: string): string {
  const found = codeBlocks(read(page)).find(({ info }) => info === name)
  if (!found) throw new Error(`${page} has no block ${name}`)
  return found.text.replaceAll('localhost:3000', `localhost:${PORT}`).replaceAll('3443', String(MTLS_PORT))
}

t.test('the certificates of docs/sender-constrained.md authenticate clients and bind tokens', async (t) => {
  const page = 'docs/sender-constrained.md'
  const folder = checkout(t)
  await paste(folder, env, block(page, 'mutual-tls'))
  writeFileSync(
    join(folder, '.env'),
    `${block(page, 'mutual-tls-settings')}KEYTURN_ALGORITHMS="ES256 RS256"\n`,
  )
  await terminal(t, folder, env, 'npm start')
  const ready = `curl -fs --cacert server.crt https://localhost:${PORT}/health/ready`
  while (!(await paste(folder, env, ready).catch(() => ''))) await sleep(50)

  const token = block(page, 'mutual-tls-token')
  const request = token.slice(token.indexOf('curl'))
  const answers = [
    await paste(folder, env, token),
    await paste(
      folder,
      env,
      block(page, 'mutual-tls-self-signed') + request.replace('client_id=billing', 'client_id=self-signed'),
    ),
  ].map((output) => JSON.parse(output.trim().split('\n').at(-1) ?? ''))
  const bindings = answers.map(({ access_token }) => decodeJwt<{ cnf?: object }>(access_token).cnf)
  t.match(bindings[0], { 'x5t#S256': /^[\w-]{43}$/ }, 'the token is bound to the certificate')
  t.same(bindings[1], bindings[0], 'and so is that of the client whose certificate is registered itself')

  const fapi = block('docs/fapi.md', 'fapi-keys') + block('docs/fapi.md', 'fapi-client')
  t.match(
    await paste(folder, env, fapi),
    /^profile +fapi2$/m,
    'the commands of docs/fapi.md register a client in a ring with ES256',
  )
})
