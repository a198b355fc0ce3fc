/** What follows from a change of a client that is in use. Must not know the store. */
import { usesSecret } from '../oauth/client-auth/index.ts'
import type { Client } from '../store/contracts/clients.ts'

const LISTS = [
  ['grants', 'the client can no longer use the grants'],
  ['scopes', 'the client can no longer request the scopes'],
  ['redirectUris', 'authorization responses are no longer sent to'],
  ['postLogoutRedirectUris', 'after logout browsers are no longer sent to'],
  ['introspects', 'the client can no longer introspect the tokens of'],
] as const

/** Notes about requirements that a change adds. */
const REQUIREMENTS = [
  ['requirePushedRequests', 'authorization requests that are not pushed are now refused'],
  ['requireSignedRequests', 'authorization requests that are not signed are now refused'],
  ['requireDpop', 'token requests without a DPoP proof are now refused'],
  ['requireMtlsBound', 'token requests without a client certificate are now refused'],
  ['requireSecondFactor', 'users of this client must now sign in with a second factor'],
] as const

/** What the client and its users can no longer do. */
export function changeNotes(before: Client, after: Client): string[] {
  return [...methodNotes(before.authMethod, after.authMethod), ...lossNotes(before, after)]
}

function methodNotes(before: string, after: string): string[] {
  if (before === after) return []
  return usesSecret(before) && usesSecret(after)
    ? [`the client is now registered for ${after}; ${before} still works`]
    : [`the client must now authenticate with ${after} instead of ${before}`]
}

function lossNotes(before: Client, after: Client): string[] {
  const removed = LISTS.flatMap(([name, text]) => {
    const gone = before[name].filter((value) => !after[name].includes(value))
    return gone.length > 0 ? [`${text} ${gone.join(', ')}`] : []
  })
  const added = REQUIREMENTS.flatMap(([name, text]) => (after[name] && !before[name] ? [text] : []))
  return [...removed, ...added]
}
