/**
 * A browser without scripts on top of `inject`: a cookie jar by RFC 6265bis, redirects, the forms of a page, and the
 * headers by which browsers state where a request comes from. It never leaves the server: a request to another origin
 * is kept as `away`.
 */
import type { LightMyRequestResponse } from 'fastify'
import type { Config } from '../../../src/config/load.ts'
import type { Clock } from '../../../src/system.ts'
import type { TestServer } from '../server/server.ts'
import { type Cookie, parseCookie } from './cookie-browser.ts'

/** Anything that answers requests like a test server; with `overHttp`, one that runs elsewhere. */
export interface Served extends Pick<TestServer, 'inject'> {
  readonly clock: Clock
  readonly config: Pick<Config, 'issuer'>
}

interface Form {
  readonly method: 'GET' | 'POST'
  readonly action: string
  /** Names and values that the unchanged form would submit, without buttons and unchecked boxes. */
  readonly fields: ReadonlyMap<string, string>
  readonly checkboxes: ReadonlyMap<string, string>
  /** Values of the submit buttons by name. */
  readonly buttons: readonly { readonly name: string | undefined; readonly value: string }[]
}

/** A request to another origin, which was not sent. */
interface Away {
  readonly method: 'GET' | 'POST'
  /** As written in the header or the form. */
  readonly url: string
  /** From the query or the form. */
  readonly params: URLSearchParams
}

export interface Page {
  readonly url: string
  readonly path: string
  readonly status: number
  readonly headers: LightMyRequestResponse['headers']
  readonly body: string
  readonly location: string | undefined
  readonly away: Away | null
  readonly forms: readonly Form[]
  /** @throws Error if there is no such form */
  form(path?: string): Form
  /** The targets of its links. */
  readonly links: readonly string[]
}

/** Where a request comes from: one of our pages, the address bar, or another site’s page. */
type From = 'same-origin' | 'none' | 'cross-site'

interface RequestOptions {
  readonly method?: 'GET' | 'POST'
  readonly body?: string
  readonly headers?: Record<string, string>
  readonly from?: From
}

interface FormInput {
  /** The path of the form’s action; may be omitted if there is one form. */
  readonly form?: string
  readonly fill?: Readonly<Record<string, string>>
  readonly check?: readonly string[]
  /** The value of the button. */
  readonly press?: string
}

export interface Browser {
  /** One request; redirects are not followed. */
  request(url: string, how?: RequestOptions): Promise<Page>
  /** As from the address bar or a link: redirects are followed as long as they stay on the server. */
  open(url: string, how?: RequestOptions): Promise<Page>
  /** Submits a form of a page, and follows redirects. */
  submit(page: Page, input?: FormInput): Promise<Page>
  /** Submits a form of a page without following the redirect. */
  send(page: Page, input?: FormInput): Promise<Page>
  /** By name; only those that would still be sent. */
  cookies(): ReadonlyMap<string, string>
  /** With their attributes, as they were set. */
  readonly jar: Map<string, Cookie & { readonly until: number }>
  /** Continues at another server, as after a restart. */
  server: Served
}

const MAX_REDIRECTS = 10

