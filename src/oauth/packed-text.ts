/**
 * Texts that a browser or a client carries for this server, compressed to fit into a URL or a cookie. Must not know what they are. Each
 * caller encrypts them.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'

/**
 * Node.js keeps the buffer for the output, 16 KB by default, until a full garbage collection. When each sign-in left several behind,
 * V8 collected everything every second or two, and tokens waited for it.
 */
const OUTPUT = { chunkSize: 1024 }
/** A window of 8 KB and a small table need a quarter of the memory, and are enough for texts that fit into a URL. */
const COMPRESSION = { ...OUTPUT, windowBits: 13, memLevel: 6 }

/** In base64. */
export const packText = (text: string): string => deflateRawSync(text, COMPRESSION).toString('base64')

/**
 * @param maxBytes of the text
 * @throws if the text is longer, or was not packed
 */
export const unpackText = (packed: string, maxBytes: number): string =>
  inflateRawSync(Buffer.from(packed, 'base64'), { ...OUTPUT, maxOutputLength: maxBytes }).toString()
