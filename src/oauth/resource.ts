import { isSameResource } from '../resource-uri.ts'
import { invalidTarget } from './errors.ts'

/**
 * The `resource` parameter (RFC 8707 §2): an absolute URI without a fragment. RFC 8707 allows several, but each token is for one
 * API, so that no API can replay it at another (RFC 9068 §5).
 * @throws {OAuthError} invalid_target
 */
export function parseResource(values: readonly string[]): string | undefined {
  const [resource, ...others] = values
  if (resource === undefined) return undefined
  if (!others.every((other) => isSameResource(other, resource)))
    throw invalidTarget('a token is for one resource: request a token for each')
  if (!URL.canParse(resource) || resource.includes('#')) {
    throw invalidTarget('resource must be an absolute URI without a fragment')
  }
  return resource
}