export function openBrowser(
  server: Served,
  { userAgent = 'Mozilla/5.0 (test)' }: { readonly userAgent?: string } = {},
): Browser {
  const jar: Browser['jar'] = new Map()
  const { origin, protocol, hostname } = new URL(server.config.issuer)
  const secure = protocol === 'https:' || hostname === 'localhost'

  function receive(headers: LightMyRequestResponse['headers'], from: URL): void {
    for (const line of [headers['set-cookie'] ?? []].flat()) {
      const cookie = parseCookie(line)
      const { name, value, attributes } = cookie
      // RFC 6265bis §5.7: the tests must not keep a cookie that a browser would not.
      if ('secure' in attributes && !secure) continue
      const hostOnly = 'secure' in attributes && attributes.path === '/' && !('domain' in attributes)
      if (name.startsWith('__Host-') && !hostOnly) continue
      if (name.startsWith('__Secure-') && !('secure' in attributes)) continue
      if (name.length + value.length > 4096) continue
      if (attributes.domain !== undefined && attributes.domain !== from.hostname) continue
      const until = endOf(attributes)
      if (until <= browser.server.clock.now()) jar.delete(name)
      else jar.set(name, { ...cookie, until })
    }
  }

  function endOf({ 'max-age': age, expires }: Cookie['attributes']): number {
    if (age !== undefined) return browser.server.clock.now() + Number(age)
    return expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires) / 1000
  }

  function cookieHeader(url: URL, method: string, from: From): Record<string, string> {
    const pairs = [...jar.values()].filter(({ attributes, until }) => {
      const path = attributes.path ?? '/'
      const below = url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
      const sameSite = attributes.samesite?.toLowerCase() ?? 'lax'
      const foreign = from === 'cross-site' && (sameSite === 'strict' || method !== 'GET')
      return below && until > browser.server.clock.now() && !(foreign && sameSite !== 'none')
    })
    const text = pairs.map(({ name, value }) => `${name}=${value}`).join('; ')
    return text === '' ? {} : { cookie: text }
  }

  async function request(
    target: string,
    { method = 'GET', body, headers, from = 'none' }: RequestOptions = {},
  ) {
    const url = new URL(target, origin)
    if (url.origin !== origin) throw new Error(`${target} is not the server's`)
    const answer = await browser.server.inject({
      method,
      // Unchanged: a URL normalized by a parser would not be the one under test.
      url: target.startsWith(origin) ? target.slice(origin.length) || '/' : target,
      headers: {
        host: url.host,
        'user-agent': userAgent,
        accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
        'sec-fetch-site': from,
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        ...(body === undefined
          ? {}
          : // Our pages send no referrer, so browsers do not name the origin of their forms either (Fetch §4.6).
            { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' }),
        ...cookieHeader(url, method, from),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: body }),
    })
    receive(answer.headers, url)
    return pageOf(url.href, answer, origin)
  }

  async function follow(first: Page, from: From): Promise<Page> {
    let page = first
    for (let i = 0; page.location !== undefined && page.away === null; i += 1) {
      if (i === MAX_REDIRECTS) throw new Error(`too many redirects, at last to ${page.location}`)
      page = await request(new URL(page.location, page.url).href, { from })
    }
    return page
  }

  async function send(page: Page, input: FormInput = {}): Promise<Page> {
    const form = page.form(input.form)
    const pairs = new Map(form.fields)
    for (const [name, value] of Object.entries(input.fill ?? {})) {
      if (!pairs.has(name)) throw new Error(`the form has no field ${name}`)
      pairs.set(name, value)
    }
    for (const name of input.check ?? []) {
      const value = form.checkboxes.get(name)
      if (value === undefined) throw new Error(`the form has no checkbox ${name}`)
      pairs.set(name, value)
    }
    const pressed =
      input.press === undefined ? form.buttons[0] : form.buttons.find(({ value }) => value === input.press)
    if (!pressed) throw new Error(`the form has no button ${input.press}`)
    if (pressed.name !== undefined) pairs.set(pressed.name, pressed.value)
    const params = new URLSearchParams([...pairs])
    const action = new URL(form.action, page.url)
    if (action.origin !== origin) {
      return { ...page, location: undefined, away: { method: form.method, url: form.action, params } }
    }
    return form.method === 'GET'
      ? request(`${action.href.replace(/\?.*/, '')}?${params}`, { from: 'same-origin' })
      : request(action.href, { method: 'POST', body: params.toString(), from: 'same-origin' })
  }

  const browser: Browser = {
    server,
    jar,
    request,
    open: async (url, how = {}) => follow(await request(url, how), how.from ?? 'none'),
    send,
    submit: async (page, input) => follow(await send(page, input), 'same-origin'),
    cookies: () =>
      new Map(
        [...jar.values()]
          .filter(({ until }) => until > browser.server.clock.now())
          .map(({ name, value }) => [name, value]),
      ),
  }
  return browser
}

