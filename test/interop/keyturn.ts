/** Keyturn as a newcomer starts it: a process, commands pasted into a shell, and a person with a browser. */
import type { Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { completePages } from '../support/browser/sign-in.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'
import { overHttp } from '../support/server/http-inject.ts'
import { PASSWORD } from '../support/server/seed.ts'

export const ALICE = { name: 'Alice Able', email: 'alice@example.test' }
export const SCOPE = 'openid profile email'

interface Registered {
  readonly id: string
  readonly secret: string
}

export interface Keyturn {
  readonly issuer: string
  /** Runs a command with `--json` in the folder of the server, and returns what it prints. */
  command<T = Record<string, unknown>>(line: string): Promise<T>
  /** Registers a client with the command of docs/sign-in.md, and at most one more option. */
  register(redirectUri: string, more?: string): Promise<Registered>
  /** A browser without scripts at Keyturn. */
  browser(): Browser
}

/** A server process with one account; `settings` without the prefix. */
export async function startKeyturn(t: Test, settings: Record<string, string> = {}): Promise<Keyturn> {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const folder = checkout(t)
  const env = shellEnvironment(
    Object.fromEntries(
      Object.entries({ ...settings, PORT: String(port) }).map(([name, value]) => [`KEYTURN_${name}`, value]),
    ),
  )
  await terminal(t, folder, env, 'npx keyturn serve --json')
  const user = `npx keyturn users create alice --name "${ALICE.name}" --email ${ALICE.email} --email-verified`
  await paste(folder, env, `printf %s '${PASSWORD}' | ${user} --password-stdin`)

  const command = async <T>(line: string) =>
    JSON.parse(await paste(folder, env, `npx keyturn ${line} --json`)) as T
  return {
    issuer,
    command,
    async register(redirectUri, more = '') {
      const made = await command<{ client_id: string; client_secret?: string }>(
        'clients create --name "The shop" --grant authorization_code --grant refresh_token ' +
          `--scope "${SCOPE} offline_access" --redirect-uri ${redirectUri} ` +
          `--post-logout-redirect-uri ${new URL(redirectUri).origin}/ ${more}`,
      )
      return { id: made.client_id, secret: made.client_secret ?? '' }
    },
    browser: () => openBrowser(overHttp(issuer)),
  }
}

export const basicAuthorization = (id: string, secret: string): string =>
  `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

/** Where the application under test will listen. */
export const applicationOrigin = async (): Promise<string> => `http://localhost:${await freePort()}`

/** From the page that starts a sign-in, through Keyturn’s pages, to the request that the application gets. */
export async function signInAt(browser: Browser, start: string): Promise<NonNullable<Page['away']>> {
  const { away, status, body } = await completePages(browser, await browser.open(start))
  if (!away) throw new Error(`Keyturn did not lead back to the application: ${status} ${textOf(body)}`)
  return away
}

/** What a person reads on a page. */
const textOf = (body: string): string =>
  body
    .replace(/<(style|script|title)[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()

/** One person’s browser, at the application and at Keyturn. */
export interface Person {
  readonly app: Browser
  readonly issuer: Browser
  /** From a page of the application through Keyturn’s pages, until the application shows something. */
  signIn(start: Page): Promise<Page>
}

export function person(keyturn: Keyturn, app: string): Person {
  const one = { app: openBrowser(overHttp(app)), issuer: keyturn.browser() }
  return {
    ...one,
    async signIn(start) {
      if (!start.away)
        throw new Error(`the application did not start a sign-in: ${start.status} ${start.body}`)
      const { method, url, params } = await signInAt(one.issuer, start.away.url)
      return method === 'GET'
        ? one.app.open(url, { from: 'cross-site' })
        : one.app.open(url, { method, body: params.toString(), from: 'cross-site' })
    },
  }
}
