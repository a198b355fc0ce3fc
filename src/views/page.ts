/**
 * What every page has around it. A page is a pure function of (model, context): it must not know a request, a cookie
 * or the time, and has no script, style or handler of its own, so that the policy (CSP) can forbid them all.
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
  /** Goes into every form that posts here; a page that has one cannot be made without. */
  readonly csrf?: string
  /** Path of the issuer, in front of every address of ours: `/tenant`, or empty. */
  readonly prefix: string
}

export interface Frame {
  /** Plain text, for the tab and the history. */
  readonly title: string
  /** Something was wrong with what was sent: said in the title first, where a screen reader begins. */
  readonly failed?: boolean
  readonly wide?: boolean
  readonly scripts?: readonly string[]
  /** Leads on by itself, at once. */
  readonly next?: string
  /** Beside the logo. */
  readonly aside?: Content
  readonly content: Content
}

/** A logo of their own says its name; ours says nothing, and the name stands beside it. */
const mark = ({ brand, assets }: PageContext): Html =>
  brand.logo
    ? html`<img class="logo" src="${assets.logo}" alt="${brand.name}">`
    : html`<img class="emblem" src="${assets.logo}" alt="" width="36" height="36"><span>${brand.name}</span>`

export function frame(
  page: PageContext,
  { title, failed, wide, scripts, next, aside, content }: Frame,
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
${next !== undefined && html`<meta http-equiv="refresh" content="${`0;url=${next}`}">\n`}<link rel="icon" href="${assets.logo}">
<link rel="stylesheet" href="${assets.style}">
${(scripts ?? []).map((script) => html`<script src="${script}" defer></script>\n`)}</head>
<body class="${wide ? 'wide' : 'narrow'}">
<header class="site"><div class="brand">${mark(page)}</div>${aside}</header>
<main>
${content}
</main>
</body>
</html>
`.toString()
}
