/** Recognises images by their content, because the name of a file or the header of a response may be wrong. */

/** Formats of pixels alone: none of them can contain a script or refer to another file. */
const PIXELS: readonly (readonly [contentType: string, is: (body: Buffer) => boolean])[] = [
  ['image/png', (body) => body.subarray(0, 8).equals(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))],
  ['image/jpeg', (body) => body.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))],
  [
    'image/webp',
    (body) => body.toString('latin1', 0, 4) === 'RIFF' && body.toString('latin1', 8, 12) === 'WEBP',
  ],
]

/** The content type of a PNG, JPEG or WebP image; null for everything else. */
export const pixelImageType = (body: Buffer): string | null => PIXELS.find(([, is]) => is(body))?.[0] ?? null
