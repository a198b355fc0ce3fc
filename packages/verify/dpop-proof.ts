/** Checks a DPoP proof against the request that it came with (RFC 9449 §4.3). Whether it was used before is not known here. */
import { hash } from 'node:crypto'
import { hasValidSignature, parseCompact, parseJson } from './compact-jws.ts'
import { VerifyError } from './errors.ts'
import { type ProofKey, readProofHeader } from './proof-key.ts'
import { normalizedUrl } from './request-url.ts'
import { type AlgorithmName, signatureAlgorithm } from './signature-algorithms.ts'

interface ProofRules {
  readonly algorithms: readonly AlgorithmName[]
  /** How old a proof may be, in seconds. */
  readonly maxAge: number
  /** How far clocks may differ, in seconds. */
  readonly leeway: number
  /** Seconds since 1970. */
  readonly clock: () => number
}

/** What the proof must be for. */
export interface ProvenRequest {
  readonly proof: string
  readonly method: string
  /** The URLs that the client may have sent the request to. */
  readonly urls: readonly string[]
  readonly token: string
  /** The key that the token is bound to. */
  readonly jkt: string
}

interface CheckedProof {
  readonly jti: string
  /** From this time on, in seconds since 1970, the proof is too old. */
  readonly until: number
  /** undefined if the proof has none. */
  readonly nonce: unknown
}

/** A proof with an RSA key of 8192 bits and long claims fits. */
const MAX_PROOF_LENGTH = 8192
const MAX_JTI_LENGTH = 1024
/** Of URLs in messages. */
const MAX_SHOWN_LENGTH = 300
/** A client's proofs all have the same header, and importing its key takes as long as verifying a signature. */
const MAX_CACHED_KEYS = 1000

/** @returns a function that throws a VerifyError: invalid_proof, wrong_key */
export function createProofCheck({ algorithms, maxAge, leeway, clock }: ProofRules) {
  const keys = new Map<string, ProofKey>()

  function remember(header: string, key: ProofKey): void {
    if (keys.size >= MAX_CACHED_KEYS) keys.delete(keys.keys().next().value as string)
    keys.set(header, key)
  }

  function check({ proof, method, urls, token, jkt }: ProvenRequest): CheckedProof {
    const jws = parseCompact(proof, MAX_PROOF_LENGTH)
    const cached = keys.get(jws.header)
    const key = cached ?? readProofHeader(jws.header, algorithms)
    // §4.3-12, §7.1: a proof of another key does not concern this token, so it is the token that cannot be used.
    if (key.jkt !== jkt)
      throw new VerifyError('wrong_key', 'the DPoP proof is of a key that the token is not bound to')
    const { jti, htm, htu, iat, ath, nonce, exp, nbf } = parseJson(jws.payload)
    const { verify } = signatureAlgorithm(key.alg)
    if (!hasValidSignature(jws, (data, signature) => verify(data, key.key, signature))) {
      throw invalid('has an invalid signature')
    }
    if (!cached) remember(jws.header, key)
    if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH)
      throw invalid('has no usable jti')
    if (htm !== method) throw invalid('is for another method')
    const url = typeof htu === 'string' ? normalizedUrl(htu) : undefined
    if (url === undefined || !urls.some((one) => normalizedUrl(one) === url)) throw anotherUrl(htu, urls)
    if (ath !== hash('sha256', token, 'base64url')) throw invalid('is for another access token')
    const now = clock()
    if (typeof iat !== 'number' || !Number.isFinite(iat)) throw invalid('has no time (iat)')
    if (iat > now + leeway) throw invalid('was made in the future (iat)')
    const until = iat + maxAge + leeway
    if (now >= until) throw invalid('is too old (iat)')
    // The RFC does not define these two for proofs. A proof that has them says that it is not valid beyond them (RFC 7519 §4.1).
    if (exp !== undefined && !(typeof exp === 'number' && now < exp + leeway))
      throw invalid('has expired (exp)')
    if (nbf !== undefined && !(typeof nbf === 'number' && now >= nbf - leeway))
      throw invalid('is not valid yet (nbf)')
    return { jti, until, nonce }
  }

  return (request: ProvenRequest): CheckedProof => {
    try {
      return check(request)
    } catch (error) {
      if (!(error instanceof VerifyError) || error.code !== 'malformed') throw error
      throw invalid(error.message.replace('the token ', ''), error.cause)
    }
  }
}

/** Both URLs are known to the client, so the message may name the right one: a wrong `baseUrl` is the usual reason. */
function anotherUrl(htu: unknown, urls: readonly string[]): VerifyError {
  const cause = new Error(`htu is ${JSON.stringify(htu)?.slice(0, MAX_SHOWN_LENGTH)}`)
  if (urls.length === 0)
    return invalid('has a URL, but the service does not know its own (option baseUrl)', cause)
  const expected = urls.map((url) => normalizedUrl(url) ?? url).join(' or ')
  return invalid(`is for another URL than ${expected.slice(0, MAX_SHOWN_LENGTH)}`, cause)
}

function invalid(what: string, cause?: unknown): VerifyError {
  return new VerifyError('invalid_proof', `the DPoP proof ${what}`, { cause })
}
