/** MACs of values that others keep in the clear. Every MAC names its data key. Must not know what the values mean. */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { type DataKeys, finder, named } from './data-keys.ts'
import type { DataKeyPurpose } from './encryption.ts'

export interface Macs {
  /** @returns `v1.<key id>.<MAC>` */
  create(text: string): string
  /** Whether `mac` was made for this text. A MAC that names an unknown key is refused without a computation. */
  verify(text: string, mac: string): boolean
}

const SHAPE = /^v1\.(\d{1,9})\.([\w-]{43})$/

export function createMacs(dataKeys: Pick<DataKeys, 'current' | 'valid'>, purpose: DataKeyPurpose): Macs {
  const find = finder(dataKeys.valid, purpose)
  return {
    create(text) {
      const { id, key } = named(dataKeys.current(), purpose)
      return `v1.${id}.${macOf(key, id, text)}`
    },
    verify(text, mac) {
      const [, id = '', given = ''] = SHAPE.exec(mac) ?? []
      const key = find(id)
      // As text, because base64url has several spellings of the same bytes.
      return key !== undefined && timingSafeEqual(Buffer.from(given), Buffer.from(macOf(key, id, text)))
    },
  }
}

/** The key id is authenticated too. It has no dot, so it cannot run into the text. */
export const macOf = (key: KeyObject, id: string, text: string): string =>
  createHmac('sha256', key).update(`${id}.${text}`).digest('base64url')
