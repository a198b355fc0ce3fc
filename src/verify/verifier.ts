/** Puts it together: a token in, its claims out, or a VerifyError. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { type AlgorithmName, algorithm, isAlgorithm } from './algorithms.ts'
import { type AccessTokenClaims, checkClaims, checkTimes } from './claims.ts'
import { type CompactJws, parseCompact, parseJson } from './compact.ts'
import { createDiscovery } from './discovery.ts'
import { VerifyError } from './errors.ts'
import type { VerificationKey } from './jwks.ts'
import { createKeySource } from './key-source.ts'
import { createStatusLists, type StatusOptions } from './status-lists.ts'
import { createTokenCache, noTokenCache } from './token-cache.ts'

export interface VerifierOptions {
  /** Exactly as in `iss` and the issuer's metadata. */
  readonly issuer: string
  /** What this service is called in `aud`; a token for any of them will do. */
  readonly audience: string | readonly string[]
  /** Accepted signature algorithms. Default: RS256 only. */
  readonly algorithms?: readonly AlgorithmName[]
  /** Refuse tokens that were revoked, by the issuer's status lists. Default: off. */
  readonly statusList?: boolean | StatusOptions
  /** Makes this verifier known to a Keyturn server, which then waits for it before it rotates keys. */
  readonly name?: string
  /** Seconds that clocks may differ. Default: 30; at most 300. */
  readonly leeway?: number
  /** Where the keys are, if the issuer offers no discovery. */
  readonly jwksUri?: string
  /** A file in which the keys are kept, for a start while the issuer is away. */
  readonly keysFile?: string
  /** Accepted `typ` headers, without `application/`. Default: `at+jwt` (RFC 9068). */
  readonly types?: readonly string[]
  /** Tokens remembered as verified; 0: none. Default: 10,000. */
  readonly cacheSize?: number
  /** Longest token that is looked at, in characters. Default: 16,384. */
  readonly maxTokenLength?: number
  /** Milliseconds for a fetch of keys or lists. Default: 5,000. */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
  /** Milliseconds that only grow; for tests. */
  readonly monotonic?: () => number
}

export interface Verifier {
  /**
   * The claims of a good access token; the object is shared between calls and frozen.
   * @throws {VerifyError} with a stable code
   */
  verify(token: string): Promise<AccessTokenClaims>
  /** Fetches keys and status lists now; wait for it at start-up to have them before the first request. */
  ready(): Promise<void>
  /** Stops polling. */
  close(): void
}

const POLL_MS = 1000
const MOST_LEEWAY = 300

export function createVerifier(options: VerifierOptions): Verifier {
  const {
    issuer,
    algorithms = ['RS256'],
    leeway = 30,
    types = ['at+jwt'],
    cacheSize = 10_000,
    maxTokenLength = 16_384,
    timeoutMs = 5000,
    fetch = globalThis.fetch,
    clock = () => Date.now() / 1000,
    monotonic = () => performance.now(),
  } = options
  assertUsable(options)
  const audiences = [options.audience].flat()
  const rules = { issuer, audiences, leeway, strict: types.includes('at+jwt') }
  const discovery = createDiscovery({ issuer, jwksUri: options.jwksUri, fetch, timeoutMs })
  const keys = createKeySource({
    discovery,
    algorithms,
    fetch,
    timeoutMs,
    monotonic,
    headers:
      options.name === undefined ? {} : { 'keyturn-verifier': `${options.name}; instance=${instanceId()}` },
    ...(options.keysFile === undefined ? {} : keptIn(options.keysFile)),
  })
  const cache = cacheSize > 0 ? createTokenCache(cacheSize) : noTokenCache
  const status = options.statusList
    ? createStatusLists({
        ...(options.statusList === true ? {} : options.statusList),
        issuer,
        fetch,
        timeoutMs,
        monotonic,
        aggregation: () => discovery.statusLists(),
        verifyJwt: async (jwt, typ) => {
          const { claims } = await open(jwt, (text) => checkHeader(text, algorithms, [typ]), MAX_LIST_LENGTH)
          if (claims.iss !== undefined && claims.iss !== issuer)
            throw new Error('the status list is of another issuer')
          if (claims.exp !== undefined && !(Number(claims.exp) + leeway > clock()))
            throw new Error('it has expired')
          return claims
        },
      })
    : undefined
  const poller = status && setInterval(() => status.poll(), POLL_MS)
  poller?.unref?.()

  /** Headers that passed before: all tokens of one key have the same one. */
  const headers = new Map<string, Header>()

  function readHeader(text: string): Header {
    const known = headers.get(text)
    if (known) return known
    const header = checkHeader(text, algorithms, types)
    // Only those of keys that are held: made-up ones must not push them out.
    if (keys.held(header.kid) && headers.size < MOST_HEADERS) headers.set(text, header)
    return header
  }

  /** Signature first, then the claims: nothing in a token counts before it is known who wrote it. */
  async function open(token: string, header: (text: string) => Header, longest: number) {
    const jws = parseCompact(token, longest)
    const { kid, alg } = header(jws.header)
    const key = keys.held(kid) ?? (await keys.find(kid))
    checkSignature(jws, key, alg)
    return { claims: parseJson(jws.payload), key }
  }

  /** The claims if this very token was verified before, with a key that is still published. */
  function remembered(token: string): AccessTokenClaims | undefined {
    const known = cache.get(token)
    if (!known) return undefined
    if (keys.held(known.key.kid) === known.key) return known.claims
    cache.delete(token)
    return undefined
  }

  return {
    async verify(token) {
      if (typeof token !== 'string') throw new VerifyError('malformed', 'the token is not a string')
      let claims = remembered(token)
      if (!claims) {
        const opened = await open(token, readHeader, maxTokenLength)
        claims = deepFreeze(checkClaims(opened.claims, rules))
        cache.set(token, { claims, key: opened.key })
      }
      checkTimes(claims, leeway, clock())
      status?.check(claims)
      return claims
    },

    async ready() {
      await keys.refresh()
      await status?.poll(true)
    },

    close() {
      clearInterval(poller)
    },
  }
}

