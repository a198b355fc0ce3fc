/**
 * Everything a page loads, made once from the brand. The content's hash is in the name, so a browser may keep it for
 * ever. Must not need files beside the program: what is ours is in the sources, what is not is in its package.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { FORM_POST_SCRIPT } from './assets/form-post.ts'
import { defaultLogo } from './assets/logo.ts'
import { PASSKEYS_SCRIPT } from './assets/passkeys.ts'
import { styleSheet } from './assets/style.ts'
import type { Brand } from './branding.ts'

type AssetName = 'style' | 'logo' | 'passkeys' | 'webauthn' | 'formPost'

export interface Asset {
  readonly name: AssetName
  /** Below the issuer: `/assets/style-….css`. */
  readonly path: string
  readonly contentType: string
  readonly body: Buffer
  readonly etag: string
}

/** Where the pages find them, with the issuer's path. */
export type AssetUrls = Readonly<Record<AssetName, string>>

/** Everything there is to say in an address about a picture's kind. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  'image/svg+xml': 'svg',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/avif': 'avif',
}

/** The package exports its modules only; the one file for browsers lies beside them. */
function webauthnBundle(): Buffer {
  const main = createRequire(import.meta.url).resolve('@simplewebauthn/browser')
  const folder = main.slice(0, main.lastIndexOf('browser') + 'browser'.length)
  return readFileSync(`${folder}/dist/bundle/index.umd.min.js`)
}

function asset(name: AssetName, stem: string, extension: string, contentType: string, body: Buffer): Asset {
  const hash = createHash('sha256').update(body).digest('base64url').replace(/[-_]/g, '').slice(0, 12)
  return { name, path: `/assets/${stem}-${hash}.${extension}`, contentType, body, etag: `"${hash}"` }
}

const SCRIPT = 'text/javascript; charset=utf-8'

/** @throws TypeError if the brand's colour is not `#rrggbb` */
export function createAssets(brand: Brand): readonly Asset[] {
  const logo = brand.logo ?? { contentType: 'image/svg+xml', body: Buffer.from(defaultLogo(brand.color)) }
  return [
    asset('style', 'style', 'css', 'text/css; charset=utf-8', Buffer.from(styleSheet(brand.color))),
    asset('logo', 'logo', EXTENSIONS[logo.contentType] ?? 'img', logo.contentType, logo.body),
    asset('webauthn', 'webauthn', 'js', SCRIPT, webauthnBundle()),
    asset('passkeys', 'passkeys', 'js', SCRIPT, Buffer.from(PASSKEYS_SCRIPT)),
    asset('formPost', 'form-post', 'js', SCRIPT, Buffer.from(FORM_POST_SCRIPT)),
  ]
}

/** @param prefix path of the issuer, or empty */
export function assetUrls(assets: readonly Asset[], prefix: string): AssetUrls {
  const url = (name: AssetName): string => `${prefix}${assets.find((one) => one.name === name)?.path ?? ''}`
  return {
    style: url('style'),
    logo: url('logo'),
    passkeys: url('passkeys'),
    webauthn: url('webauthn'),
    formPost: url('formPost'),
  }
}

/** The brand and what pages need to show it. */
export interface Branding {
  readonly brand: Brand
  readonly files: readonly Asset[]
  readonly assets: AssetUrls
}

/** @param prefix path of the issuer, or empty */
export function createBranding(brand: Brand, prefix: string): Branding {
  const files = createAssets(brand)
  return { brand, files, assets: assetUrls(files, prefix) }
}
