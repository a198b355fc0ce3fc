/**
 * The documents that verifiers read, as files for a bucket or a CDN that stays available when this server is down. Bodies and
 * caching are the same as at the endpoints. Only creates the contents of the files; the caller writes them.
 */
import type { Config } from '../config/load.ts'
import { issuerPath } from '../issuer-path.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import { laneNames } from '../keys/ring.ts'
import type { StatusListSigner } from '../status/status-list-signer.ts'
import { serverMetadata } from './endpoints/metadata.ts'
import {
  JWKS_PATH,
  metadataPaths,
  protocolEndpoints,
  STATUS_AGGREGATION_PATH,
  STATUS_LISTS_PATH,
} from './routes.ts'

export interface StaticFile {
  /** Below the export folder, with the path of the issuer, as in the URL. */
  readonly path: string
  readonly body: string
  readonly contentType: string
  readonly cacheControl: string
}

export interface StaticSiteParts {
  readonly base: { readonly config: Config }
  readonly signing: { readonly ring: Pick<LiveRing, 'jwks' | 'ring'> }
  readonly status: { readonly lists: StatusListSigner }
}

/** The folder of the status lists. The caller may delete other files in it: they belong to expired lists. */
export function listsFolder(config: Pick<Config, 'issuer'>): string {
  return issuerPath(config.issuer) + STATUS_LISTS_PATH
}

export async function staticSite({ base, signing, status }: StaticSiteParts): Promise<StaticFile[]> {
  const { config } = base
  const statusLists = status.lists
  const prefix = issuerPath(config.issuer)
  const { body, cacheControl } = signing.ring.jwks()
  const metadata = JSON.stringify(serverMetadata(config, protocolEndpoints, laneNames(signing.ring.ring())))
  const metadataControl = `public, max-age=${config.jwksMaxAge}`
  const statusControl = `public, max-age=${config.statusTtl}`

  const files: StaticFile[] = [
    file(prefix + JWKS_PATH, body, 'application/jwk-set+json', cacheControl),
    ...metadataPaths(prefix).map((path) => file(path, metadata, 'application/json', metadataControl)),
  ]
  const uris = await statusLists.uris()
  for (const uri of uris) {
    const number = statusLists.numberOf(uri)
    const list = number === null ? null : await statusLists.list(number)
    if (!list) continue
    files.push(
      file(`${listsFolder(config)}/${number}`, list.jwt, 'application/statuslist+jwt', statusControl),
    )
  }
  const aggregation = JSON.stringify({ status_lists: uris })
  files.push(file(prefix + STATUS_AGGREGATION_PATH, aggregation, 'application/json', statusControl))
  return [...files, headersFile(files)]
}

function file(path: string, body: string, contentType: string, cacheControl: string): StaticFile {
  return { path, body, contentType, cacheControl }
}

/** The `_headers` file that several static hosts read. Other hosts can be configured from it. */
function headersFile(files: readonly StaticFile[]): StaticFile {
  const body = files
    .map(({ path, contentType, cacheControl }) =>
      [
        path,
        `  Content-Type: ${contentType}`,
        `  Cache-Control: ${cacheControl}`,
        '  Access-Control-Allow-Origin: *',
        '  X-Content-Type-Options: nosniff',
        '',
      ].join('\n'),
    )
    .join('\n')
  return file('/_headers', body, 'text/plain', 'no-store')
}
