/**
 * The files that pages load, created once from the brand. A file's name contains the hash of its content, so browsers may
 * cache it forever. Must not read the operator's files: a custom logo comes with the brand, and all other contents are in the
 * sources or in a package.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { FORM_POST_SCRIPT } from './assets/form-post.ts'
import { LOCAL_TIMES_SCRIPT } from './assets/local-times.ts'
import { defaultLogo } from './assets/logo.ts'
import { PASSKEYS_SCRIPT } from './assets/passkeys.ts'
import { styleSheet } from './assets/style.ts'
import type { Brand } from './branding.ts'

type AssetName = 'style' | 'logo' | 'passkeys' | 'webauthn' | 'formPost' | 'localTimes'

export interface Asset {
  readonly name: AssetName
  /** Below the issuer: `/assets/style-….css`. */
  readonly path: string
  readonly contentType: string
  readonly body: Buffer
  readonly etag: string
}

/** The address of each asset, including the issuer's path. */
export type AssetUrls = Readonly<Record<AssetName, string>>

/** File extensions of logos; any other type gets `.img`. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  'image/svg+xml': 'svg',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/avif': 'avif',
}

/** The package exports only its modules, not the bundle for browsers, so its path is derived from that of a module. */
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
    asset('localTimes', 'local-times', 'js', SCRIPT, Buffer.from(LOCAL_TIMES_SCRIPT)),
  ]
}

/** @param prefix the path of the issuer, or empty */
export function assetUrls(assets: readonly Asset[], prefix: string): AssetUrls {
  const url = (name: AssetName): string =>
    `${prefix}${assets.find((asset) => asset.name === name)?.path ?? ''}`
  return {
    style: url('style'),
    logo: url('logo'),
    passkeys: url('passkeys'),
    webauthn: url('webauthn'),
    formPost: url('formPost'),
    localTimes: url('localTimes'),
  }
}

/** The brand and the assets that show it. */
export interface Branding {
  readonly brand: Brand
  readonly files: readonly Asset[]
  readonly assets: AssetUrls
}

/** @param prefix the path of the issuer, or empty */
export function createBranding(brand: Brand, prefix: string): Branding {
  const files = createAssets(brand)
  return { brand, files, assets: assetUrls(files, prefix) }
}
