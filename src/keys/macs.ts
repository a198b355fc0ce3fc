/** MACs of what a browser carries for us in the open. Must not know what that is. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Root, Roots } from './data-keys.ts'
import type { RootPurpose } from './encryption.ts'

export interface Macs {
  write(text: string): string
  /** Whether `mac` was written for this text. */
  matches(text: string, mac: string): boolean
}

export function createMacs(roots: Pick<Roots, 'writing' | 'accepted'>, purpose: RootPurpose): Macs {
  const macOf = (root: Root, text: string) =>
    createHmac('sha256', root.key(purpose)).update(text).digest('base64url')
  return {
    write: (text) => macOf(roots.writing(), text),
    matches(text, mac) {
      // By bytes: what is not ASCII has more of them than letters.
      const given = Buffer.from(mac)
      return roots.accepted().some((root) => {
        const wanted = Buffer.from(macOf(root, text))
        return given.length === wanted.length && timingSafeEqual(given, wanted)
      })
    },
  }
}
