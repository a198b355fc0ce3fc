/** The pages without a browser: what must never appear in one, and what must always appear. */
import { Script } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { assetUrls, createAssets } from '../../src/views/assets.ts'
import { DEFAULT_BRAND } from '../../src/views/branding.ts'
import { browserName, systemName } from '../../src/views/browser-name.ts'
import { contrast, parseColor } from '../../src/views/contrast.ts'
import { address, html } from '../../src/views/html.ts'
import { isAccountNotice } from '../../src/views/pages/account.ts'
import { redirectDestination } from '../../src/views/redirect-destination.ts'
import { chooseLocale, LOCALES, textsIn } from '../../src/views/texts/index.ts'
import { imports } from '../support/docs/source-imports.ts'
import { pageContext, samples } from './page-samples.ts'

interface Tag {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
}

const plain = (text: string) =>
  text
    .replace(
      /&(lt|gt|quot|#39|#96);/g,
      (_, name) => ({ lt: '<', gt: '>', quot: '"', '#39': "'", '#96': '`' })[name as 'lt'],
    )
    .replaceAll('&amp;', '&')

/** Strict: a bracket that begins no tag in our style, or an entity we do not write, is a failure. */
function tagsOf(page: string): Tag[] {
  const tags: Tag[] = []
  const text = page.replace(
    /<(\/?[a-z][a-z0-9]*|!doctype)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)\s*>/g,
    (_, name, rest) => {
      const attributes = [...rest.matchAll(/([a-z-]+)(?:="([^"]*)")?/g)]
      tags.push({
        name,
        attributes: Object.fromEntries(attributes.map(([, key, value]) => [key, plain(value ?? '')])),
      })
      return ''
    },
  )
  if (/[<>]/.test(text)) throw new Error(`not a tag: ${/.{0,40}[<>].{0,40}/s.exec(text)?.[0]}`)
  if (/&(?!(amp|lt|gt|quot|#39|#96);)/.test(page)) throw new Error('a bare ampersand')
  return tags
}

/** The structure of a page without its text. */
const skeleton = (page: string) =>
  tagsOf(page).map(({ name, attributes }) => [name, ...Object.keys(attributes)].join(' '))

const textOf = (page: string, tag: string) =>
  plain(new RegExp(`<${tag}(?: [^>]*)?>(.*?)</${tag}>`, 's').exec(page)?.[1]?.replace(/<[^>]*>/g, '') ?? '')

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '" autofocus onfocus="alert(1)',
  '`+alert(1)+`',
  '</title></textarea></style></script><svg onload=alert(1)>',
  '--><!--<![CDATA[',
  'javascript:alert(1)',
  ' \u0001java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  '&lt;script&gt;&#60;&amp;',
  '\u202Egnp.exe\u2066',
  '{{7*7}}<%= 7 %>',
  '\0<b\0>',
]

/** Whether an attribute’s value is a URL with a scripting scheme. */
const runs = ({ name, attributes }: Tag) =>
  ['href', 'src', 'action'].filter((key) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: browsers skip them
    const value = attributes[key]?.replace(/[\u0000-\u0020]/g, '') ?? ''
    const picture = name === 'img' && value.startsWith('data:image/svg+xml;base64,')
    return !picture && /^(javascript|data|vbscript):/i.test(value)
  })

t.test('no external text becomes markup in any field of any page (XSS corpus)', async (t) => {
  const english = pageContext('en')
  for (const { title, renderWith } of samples) {
    const expected = skeleton(renderWith('plain', english))
    const problems = HOSTILE.filter((text) => {
      const page = renderWith(text, { ...english, csrf: text })
      return skeleton(page).join() !== expected.join() || tagsOf(page).flatMap(runs).length > 0
    })
    t.same(problems, [], title)
  }
})

t.test('the brand’s name and the logo’s content type never become markup', async (t) => {
  for (const text of HOSTILE) {
    const brand = { ...DEFAULT_BRAND, name: text, logo: { contentType: text, body: Buffer.from('') } }
    const [hostile, plainly] = [
      pageContext('de', { brand }),
      pageContext('de', { brand: { ...brand, name: 'Acme' } }),
    ]
    for (const { title, render } of samples.filter(({ title }) => /^(login|sign out|account)$/.test(title))) {
      t.same(skeleton(render(hostile)), skeleton(render(plainly)), `${title}: ${text}`)
    }
  }
})

t.test('text is shown exactly as given', async (t) => {
  const [login] = samples
  const given = `Tom & "Jerry's" <Ltd> \``
  const page = login?.renderWith(given, pageContext()) ?? ''
  t.match(textOf(page, 'bdi'), given)
  t.equal(tagsOf(page).find(({ attributes }) => attributes.name === 'username')?.attributes.value, given)
})

t.test('names are wrapped in bdi, so that they cannot reverse the sentence around them', async (t) => {
  for (const { title, renderWith } of samples.filter(({ title }) =>
    /^(login|consent|account)$/.test(title),
  )) {
    const body = renderWith('N4ME', pageContext()).replace(/<title>.*<\/title>/, '')
    const shown = body.replace(
      /<bdi[^>]*>N4ME<\/bdi>|"[^"]*"|<span class="visually-hidden">: N4ME<\/span>/g,
      '',
    )
    t.notMatch(shown, /N4ME/, title)
  }
})

t.test(
  'a template accepts text, numbers and templates, no look-alikes, and only quoted attributes',
  async (t) => {
    t.equal(
      html`<p a="${'"'}">${['<', html`<b>${1}</b>`, null, false, undefined]}</p>`.toString(),
      '<p a="&quot;">&lt;<b>1</b></p>',
    )
    t.throws(() => html`<p a=${'x'}>`, TypeError)
    const forged = JSON.parse('{"markup":"<script>","toString":"<script>"}')
    t.throws(() => html`<p>${forged}</p>`, TypeError)
    t.throws(() => html`<p>${(() => '<script>') as never}</p>`, TypeError)
  },
)

t.test('only views import the template module', async (t) => {
  const strays = imports.filter(
    ({ from, to }) => to === 'src/views/html.ts' && !from.startsWith('src/views/'),
  )
  t.same(strays, [])
})

t.test('a URL with a scripting scheme is not rendered as a link', async (t) => {
  for (const url of [
    'javascript:1',
    'JavaScript:1',
    '\tjava\nscript:1',
    '\u0000data:,',
    'vbscript:1',
    'blob:x',
  ]) {
    t.equal(address(url), 'about:invalid', url)
  }
  for (const url of [
    'https://a.example/?x=javascript:1',
    'com.example.app:/cb',
    '/login',
    'http://[::1]:8/',
  ]) {
    t.equal(address(url), url)
  }
})

/** What is wrong, in words. */
function faults(page: string, locale: string, known: ReadonlySet<string>): string[] {
  const tags = tagsOf(page)
  const all = (name: string) => tags.filter((tag) => tag.name === name)
  const ids = tags.flatMap(({ attributes }) => attributes.id ?? [])
  const labels = all('label').flatMap(({ attributes }) => attributes.for ?? [])
  const visible = all('input').filter(
    ({ attributes }) => attributes.type !== 'hidden' && !('hidden' in attributes),
  )
  const labelled = ({ attributes }: Tag) =>
    labels.includes(attributes.id ?? '') ||
    (attributes.type === 'checkbox' && /<label[^>]*><input type="checkbox"/.test(page))
  const named = tags.flatMap(({ attributes }) =>
    `${attributes['aria-describedby'] ?? ''} ${attributes['aria-labelledby'] ?? ''}`
      .split(' ')
      .filter(Boolean),
  )
  const faulty = (fault: string, is: boolean) => (is ? [fault] : [])
  return [
    ...faulty('begins otherwise', !page.startsWith('<!doctype html>\n')),
    ...faulty('language', all('html')[0]?.attributes.lang !== locale),
    ...['h1', 'main', 'header', 'title'].filter((one) => all(one).length !== 1),
    ...faulty('empty h1', textOf(page, 'h1') === ''),
    ...faulty('title', !/.+ · Keyturn$/.test(textOf(page, 'title'))),
    ...faulty('not a text', /undefined|\[object|NaN|\bnull\b|=>/.test(page)),
    ...faulty('style', all('style').length > 0),
    ...faulty('script', /<script(?! src="[^"]+" defer><\/script>)/.test(page)),
    ...tags.flatMap(({ attributes }) => Object.keys(attributes).filter((key) => /^(style$|on)/.test(key))),
    ...faulty(
      'a button of no type',
      all('button').some(({ attributes }) => !attributes.type),
    ),
    ...faulty(
      'a picture without words',
      all('img').some(({ attributes }) => !('alt' in attributes)),
    ),
    ...[...all('link'), ...all('script')]
      .map(({ attributes }) => attributes.href ?? attributes.src ?? '')
      .filter((url) => url !== '' && !known.has(url)),
    ...faulty('an id twice', new Set(ids).size !== ids.length),
    ...visible.filter((one) => !labelled(one)).map(({ attributes }) => `label of ${attributes.name}`),
    ...named.filter((id) => !ids.includes(id)),
    ...faulty('two want the focus', tags.filter(({ attributes }) => 'autofocus' in attributes).length > 1),
  ]
}

for (const locale of LOCALES) {
  t.test(`${locale}: every page is complete and contains no inline script or style (CSP)`, async (t) => {
    const context = pageContext(locale)
    const known = new Set(Object.values(context.assets))
    for (const { title, render } of samples) t.same(faults(render(context), locale, known), [], title)
  })
}

t.test('the completeness check detects incomplete pages', async (t) => {
  const context = pageContext()
  const page = samples[0]?.render(context) ?? ''
  const known = new Set(Object.values(context.assets))
  const breaks: readonly (readonly [string | RegExp, string, string])[] = [
    ['lang="en"', 'lang="de"', 'language'],
    ['<h1>', '<h1>x</h1><h1>', 'h1'],
    [/ · Keyturn<\/title>/, '</title>', 'title'],
    ['</head>', '<style></style></head>', 'style'],
    ['</head>', '<script></script></head>', 'script'],
    ['<h1>', '<h1 style="x">', 'style'],
    ['<h1>', '<h1 onclick="x">', 'onclick'],
    ['type="submit"', '', 'a button of no type'],
    [' alt=""', '', 'a picture without words'],
    [context.assets.style, '/other.css', '/other.css'],
    ['for="field-username"', '', 'label of username'],
    ['<h1>', '<h1 autofocus>', 'two want the focus'],
    ['<h1>', '<h1 aria-describedby="nothing">', 'nothing'],
    ['<h1>', '<h1 id="field-username">', 'an id twice'],
  ]
  for (const [from, to, fault] of breaks) t.same(faults(page.replace(from, to), 'en', known), [fault], fault)
})

t.test('every form to this server carries the CSRF token, and forms to other sites do not', async (t) => {
  const context = pageContext()
  const { csrf: _, ...without } = context
  for (const { title, render } of samples) {
    const page = render(context)
    const forms = [...page.matchAll(/<form method="post" action="([^"]*)"[\s\S]*?<\/form>/g)]
    t.equal(forms.length, page.split('<form').length - 1, `${title}: all forms post`)
    const ownForms = forms.filter(([, action]) => action?.startsWith('/tenant/'))
    const foreignForms = forms.filter(([, action]) => !action?.startsWith('/tenant/'))
    const tokens = ownForms.map(
      ([form]) => form.split('<input type="hidden" name="csrf" value="csrf-token">').length - 1,
    )
    t.ok(
      tokens.every((count) => count === 1),
      title,
    )
    t.notOk(
      foreignForms.some(([form]) => /csrf/.test(form)),
      `${title}: none for others`,
    )
    t.equal(foreignForms.length, title === 'form post' ? 1 : 0, title)
    if (ownForms.length > 0) t.throws(() => render(without), /no CSRF token/, title)
  }
})

t.test('an error is announced, linked to its field and first in the title', async (t) => {
  const page = samples.find(({ title }) => title === 'login: credentials')?.render(pageContext()) ?? ''
  t.match(page, /<div class="message bad" id="problem" role="alert" tabindex="-1">/)
  t.match(textOf(page, 'title'), /^Error: /)
  const password = tagsOf(page).find(({ attributes }) => attributes.name === 'password')?.attributes ?? {}
  t.match(password, { 'aria-invalid': 'true', 'aria-describedby': 'problem', autofocus: '' })
  const busy = samples.find(({ title }) => title === 'login: busy')?.render(pageContext()) ?? ''
  t.match(
    busy,
    /role="alert" tabindex="-1" autofocus>/,
    'where no field is at fault, the message has the focus',
  )
})

t.test('every field has the autocomplete value for password managers', async (t) => {
  const words = (title: string) =>
    tagsOf(samples.find((one) => one.title === title)?.render(pageContext()) ?? '')
      .filter(({ name, attributes }) => name === 'input' && attributes.type !== 'hidden')
      .map(({ attributes }) => attributes.autocomplete)
  t.same(words('login'), ['username webauthn', 'current-password'])
  t.same(words('login, once more'), ['username', 'current-password'])
  t.same(words('second factor, codes only'), ['one-time-code', 'off'])
  t.same(words('change password'), ['username', 'current-password', 'new-password', 'new-password'])
})

t.test(
  'the consent page names the host it redirects to, and says if the target is an app or a program on this device',
  async (t) => {
    const rows = [
      ['https://app.example/cb', { kind: 'host', host: 'app.example' }],
      ['https://app.example:8443/cb', { kind: 'host', host: 'app.example:8443' }],
      ['https://localhost.evil.example/', { kind: 'host', host: 'localhost.evil.example' }],
      ['https://notlocalhost/', { kind: 'host', host: 'notlocalhost' }],
      ['https://localhost@evil.example/', { kind: 'host', host: 'evil.example' }],
      ['https://аpple.example/', { kind: 'host', host: 'xn--pple-43d.example' }],
      ['http://localhost:8080/cb', { kind: 'device', host: 'localhost:8080' }],
      ['http://127.0.0.1:9/cb', { kind: 'device', host: '127.0.0.1:9' }],
      ['http://[::1]/cb', { kind: 'device', host: '[::1]' }],
      ['com.example.app:/cb', { kind: 'app', scheme: 'com.example.app:' }],
    ] as const
    for (const [uri, destination] of rows) t.same(redirectDestination(uri), destination, uri)
    const shown = (title: string) => samples.find((one) => one.title === title)?.render(pageContext()) ?? ''
    t.match(textOf(shown('consent'), 'main'), 'You will be redirected to app.example.')
    t.match(textOf(shown('consent, this device'), 'main'), 'a program on this device (localhost:8080)')
    t.match(textOf(shown('consent, an app'), 'main'), '(com.example.app:)')
  },
)

t.test('a scope without a translation is shown as it is', async (t) => {
  t.match(
    textOf(samples.find(({ title }) => title === 'consent')?.render(pageContext()) ?? '', 'main'),
    'toString',
  )
})

type Leaf = readonly [path: string, value: unknown]

const leaves = (value: unknown, path = ''): Leaf[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, item]) => leaves(item, path === '' ? key : `${path}.${key}`))
    : [[path, value]]

t.test('every language has every text, without duplicates', async (t) => {
  const english = leaves(textsIn('en'))
  for (const locale of LOCALES) {
    const own = new Map(leaves(textsIn(locale)))
    t.same(
      [...own.keys()],
      english.map(([path]) => path),
      locale,
    )
    const wrong = english.filter(([path, value]) => {
      const other = own.get(path)
      if (typeof value === 'function') return typeof other !== 'function' || other.length !== value.length
      return typeof other !== 'string' || other === '' || other.trim() !== other
    })
    t.same(wrong, [], locale)
  }
  const same = leaves(textsIn('de')).filter(([path, value]) =>
    english.some(([at, text]) => at === path && text === value),
  )
  t.same(
    same.map(([path]) => path),
    ['account.name', 'account.passkeys', 'enrolRequired.passkey'],
    'texts that are the same in German',
  )
})

/** Records which texts were requested. */
function watched<T extends object>(texts: T, seen: Set<string>, path = ''): T {
  return new Proxy(texts, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      const at = path === '' ? String(key) : `${path}.${String(key)}`
      if (typeof value === 'object' && value !== null) return watched(value, seen, at)
      seen.add(at)
      return value
    },
  })
}

