/** MACs of values that leave the server unencrypted. Every MAC names its data key. Must not know what the values mean. */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { createFindKey, type DataKeys, namedKey } from './data-keys.ts'
import type { DataKeyPurpose } from './encryption.ts'

export interface Macs {
  /** @returns `v1.<key id>.<MAC>` */
  create(text: string): string
  /** Whether `mac` was made for this text. A MAC that names an unknown key is refused without computing anything. */
  verify(text: string, mac: string): boolean
}

/** The number of the data key that a MAC names; null if the text is not a MAC. */
export function dataKeyOf(mac: string): number | null {
  const [, id] = FORMAT.exec(mac) ?? []
  return id === undefined ? null : Number(id)
}

const FORMAT = /^v1\.(\d{1,9})\.([\w-]{43})$/

export function createMacs(dataKeys: Pick<DataKeys, 'current' | 'valid'>, purpose: DataKeyPurpose): Macs {
  const find = createFindKey(dataKeys.valid, purpose)
  return {
    create(text) {
      const { id, key } = namedKey(dataKeys.current(), purpose)
      return `v1.${id}.${macOf(key, id, text)}`
    },
    verify(text, mac) {
      const [, id = '', digest = ''] = FORMAT.exec(mac) ?? []
      const key = find(id)
      // Compared as text, because base64url has several encodings of the same bytes.
      return key !== undefined && timingSafeEqual(Buffer.from(digest), Buffer.from(macOf(key, id, text)))
    },
  }
}

/** The key id is authenticated too. It has no dot, so the encoding is unambiguous. */
export const macOf = (key: KeyObject, id: string, text: string): string =>
  createHmac('sha256', key).update(`${id}.${text}`).digest('base64url')
