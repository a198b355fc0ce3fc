/** Verifies access tokens: a token goes in, and its claims or a VerifyError come out. */
import { randomBytes } from 'node:crypto'
import { type AccessTokenClaims, checkClaims, checkTimes } from './access-token-claims.ts'
import { type CompactJws, hasValidSignature, parseCompact, parseJson } from './compact-jws.ts'
import { createDiscovery } from './discovery.ts'
import { VerifyError } from './errors.ts'
import { type JoseHeader, readHeader } from './jose-header.ts'
import type { VerificationKey } from './jwks.ts'
import { createKeySource } from './key-source.ts'
import { keysFile } from './keys-file.ts'
import type { RequestRules } from './node-request.ts'
import { resolveOptions, type VerifierOptions } from './options.ts'
import { type CheckTime, checkAuthentication } from './requirements.ts'
import { createSenderCheck, type SenderProof } from './sender-check.ts'
import { signatureAlgorithm } from './signature-algorithms.ts'
import { createStatusListPoller } from './status-list-poller.ts'
import { createTokenCache } from './token-cache.ts'

export interface Verifier {
  /**
   * Verifies an access token (RFC 9068 §4) and returns its claims. The object is shared between calls and frozen. A token that is bound to a
   * key or a certificate is accepted only with its proof in `sender`, which guards take from the request.
   * @throws {VerifyError} if the token is refused, or cannot be checked
   * @throws {ConfigurationError} if the issuer's metadata is of another issuer
   */
  verify(token: string, sender?: SenderProof): Promise<AccessTokenClaims>
  /**
   * Fetches keys and status lists now. Wait for it at start-up to have them before the first request.
   * @throws {VerifyError} keys_unavailable, if the keys can neither be fetched nor read from the keys file
   * @throws {ConfigurationError} if the issuer's metadata is of another issuer
   */
  ready(): Promise<void>
  /** Stops the background work. */
  close(): void
  /** The realm that guards name in the challenge of a 401 (RFC 9110 §11.5). */
  readonly realm: string
  /** What guards need besides the realm. */
  readonly guard: GuardRules
}

export interface GuardRules extends RequestRules {
  /** Whether challenges name the scheme DPoP besides Bearer. */
  readonly announcesDpop: boolean
  /** The signature algorithms of proofs that are accepted. */
  readonly dpopAlgorithms: readonly string[]
  /** The time at which a request is checked. */
  time(): CheckTime
}

const NO_PROOF: SenderProof = Object.freeze({})
const BACKGROUND_INTERVAL_MS = 1000
const MAX_CACHED_HEADERS = 100
const MAX_LIST_LENGTH = 1_048_576