t.test('every text is used on some page', async (t) => {
  const seen = new Set<string>()
  const page = pageContext()
  for (const { render } of samples) render({ ...page, texts: watched(page.texts, seen) })
  t.same(
    leaves(page.texts)
      .map(([path]) => path)
      .filter((path) => !seen.has(path)),
    [],
  )
})

t.test('the language comes from the application, then the browser, then English', async (t) => {
  const rows = [
    [[], undefined, 'en'],
    [[], '', 'en'],
    [[], 'de', 'de'],
    [[], 'de-AT,de;q=0.9,en;q=0.8', 'de'],
    [[], 'fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5', 'en'],
    [[], 'fr, de;q=0.2, en;q=0.1', 'de'],
    [[], 'en;q=0.2, de;q=0.3', 'de'],
    [[], 'de;q=0, en;q=0.1', 'en'],
    [[], 'de;q=0', 'en'],
    [[], '*', 'en'],
    [[], 'DE-de', 'de'],
    [[], 'den, deu', 'en'],
    [['de'], 'en', 'de'],
    [['fr', 'de-CH-1996'], 'en', 'de'],
    [['fr'], 'de', 'de'],
    [['en', 'de'], 'de', 'en'],
    [['', '../..', '__proto__', 'constructor'], ';;;,q=1,=,de', 'de'],
    [[], 'de;q=x', 'en'],
    [[], `${'x,'.repeat(5000)}de`, 'en'],
  ] as const
  for (const [requested, header, expected] of rows) {
    t.equal(
      chooseLocale(requested, header),
      expected,
      `${requested.join(' ')} | ${String(header).slice(0, 60)}`,
    )
  }
})

