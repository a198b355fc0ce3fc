/**
 * JSON that a browser or a client carries for this server, made to fit into a URL or a cookie. Must not know what it is. Each caller
 * encrypts it.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'

/**
 * Characters. Most requests are not longer, and consist mostly of random values: compression makes them hardly shorter, and base64 makes
 * the result longer again.
 */
const MAX_UNCOMPRESSED = 1024

/**
 * Node.js keeps what compressed a text, and the buffer for its output, 16 KB by default, until a full garbage collection. When each
 * sign-in left several behind, V8 collected everything every second or two, and tokens waited for it.
 */
const OUTPUT = { chunkSize: 1024 }

/** @param json an object */
export const packJson = (json: string): string =>
  json.length <= MAX_UNCOMPRESSED ? json : deflateRawSync(json, OUTPUT).toString('base64')

/**
 * @param packed begins with a brace if it is not compressed, because base64 has none
 * @param maxBytes of the JSON
 * @throws if it is longer, or was not packed
 */
export const unpackJson = (packed: string, maxBytes: number): string =>
  packed.startsWith('{')
    ? packed
    : inflateRawSync(Buffer.from(packed, 'base64'), { ...OUTPUT, maxOutputLength: maxBytes }).toString()