const MAX_LIST_LENGTH = 1_048_576
const MOST_HEADERS = 100

function assertUsable({ issuer, audience, algorithms = [], leeway = 0, name }: VerifierOptions): void {
  if (!URL.canParse(issuer)) throw new TypeError('issuer must be a URL')
  if (
    [audience].flat().length === 0 ||
    [audience].flat().some((one) => typeof one !== 'string' || one === '')
  ) {
    throw new TypeError('audience must name this service')
  }
  const unknown = algorithms.find((one) => !isAlgorithm(one))
  if (unknown !== undefined) throw new TypeError(`${unknown} is not an algorithm that can be accepted`)
  if (!(leeway >= 0 && leeway <= MOST_LEEWAY))
    throw new TypeError(`leeway must be from 0 to ${MOST_LEEWAY} seconds`)
  if (name !== undefined && !/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
    throw new TypeError('name must be 1 to 64 letters, digits, dots, dashes or underscores')
  }
}

interface Header {
  readonly kid: string
  readonly alg: AlgorithmName
}

/** RFC 8725 §3.1, §3.11; RFC 7515 §4.1.11. @throws {VerifyError} */
function checkHeader(text: string, accepted: readonly AlgorithmName[], types: readonly string[]): Header {
  const header = parseJson(text)
  const { alg, typ, kid } = header
  if (!isAlgorithm(alg) || !accepted.includes(alg)) {
    throw new VerifyError('algorithm_refused', 'the signature algorithm is not accepted')
  }
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : ''
  if (!types.some((one) => one.toLowerCase() === type)) {
    throw new VerifyError('not_an_access_token', 'the token is of another type')
  }
  if (header.crit !== undefined || header.b64 !== undefined) {
    throw new VerifyError('not_an_access_token', 'the token has critical headers that are not understood')
  }
  if (typeof kid !== 'string' || kid === '') throw new VerifyError('unknown_key', 'the token names no key')
  return { kid, alg }
}

function checkSignature(jws: CompactJws, { key, alg: meant }: VerificationKey, alg: AlgorithmName): void {
  if (alg !== meant) throw new VerifyError('algorithm_refused', 'the key is for another algorithm')
  if (!algorithm(alg).verify(jws.signed, key, jws.signature)) {
    throw new VerifyError('bad_signature', 'the signature is wrong')
  }
}

/** Tells this process from another of the same name; means nothing else. */
function instanceId(): string {
  return randomBytes(9).toString('base64url')
}

function keptIn(file: string): { initial?: unknown; onKeys: (jwks: string) => void } {
  return {
    ...readKept(file),
    // Complete before it has its name; a start must not find half a file. Failing to keep it is no failure.
    onKeys: (jwks) => {
      const draft = `${file}.${process.pid}.new`
      writeFile(draft, jwks, { mode: 0o600 })
        .then(() => rename(draft, file))
        .catch(() => {})
    },
  }
}

function readKept(file: string): { initial?: unknown } {
  try {
    return { initial: JSON.parse(readFileSync(file, 'utf8')) }
  } catch {
    return {}
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
