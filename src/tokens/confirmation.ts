/** What an access token is bound to: its `cnf` claim (RFC 7800 §3.1) and its type. Must not know how a sender proves it. */
import type { Confirmation } from '../store/contracts/client-sessions.ts'

export type { Confirmation } from '../store/contracts/client-sessions.ts'

export type TokenType = 'Bearer' | 'DPoP'

/**
 * RFC 9449 §5: `DPoP` tells the client that it must send a proof with the token. RFC 8705 §3 has no type of its own for tokens that are
 * bound to a certificate.
 */
export const tokenTypeOf = (confirmation: Confirmation | null | undefined): TokenType =>
  confirmation?.jkt === undefined ? 'Bearer' : 'DPoP'

/** Whether a sender that has proven `proven` may use a token that is bound to `bound`: every member must have been proven. */
export const proves = (proven: Confirmation | null, bound: Confirmation | null): boolean =>
  bound === null ||
  ((bound.jkt === undefined || bound.jkt === proven?.jkt) &&
    (bound['x5t#S256'] === undefined || bound['x5t#S256'] === proven?.['x5t#S256']))