/**
 * Makes a verifier. One for each process is enough: it holds the keys, the status lists and the cache of tokens.
 * @throws {TypeError} if an option is unusable or unsafe
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const resolved = resolveOptions(options)
  const { issuer, leeway, clock, maxTokenLength } = resolved
  const published = { ...resolved, fetch: mirroredFetch(resolved) }
  const discovery = createDiscovery({ ...published, jwksUri: options.jwksUri })
  const keys = createKeySource({
    ...published,
    discovery,
    headers: verifierHeader(options.name),
    file: options.keysFile === undefined ? undefined : keysFile(options.keysFile, issuer),
  })
  const statusLists = options.statusList
    ? createStatusListPoller({
        ...published,
        ...(options.statusList === true ? {} : options.statusList),
        aggregationUri: discovery.statusListAggregation,
        verifyJwt: verifyListToken,
      })
    : undefined
  const senderCheck = createSenderCheck(resolved)
  const requiresAuthentication = options.requireAcr !== undefined || options.maxAge !== undefined
  const time = (): CheckTime => ({ now: clock(), leeway })
  const cache = createTokenCache(resolved.cacheSize)
  /** Headers of valid tokens. All tokens that are signed with the same key have the same header. */
  const headers = new Map<string, JoseHeader>()

  const background = setInterval(() => {
    keys.refreshIfDue()
    void statusLists?.pollDue()
  }, BACKGROUND_INTERVAL_MS)
  background.unref?.()

  /**
   * Verifies a list token (Token Status List §5.1, §8.3). It is signed like an access token; `type` keeps one from being
   * accepted as the other.
   */
  async function verifyListToken(jwt: string, type: string): Promise<Record<string, unknown>> {
    const jws = parseCompact(jwt, MAX_LIST_LENGTH)
    const { kid, alg } = readHeader(jws.header, { ...resolved, types: [type] })
    checkSignature(jws, await keys.find(kid), alg)
    const claims = parseJson(jws.payload)
    const { iss, exp, nbf } = claims
    if (iss !== undefined && iss !== issuer) throw new Error('the list was issued by another issuer')
    for (const time of [exp, nbf]) {
      if (time !== undefined && typeof time !== 'number')
        throw new Error('the list has a time that is not a number')
    }
    if (exp !== undefined && clock() >= Number(exp) + leeway) throw new Error('the list has expired')
    if (nbf !== undefined && clock() < Number(nbf) - leeway) throw new Error('the list is not valid yet')
    return claims
  }

  /** Returns the claims of a token. Its times and its status are checked later. */
  function verifiedClaims(jws: CompactJws, header: JoseHeader, key: VerificationKey): AccessTokenClaims {
    // The signature comes first: the claims mean nothing before it is known that the issuer made them.
    checkSignature(jws, key, header.alg)
    const claims = checkClaims(parseJson(jws.payload), resolved, header.type === 'at+jwt')
    return deepFreeze(claims)
  }

  return {
    async verify(token, sender = NO_PROOF) {
      if (typeof token !== 'string') throw new VerifyError('malformed', 'the token is not a string')
      const hit = cache.get(token)
      let claims = hit?.claims
      // A cached token counts only while the key that verified it is still published.
      if (claims === undefined || keys.cached(hit?.key.kid ?? '') !== hit?.key) {
        const jws = parseCompact(token, maxTokenLength)
        const cachedHeader = headers.get(jws.header)
        const header = cachedHeader ?? readHeader(jws.header, resolved)
        const key = keys.cached(header.kid) ?? (await keys.find(header.kid))
        claims = verifiedClaims(jws, header, key)
        if (!cachedHeader && headers.size < MAX_CACHED_HEADERS) headers.set(jws.header, header)
        cache.set({ token, claims, key })
      }
      checkTimes(claims, leeway, clock())
      statusLists?.check(claims)
      // A cached token does not save this: the sender may be another one.
      if (senderCheck.applies(claims, sender)) await senderCheck.check(token, claims, sender)
      if (requiresAuthentication) checkAuthentication(claims, resolved.authentication, time())
      return claims
    },

    async ready() {
      await keys.refresh()
      await statusLists?.pollAll()
    },

    close() {
      clearInterval(background)
    },

    realm: resolved.realm,
    guard: {
      audiences: resolved.audiences,
      baseUrl: options.baseUrl,
      trustedProxies: resolved.trustedProxies,
      announcesDpop: resolved.announcesDpop,
      dpopAlgorithms: resolved.dpop.algorithms,
      time,
    },
  }
}

function checkSignature(
  jws: CompactJws,
  { key, alg: keyAlg }: VerificationKey,
  alg: JoseHeader['alg'],
): void {
  // RFC 8725 §3.1: a key is used with one algorithm, whatever the token says.
  if (alg !== keyAlg) throw new VerifyError('algorithm_refused', 'the key is for another algorithm')
  const { verify } = signatureAlgorithm(alg)
  if (!hasValidSignature(jws, (data, signature) => verify(data, key, signature))) {
    throw new VerifyError('bad_signature', 'the signature is invalid')
  }
}

/**
 * The header that makes this verifier known to a Keyturn server. The instance distinguishes processes with the same name.
 */
function verifierHeader(name: string | undefined): Record<string, string> {
  if (name === undefined) return {}
  return { 'keyturn-verifier': `${name}; instance=${randomBytes(9).toString('base64url')}` }
}

/** Replaces the issuer's origin with the mirror in every address that is fetched. */
function mirroredFetch({
  issuer,
  mirror,
  fetch,
}: Pick<VerifierOptions, 'issuer' | 'mirror'> & { fetch: typeof globalThis.fetch }): typeof globalThis.fetch {
  if (mirror === undefined) return fetch
  const from = `${new URL(issuer).origin}/`
  const to = mirror.replace(/\/?$/, '/')
  return (url, init) => {
    const address = String(url)
    return fetch(address.startsWith(from) ? to + address.slice(from.length) : address, init)
  }
}

/** The function is not recursive, because claims may be nested more deeply than the stack allows. */
function deepFreeze<T extends object>(root: T): T {
  const pending: object[] = [root]
  for (const value of pending) {
    Object.freeze(value)
    // for…in is the fastest loop over the members; objects parsed from JSON inherit none.
    for (const name in value) {
      const member: unknown = value[name as keyof typeof value]
      if (typeof member === 'object' && member !== null) pending.push(member)
    }
  }
  return root
}