function pageOf(url: string, { statusCode, headers, body }: LightMyRequestResponse, origin: string): Page {
  const location = headers.location === undefined ? undefined : String(headers.location)
  const forms = formsOf(body)
  // A page that submits itself acts like a redirect.
  const refresh = tags(body).find(({ attributes }) => attributes.get('http-equiv') === 'refresh')
  const next = location ?? /^0;url=(.*)$/s.exec(refresh?.attributes.get('content') ?? '')?.[1]
  return {
    url,
    path: new URL(url).pathname,
    status: statusCode,
    headers,
    body,
    location,
    away: next === undefined ? null : awayOf(next, url, origin),
    forms,
    links: tags(body)
      .filter(({ name }) => name === 'a')
      .map(({ attributes }) => attributes.get('href') ?? ''),
    form(path) {
      const found =
        path === undefined
          ? forms[0]
          : forms.find(({ action }) => new URL(action, url).pathname.endsWith(path))
      if (!found || (path === undefined && forms.length > 1)) {
        const actions = forms.map(({ action }) => action).join(', ')
        throw new Error(`${statusCode} ${url}: no form ${path ?? ''} but ${actions || 'none'}`)
      }
      return found
    },
  }
}

function awayOf(location: string, base: string, origin: string): Away | null {
  const target = new URL(location, base)
  return target.origin === origin ? null : { method: 'GET', url: location, params: target.searchParams }
}

interface Tag {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
}

/** Opening tags in order, and closing ones with their slash. Our templates quote every value. */
export function tags(markup: string): Tag[] {
  const found: Tag[] = []
  for (const [, name = '', rest = ''] of markup.matchAll(/<(\/?[a-z][a-z0-9]*)((?:[^>"]|"[^"]*")*)>/gi)) {
    const attributes = new Map<string, string>()
    for (const [, key = '', value = ''] of rest.matchAll(/([^\s="]+)(?:="([^"]*)")?/g)) {
      attributes.set(key, unescaped(value))
    }
    found.push({ name: name.toLowerCase(), attributes })
  }
  return found
}

/** Text areas and selections as inputs with the value that the unchanged form would submit. */
function asInputs(markup: string): string {
  return markup
    .replace(/<textarea([^>]*)>\n?([^<]*)<\/textarea>/g, '<input$1 value="$2">')
    .replace(/<select([^>]*)>(.*?)<\/select>/gs, (_, attributes, options: string) => {
      const chosen =
        /<option value="([^"]*)" selected>/.exec(options) ?? /<option value="([^"]*)"/.exec(options)
      return `<input${attributes} value="${chosen?.[1] ?? ''}">`
    })
}

function formsOf(markup: string): Form[] {
  const forms: Form[] = []
  let current: Tag[] | undefined
  for (const tag of tags(asInputs(markup))) {
    if (tag.name === 'form') current = [tag]
    else if (tag.name === '/form' && current) {
      forms.push(formOf(current))
      current = undefined
    } else current?.push(tag)
  }
  return forms
}

function formOf([form, ...controls]: Tag[]): Form {
  const fields = new Map<string, string>()
  const checkboxes = new Map<string, string>()
  const buttons: { name: string | undefined; value: string }[] = []
  for (const { name, attributes } of controls) {
    const [field, value] = [attributes.get('name'), attributes.get('value') ?? '']
    if (name === 'button' && (attributes.get('type') ?? 'submit') === 'submit') {
      buttons.push({ name: field, value })
    }
    if (name !== 'input' || field === undefined) continue
    if (attributes.get('type') !== 'checkbox') fields.set(field, value)
    else {
      checkboxes.set(field, value)
      if (attributes.has('checked')) fields.set(field, value)
    }
  }
  const method = form?.attributes.get('method')?.toLowerCase() === 'post' ? 'POST' : 'GET'
  return { method, action: form?.attributes.get('action') ?? '', fields, checkboxes, buttons }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&#96;': '`',
}

const unescaped = (text: string): string =>
  text.replace(/&(?:amp|lt|gt|quot|#39|#96);/g, (entity) => ENTITIES[entity] ?? '')
