/**
 * The form of an ECDSA signature in a JWS: R and S one after the other, each as long as the order of the curve (RFC 7518 §3.4). OpenSSL
 * makes DER (RFC 3279 §2.2.3). Node.js can convert it, but takes as long for that as for signing.
 */

/** @param size bytes of R, and of S */
export function joseSignature(der: Buffer, size: number): Buffer {
  const signature = Buffer.alloc(2 * size)
  // SEQUENCE { INTEGER r, INTEGER s }. A length above 127 has a byte more, which only P-521 needs.
  let at = (der[1] ?? 0) > 0x80 ? 3 : 2
  for (const end of [size, 2 * size]) {
    const length = der[at + 1] ?? 0
    const next = at + 2 + length
    // A DER integer has a zero in front if its first bit is set, and none of the zeros that a number of fixed size has.
    const integer = der.subarray(Math.max(at + 2, next - size), next)
    integer.copy(signature, end - integer.length)
    at = next
  }
  return signature
}