/** The variables of the style sheet in one theme. */
function variables(css: string, theme: 'light' | 'dark'): Record<string, string> {
  const [light = '', dark = ''] = css.split('@media (prefers-color-scheme:dark)')
  const block = /:root\{([^}]*)\}/.exec(theme === 'light' ? light : dark)?.[1] ?? ''
  return Object.fromEntries(
    [...block.matchAll(/--([a-z-]+):(#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  )
}

const styleOf = (color: string) =>
  createAssets({ ...DEFAULT_BRAND, color })
    .find(({ name }) => name === 'style')
    ?.body.toString() ?? ''

/** Foreground, background, and the least contrast of WCAG 2.2 AA (1.4.3, 1.4.11). */
const PAIRS: readonly (readonly [string, readonly string[], number])[] = [
  ['text', ['page', 'card'], 4.5],
  ['muted', ['page', 'card'], 4.5],
  ['danger', ['card', 'danger-soft'], 4.5],
  ['good', ['card', 'good-soft'], 4.5],
  ['on-button', ['button', 'button-hover'], 4.5],
  ['link', ['page', 'card'], 4.5],
  ['focus', ['page', 'card'], 3],
  ['edge', ['page', 'card'], 3],
  ['control', ['page', 'card'], 3],
]

t.test(
  'with any brand colour text is readable and edges and focus are visible in both themes (WCAG AA)',
  async (t) => {
    t.equal(contrast([0, 0, 0], [255, 255, 255]), 21)
    t.equal(contrast(parseColor('#767676'), parseColor('#ffffff')).toFixed(2), '4.54')
    const channel = fc.integer({ min: 0, max: 255 })
    const corner = fc.constantFrom(0, 127, 128, 255)
    const color = fc.tuple(fc.oneof(channel, corner), fc.oneof(channel, corner), fc.oneof(channel, corner))
    fc.assert(
      fc.property(color, (parts) => {
        const css = styleOf(`#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`)
        for (const theme of ['light', 'dark'] as const) {
          const colors = variables(css, theme)
          for (const [name, backgrounds, least] of PAIRS) {
            for (const background of backgrounds) {
              const found = contrast(parseColor(colors[name] ?? ''), parseColor(colors[background] ?? ''))
              if (found < least) throw new Error(`${theme}: ${name} on ${background} ${found.toFixed(2)}`)
            }
          }
        }
      }),
      { numRuns: 300 },
    )
    t.equal(
      variables(styleOf('#3949B8'), 'light').button,
      '#3949b8',
      'a colour that can be read stays as it is',
    )
  },
)

t.test('a colour must be six hexadecimal digits, and nothing else reaches the style sheet', async (t) => {
  for (const color of [
    'red',
    '#fff',
    '#12345',
    '#1234567',
    '#12345g',
    '#123456;}*{display:none',
    '#123456\n',
    '',
  ]) {
    t.throws(() => createAssets({ ...DEFAULT_BRAND, color }), TypeError, color)
  }
})

t.test('an asset’s name depends on its content, so that it can be cached for ever', async (t) => {
  const assets = createAssets(DEFAULT_BRAND)
  t.same(
    assets.map(({ path }) => path),
    createAssets(DEFAULT_BRAND).map(({ path }) => path),
  )
  for (const { path, etag, body } of assets) {
    t.match(path, /^\/assets\/[a-z-]+-[A-Za-z0-9]{12}\.(css|js|svg)$/)
    t.match(etag, /^"[A-Za-z0-9]{12}"$/)
    t.ok(body.length > 100, path)
  }
  const other = createAssets({
    name: 'Acme',
    color: '#0b6e5f',
    logo: { contentType: 'image/png', body: Buffer.from('png') },
  })
  const moved = other.filter(({ path }, index) => path !== assets[index]?.path).map(({ name }) => name)
  t.same(moved, ['style', 'logo'])
  t.match(
    other.find(({ name }) => name === 'logo'),
    { contentType: 'image/png', path: /\.png$/ },
  )
  t.equal(assetUrls(assets, '/x').logo, `/x${assets.find(({ name }) => name === 'logo')?.path}`)
})

t.test('the script is valid JavaScript, and images load nothing', async (t) => {
  for (const { path, contentType, body } of createAssets(DEFAULT_BRAND)) {
    const text = body.toString()
    if (contentType.startsWith('text/javascript')) t.doesNotThrow(() => new Script(text), path)
    else t.notMatch(text, /url\(|@import|<script|https?:\/\/(?!www\.w3\.org\/2000\/svg)/, path)
  }
})

t.test('a custom logo has alternative text, and the default one is decorative', async (t) => {
  const logo = (page: string) => tagsOf(page).find(({ name }) => name === 'img')?.attributes
  const [login] = samples
  const brand = {
    name: 'Acme',
    color: '#0b6e5f',
    logo: { contentType: 'image/png', body: Buffer.from('png') },
  }
  t.match(logo(login?.render(pageContext('en', { brand })) ?? ''), { class: 'logo', alt: 'Acme' })
  t.match(logo(login?.render(pageContext()) ?? ''), { class: 'emblem', alt: '' })
})

t.test('a user’s browsers are listed by name as far as the user agent reveals it', async (t) => {
  const rows = [
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0',
      'Edge',
      'Windows',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
      'Safari',
      'macOS',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1',
      'Chrome',
      'iPhone',
    ],
    [
      'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36',
      'Samsung Internet',
      'Android',
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox', 'Linux'],
    ['curl/8.9.1', null, null],
    ['', null, null],
  ] as const
  for (const [agent, browser, system] of rows) {
    t.equal(browserName(agent), browser, agent)
    t.equal(systemName(agent), system, agent)
  }
})

t.test('the notice in a URL must be a known one', async (t) => {
  t.ok(isAccountNotice('passkey-added', pageContext()))
  for (const other of ['', 'toString', '__proto__', 'constructor', 'nothing']) {
    t.notOk(isAccountNotice(other, pageContext()), other)
  }
})
