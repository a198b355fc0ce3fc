/** A user with a browser: pages, cookies and forms; and the client that redeems the code. */
import { createHash, randomBytes } from 'node:crypto'
import { type Agent, type IncomingHttpHeaders, request as send } from 'node:http'
import { basic, CALLBACK, CLIENT_ID, PASSWORD, SCOPE, type Subject, USER_COUNT } from './subject.ts'

const FORM = 'application/x-www-form-urlencoded'
const MAX_REDIRECTS = 5

interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** An authorization code and what its token request needs. */
export interface Code {
  readonly code: string
  readonly verifier: string
}

export interface Browser {
  /** Signs the user in, unless the browser has a session already. @throws if any step fails */
  authorize(): Promise<Code>
}

/** The parameters of the token request for a code. */
export const redemption = ({ code, verifier }: Code): URLSearchParams =>
  new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: CALLBACK,
    code_verifier: verifier,
  })

/** Runs the authorization code flow with a login and returns the token response. @throws if any step fails */
export async function signInOnce(subject: Subject, agent: Agent, index: number): Promise<string> {
  return redeemOnce(subject, agent, await openBrowser(subject, agent, index).authorize())
}

/** Returns the token response. @throws if the code is refused */
export async function redeemOnce(subject: Subject, agent: Agent, code: Code): Promise<string> {
  const { tokenUrl, secret } = subject
  const headers = { authorization: basic(secret) }
  const tokens = await sendRequest(agent, new URL(tokenUrl), headers, redemption(code))
  if (tokens.status !== 200) throw new Error(`${subject.name}: ${tokens.status} ${tokens.body}`)
  return tokens.body
}

/** @param index of the user */
export function openBrowser(subject: Subject, agent: Agent, index: number): Browser {
  const cookies = new Map<string, string>()

  /** Follows redirects until a page is shown or the browser is sent to the client. */
  async function follow(from: URL, form?: URLSearchParams): Promise<{ url: string; body: string }> {
    let [url, body] = [from, form]
    for (let i = 0; i < MAX_REDIRECTS; i += 1) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await sendRequest(agent, url, cookie === '' ? {} : { cookie }, body)
      for (const line of response.headers['set-cookie'] ?? []) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        cookies.set(name, value)
      }
      const { location } = response.headers
      if (location === undefined) {
        if (response.status !== 200) throw new Error(`${subject.name}: ${response.status} ${response.body}`)
        return { url: url.href, body: response.body }
      }
      if (location.startsWith(CALLBACK)) return { url: location, body: '' }
      ;[url, body] = [new URL(location, url), undefined]
    }
    throw new Error(`${subject.name}: too many redirects`)
  }

  return {
    async authorize() {
      const verifier = randomBytes(32).toString('base64url')
      const request = new URLSearchParams({
        client_id: CLIENT_ID,
        response_type: 'code',
        redirect_uri: CALLBACK,
        scope: `openid ${SCOPE}`,
        state: 'state',
        nonce: 'nonce',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      })
      let page = await follow(new URL(`${subject.authorizeUrl}?${request}`))
      if (!page.url.startsWith(CALLBACK)) {
        const { action, fields } = loginForm(page.body)
        const credentials = new URLSearchParams({
          ...fields,
          username: `bench-${index % USER_COUNT}`,
          password: PASSWORD,
        })
        page = await follow(new URL(action, page.url), credentials)
      }
      const code = new URL(page.url).searchParams.get('code')
      if (!page.url.startsWith(`${CALLBACK}?`) || !code) {
        throw new Error(`${subject.name}: ended at ${page.url}`)
      }
      return { code, verifier }
    },
  }
}

/** Finds the login form. The hidden values of both servers are base64url or empty, so they need no unescaping. */
function loginForm(body: string): { action: string; fields: Record<string, string> } {
  const [, action = '', content = ''] =
    /<form [^>]*action="([^"]*)"[^>]*>([\s\S]*?name="password"[\s\S]*?)<\/form>/.exec(body) ?? []
  if (action === '') throw new Error(`no login form: ${body}`)
  const hidden = [...content.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  return { action, fields: Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, value])) }
}

function sendRequest(
  agent: Agent,
  url: URL,
  headers: Record<string, string>,
  form: URLSearchParams | undefined,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const body = form?.toString()
    const formHeaders =
      body === undefined ? {} : { 'content-type': FORM, 'content-length': Buffer.byteLength(body) }
    const options = {
      agent,
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...formHeaders },
    }
    const request = send(url, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, body: Buffer.concat(chunks).toString() })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
