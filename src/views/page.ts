/**
 * The frame that all pages share. A page is a pure function (model, context) → HTML. It must not know requests, cookies or
 * the time, and contains no inline script, style or event handler, so that the Content Security Policy can forbid them.
 */
import type { AssetUrls } from './assets.ts'
import { type Brand, SURFACES } from './branding.ts'
import { type Content, type Html, html } from './html.ts'
import type { Locale, Texts } from './texts/index.ts'

export interface PageContext {
  readonly texts: Texts
  readonly locale: Locale
  readonly brand: Brand
  readonly assets: AssetUrls
  /** The CSRF token, which every form that posts to this server contains. Pages without such a form do not need it. */
  readonly csrf?: string
  /** The path of the issuer, such as `/tenant`, or empty. Every address of this server begins with it. */
  readonly prefix: string
}

export interface Frame {
  /** Plain text, for the browser's tab and history. */
  readonly title: string
  /** The page reports an error. The title then begins with it, because screen readers read the title first. */
  readonly failed?: boolean
  readonly wide?: boolean
  readonly scripts?: readonly string[]
  /** Style sheets besides that of all pages. */
  readonly styles?: readonly string[]
  /** Links between the pages of one part of the server, before the content. */
  readonly navigation?: Content
  /** The address that the browser opens immediately. */
  readonly refreshUrl?: string
  /** Shown beside the logo. */
  readonly aside?: Content
  readonly content: Content
}

/** A custom logo shows the name itself. The default logo does not, so the name is written beside it. */
const brandMark = ({ brand, assets }: PageContext): Html =>
  brand.logo
    ? html`<img class="logo" src="${assets.logo}" alt="${brand.name}">`
    : html`<img class="emblem" src="${assets.logo}" alt="" width="36" height="36"><span>${brand.name}</span>`

export function frame(
  page: PageContext,
  { title, failed, wide, scripts, styles, refreshUrl, aside, navigation, content }: Frame,
): string {
  const { texts, locale, brand, assets } = page
  const heading = failed ? texts.common.errorPrefix(title) : title
  return html`<!doctype html>
<html lang="${locale}">
<head>
<meta charset="utf-8">
<title>${heading} · ${brand.name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="${SURFACES.light.page}">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="${SURFACES.dark.page}">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
${refreshUrl !== undefined && html`<meta http-equiv="refresh" content="${`0;url=${refreshUrl}`}">\n`}<link rel="icon" href="${assets.logo}">
<link rel="stylesheet" href="${assets.style}">
${(styles ?? []).map((style) => html`<link rel="stylesheet" href="${style}">\n`)}${(scripts ?? []).map((script) => html`<script src="${script}" defer></script>\n`)}</head>
<body class="${navigation ? 'console' : wide ? 'wide' : 'narrow'}">
<header class="site"><div class="brand">${brandMark(page)}</div>${aside}</header>
${navigation}<main>
${content}
</main>
</body>
</html>
`.toString()
}
