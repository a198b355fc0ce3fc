import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { codeBlocks, read } from '../support/docs/documents.ts'
import {
  checkout,
  paste as pasteInto,
  shellEnvironment,
  type Terminal,
  terminal,
} from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'

const PORT = await freePort()
const URL = `http://localhost:${PORT}`

const env = shellEnvironment({ KEYTURN_PORT: String(PORT) })
const paste = (folder: string, block: string, before?: string) => pasteInto(folder, env, block, before)

/** Runs `npm start` until it answers. Ctrl-C reaches everything in its process group. */
async function start(t: Test, folder: string): Promise<Terminal> {
  const npm = await terminal(t, folder, env, 'npm start')
  while (!(await answers())) await sleep(50)
  return npm
}

const answers = () =>
  fetch(`${URL}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )

const withTestUrl = (block: string) => block.replaceAll('http://localhost:3000', URL)
const blocks = ['README.md', 'docs/sign-in.md', 'docs/admin-api.md']
  .flatMap((page) => codeBlocks(read(page)))
  .filter(({ language }) => language === 'sh')
  .map(({ info, text }) => ({ info, text: withTestUrl(text) }))
const [install, token, keys, offline, turn] = blocks
  .filter(({ info }) => info.startsWith('five-minutes'))
  .map(({ text }) => text)
const named = (name: string) => blocks.find(({ info }) => info === name)?.text
const signIn = named('sign-in')
const passwordGrant = named('password-grant')
const adminApi = [named('admin-client'), named('admin-first-steps')].join('')

t.test('the README’s commands and those printed by serve return a first token when pasted', async (t) => {
  t.equal(install, 'npm ci\nnpm start\n')
  if (!token || !keys || !offline || !turn || !signIn || !passwordGrant)
    throw new Error('a page lost a block')
  const folder = checkout(t)
  const first = await start(t, folder)

  const printed = first
    .output()
    .split('\n')
    .filter((line) => line.startsWith('  '))
    .map((line) => line.trim())
  t.same(printed, token.trim().split('\n'), 'serve prints what the README says')

  // Once with the real npx.
  const answer = JSON.parse((await paste(folder, printed.join('\n'), '')).split('\n').at(-1) ?? '')
  t.match(answer, { token_type: 'Bearer', expires_in: 600, scope: 'orders:read' })

  await paste(folder, keys)
  await first.stop()
  t.notOk(await answers(), 'the server is down')
  t.match(await paste(folder, offline), /client_id: 'hello'/, 'the token verifies without it')
  const old = (await paste(folder, 'printf %s "$TOKEN"')).trim()
  await t.rejects(
    paste(folder, `TOKEN=${old.slice(0, -8)}AAAAAAAA\n${offline}`),
    'a damaged token does not verify',
  )

  t.match(await paste(folder, turn), /active.*retiring|retiring.*active/s)
  await start(t, folder)
  const fresh = JSON.parse(
    (await paste(folder, withTestUrl(token.split('\n').at(-2) ?? ''))).trim(),
  ).access_token
  const before = createLocalJWKSet(JSON.parse(readFileSync(join(folder, 'jwks.json'), 'utf8')))
  const after = createLocalJWKSet(
    (await (await fetch(`${URL}/.well-known/jwks.json`)).json()) as JSONWebKeySet,
  )
  const kids: unknown[] = []
  for (const keySet of [before, after]) {
    for (const one of [old, fresh]) kids.push((await jwtVerify(one, keySet)).protectedHeader.kid)
  }
  t.equal(new Set(kids).size, 2, 'old and new keys signed, and both tokens verify with both key sets')

  const refreshed = JSON.parse((await paste(folder, signIn + passwordGrant)).split('\n').at(-1) ?? '')
  t.match(
    refreshed,
    { scope: 'orders:read orders:write', refresh_token: /^ktr\./ },
    'users, roles and refresh',
  )

  const administered = await paste(folder, adminApi)
  t.match(
    administered,
    /"client_secret":"ktcs_/,
    'the first steps of the administration API come after those of the README',
  )
  t.notMatch(administered, 'urn:keyturn:problem')
})
