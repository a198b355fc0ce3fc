/** Puts it together: a token in, its claims out, or a VerifyError. */
import { randomBytes } from 'node:crypto'
import { algorithm } from './algorithms.ts'
import { type AccessTokenClaims, checkClaims, checkTimes } from './claims.ts'
import { type CompactJws, isSigned, parseCompact, parseJson } from './compact.ts'
import { createDiscovery } from './discovery.ts'
import { VerifyError } from './errors.ts'
import { type Header, readHeader } from './header.ts'
import type { VerificationKey } from './jwks.ts'
import { createKeySource } from './key-source.ts'
import { keysFile } from './keys-file.ts'
import { settle, type VerifierOptions } from './options.ts'
import { createStatusLists } from './status-lists.ts'
import { createTokenCache } from './token-cache.ts'

export interface Verifier {
  /**
   * The claims of a good access token; the object is shared between calls and frozen.
   * @throws {VerifyError} with a stable code
   */
  verify(token: string): Promise<AccessTokenClaims>
  /**
   * Fetches keys and status lists now; wait for it at start-up to have them before the first request.
   * @throws {VerifyError} keys_unavailable, if there are none in the keys file either
   */
  ready(): Promise<void>
  /** Stops what runs in the background. */
  close(): void
  /** What the guards name in the challenge of a 401. */
  readonly realm: string
}

const POLL_MS = 1000
const MOST_HEADERS = 100
const LONGEST_LIST = 1_048_576

export function createVerifier(options: VerifierOptions): Verifier {
  const settled = settle(options)
  const { issuer, leeway, clock, maxTokenLength } = settled
  const published = { ...settled, fetch: mirrored(settled) }
  const discovery = createDiscovery({ ...published, jwksUri: options.jwksUri })
  const keys = createKeySource({
    ...published,
    discovery,
    headers: introduction(options.name),
    file: options.keysFile === undefined ? undefined : keysFile(options.keysFile, issuer),
  })
  const status = options.statusList
    ? createStatusLists({
        ...published,
        ...(options.statusList === true ? {} : options.statusList),
        aggregation: discovery.statusLists,
        verifyJwt: verifyList,
      })
    : undefined
  const cache = createTokenCache(settled.cacheSize)
  /** Of tokens that were good: all that were signed with one key have the same. */
  const headers = new Map<string, Header>()

  const background = setInterval(() => {
    keys.renewIfDue()
    void status?.pollDue()
  }, POLL_MS)
  background.unref?.()

  /** Token Status List §5.1, §8.3: signed by the issuer like a token, and never taken for one. */
  async function verifyList(jwt: string, type: string): Promise<Record<string, unknown>> {
    const jws = parseCompact(jwt, LONGEST_LIST)
    const { kid, alg } = readHeader(jws.header, { ...settled, types: [type] })
    checkSignature(jws, await keys.find(kid), alg)
    const claims = parseJson(jws.payload)
    const { iss, exp, nbf } = claims
    if (iss !== undefined && iss !== issuer) throw new Error('it is of another issuer')
    for (const time of [exp, nbf]) {
      if (time !== undefined && typeof time !== 'number') throw new Error('it is malformed')
    }
    if (exp !== undefined && clock() >= Number(exp) + leeway) throw new Error('it has expired')
    if (nbf !== undefined && clock() < Number(nbf) - leeway) throw new Error('it is of the future')
    return claims
  }

  /** The claims of a token that is good but for the time and its status. */
  function accept(jws: CompactJws, header: Header, key: VerificationKey): AccessTokenClaims {
    // Signature first: nothing in a token counts before it is known who wrote it.
    checkSignature(jws, key, header.alg)
    const claims = checkClaims(parseJson(jws.payload), settled, header.type === 'at+jwt')
    return deepFreeze(claims)
  }

  return {
    async verify(token) {
      if (typeof token !== 'string') throw new VerifyError('malformed', 'the token is not a string')
      const known = cache.get(token)
      let claims = known?.claims
      // Verified before, with a key that is still published.
      if (claims === undefined || keys.held(known?.key.kid ?? '') !== known?.key) {
        const jws = parseCompact(token, maxTokenLength)
        const seen = headers.get(jws.header)
        const header = seen ?? readHeader(jws.header, settled)
        const key = keys.held(header.kid) ?? (await keys.find(header.kid))
        claims = accept(jws, header, key)
        if (!seen && headers.size < MOST_HEADERS) headers.set(jws.header, header)
        cache.set({ token, claims, key })
      }
      checkTimes(claims, leeway, clock())
      status?.check(claims)
      return claims
    },

    async ready() {
      await keys.refresh()
      await status?.pollAll()
    },

    close() {
      clearInterval(background)
    },

    realm: settled.realm,
  }
}

function checkSignature(jws: CompactJws, { key, alg: meant }: VerificationKey, alg: Header['alg']): void {
  // RFC 8725 §3.1: a key is for one algorithm, whatever the token says.
  if (alg !== meant) throw new VerifyError('algorithm_refused', 'the key is for another algorithm')
  const { verify } = algorithm(alg)
  if (!isSigned(jws, (data, signature) => verify(data, key, signature))) {
    throw new VerifyError('bad_signature', 'the signature is wrong')
  }
}

/** The instance tells this process from another of the same name, and means nothing else. */
function introduction(name: string | undefined): Record<string, string> {
  if (name === undefined) return {}
  return { 'keyturn-verifier': `${name}; instance=${randomBytes(9).toString('base64url')}` }
}

function mirrored({
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

/** Without recursion: how deep the claims are is up to whoever wrote them. */
function deepFreeze<T extends object>(root: T): T {
  const open: object[] = [root]
  for (const value of open) {
    Object.freeze(value)
    // JSON has no inherited members; this is the fastest way through the others.
    for (const name in value) {
      const member: unknown = value[name as keyof typeof value]
      if (typeof member === 'object' && member !== null) open.push(member)
    }
  }
  return root
}
