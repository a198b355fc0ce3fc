/** Cookies and redirects of a browser: real HTTP, a jar that follows RFC 6265bis, no scripts. */
import { type IncomingHttpHeaders, request as send } from 'node:http'

export interface Cookie {
  readonly name: string
  readonly value: string
  /** Lower-case names; a flag’s value is ''. */
  readonly attributes: Readonly<Record<string, string>>
}

export interface Answer {
  readonly url: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly location: string | undefined
  json(): Record<string, unknown>
}

interface RequestOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
}

export interface JarBrowser {
  /** One request without following redirects, with the cookies of the origin. */
  request(url: string, how?: RequestOptions): Promise<Answer>
  /** As if typed into the address bar: redirects are followed, up to one for which `until` is true. */
  visit(url: string, until?: (url: string) => boolean): Promise<Answer>
  cookies(origin: string): Map<string, Cookie>
  setCookie(origin: string, name: string, value: string): void
  /** Applies the cookies of a response, again or late. */
  receive(answer: Answer): void
  /** Every response so far, including redirects. */
  readonly seen: Answer[]
}

/** `hosts`: the real address of an origin that has a name. */
export function jarBrowser(hosts: ReadonlyMap<string, string>): JarBrowser {
  const jars = new Map<string, Map<string, Cookie>>()
  const seen: Answer[] = []
  const jarOf = (origin: string) => {
    const jar = jars.get(origin) ?? new Map<string, Cookie>()
    jars.set(origin, jar)
    return jar
  }

  function storeCookie(url: URL, line: string): void {
    const cookie = parseCookie(line)
    const { attributes } = cookie
    const secure = url.protocol === 'https:'
    if ('secure' in attributes && !secure) return
    const hostOnly = 'secure' in attributes && attributes.path === '/' && !('domain' in attributes)
    if (cookie.name.startsWith('__Host-') && !hostOnly) return
    if (cookie.name.length + cookie.value.length > 4096) return
    if (attributes['max-age'] !== undefined && Number(attributes['max-age']) <= 0) {
      jarOf(url.origin).delete(cookie.name)
    } else {
      jarOf(url.origin).set(cookie.name, cookie)
    }
  }

  const receive = ({ url, headers }: Answer) => {
    for (const line of headers['set-cookie'] ?? []) storeCookie(new URL(url), line)
  }

  async function request(
    target: string,
    { method = 'GET', headers = {} }: RequestOptions = {},
  ): Promise<Answer> {
    const url = new URL(target)
    const path = (given: string | undefined) => url.pathname.startsWith(given ?? '/')
    const cookie = [...jarOf(url.origin).values()]
      .filter(({ attributes }) => path(attributes.path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const real = (hosts.get(url.origin) ?? url.origin) + url.pathname + url.search
    const answer = await new Promise<Answer>((resolve, reject) => {
      const sent = { host: url.host, ...(cookie === '' ? {} : { cookie }), ...headers }
      const request = send(real, { method, headers: sent }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString()
          const { location } = response.headers
          resolve({
            url: target,
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            location: location === undefined ? undefined : new URL(location, url).href,
            json: () => JSON.parse(body),
          })
        })
      })
      request.on('error', reject)
      request.end()
    })
    receive(answer)
    seen.push(answer)
    return answer
  }

  return {
    request,
    receive,
    async visit(url, until = () => false) {
      const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
      let answer = await request(url, { headers })
      while (answer.location !== undefined && !until(answer.location)) {
        answer = await request(answer.location, { headers })
      }
      return answer
    },
    cookies: jarOf,
    setCookie(origin, name, value) {
      jarOf(origin).set(name, { name, value, attributes: { path: '/', httponly: '' } })
    },
    seen,
  }
}

export function parseCookie(line: string): Cookie {
  const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
  const halves = (text: string) => {
    const at = text.indexOf('=')
    return at < 0 ? ([text, ''] as const) : ([text.slice(0, at), text.slice(at + 1)] as const)
  }
  const [name, value] = halves(pair)
  const attributes = Object.fromEntries(
    rest.map((part) => {
      const [key, content] = halves(part)
      return [key.toLowerCase(), content]
    }),
  )
  return { name, value, attributes }
}
